#include "train/pretrain.h"

#include <ATen/ATen.h>

#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/config.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/numpy_random.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "data/batch_loader.h"
#include "model/checkpoint.h"
#include "model/device.h"
#include "train/allocator.h"
#include "train/corpus.h"
#include "train/objectives.h"
#include "train/optimizer.h"
#include "train/run_folder.h"
#include "train/same_run.h"
#include "train/tensor_errors.h"

namespace manyform {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kBatchCounter[] = "batch";

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Where a run is: `epoch` epochs, `batch` batches of the next one, `step` optimizer steps are done.
struct Position {
  int64_t epoch = 0, batch = 0, step = 0;
};

// The rate of this process, for the status and the record.
struct Speed {
  Clock::time_point start = Clock::now();
  int64_t samples = 0, steps = 0;
  double SamplesPerSecond() const {
    return static_cast<double>(samples) / std::max(SecondsSince(start), 1e-9);
  }
  double SecondsPerStep() const { return steps > 0 ? SecondsSince(start) / static_cast<double>(steps) : 0; }
};

class PretrainRun {
 public:
  PretrainRun(const PretrainConfig& config, c10::Device device, RunFolder& folder, Corpus corpus)
      : config_(config), device_(device), folder_(folder), corpus_(std::move(corpus)) {}

  /// Nothing in the folder changes unless it returns OK.
  absl::Status Begin();
  absl::StatusOr<PretrainResult> Run();
  RunStatus Status() const;

 private:
  absl::Status ContinueFrom(const std::string& path, bool same_run);
  absl::Status CreateModel(const Checkpoint* from);
  absl::Status Loop();
  absl::Status Step(const Batch& batch);
  absl::Status EndEpoch();
  absl::Status Interrupt();
  at::Tensor Loss(const at::Tensor& feat, const at::Tensor& type) const;
  absl::Status NotFinite(const char* what, double value) const;
  absl::Status Save(const std::string& path);
  Checkpoint Snapshot() const;
  PretrainResult Result() const;
  int64_t StepsLeft() const {
    return std::max<int64_t>(0, (config_.epochs() - at_.epoch) * batches_per_epoch_ - at_.batch);
  }

  const PretrainConfig& config_;
  const c10::Device device_;
  RunFolder& folder_;
  const Corpus corpus_;
  const int64_t batches_per_epoch_ = BatchesPerEpoch(corpus_.draws_per_epoch, config_.batch());
  std::optional<QueryTransformer> model_;
  std::optional<AdamW> optimizer_;
  Position at_;
  std::string last_saved_ = "none";
  double last_loss_ = std::nan("");
  Speed speed_;
};

absl::Status PretrainRun::CreateModel(const Checkpoint* from) {
  TransformerConfig sizes{.d_model = config_.d_model(),
                          .layers = config_.layers(),
                          .heads = config_.heads(),
                          .n_types = config_.qa_tokens() ? 9 : 5,
                          .max_len = config_.max_len() < 0 ? corpus_.length : config_.max_len()};
  if (sizes.max_len < corpus_.length)
    return absl::InvalidArgumentError(
        absl::StrCat("max_len: ", sizes.max_len, " positions are too few for ", corpus_.length, " tokens"));
  if (from == nullptr) {
    MF_ASSIGN_OR_RETURN(model_, QueryTransformer::Create(sizes, static_cast<uint64_t>(config_.seed())));
  } else {
    const int64_t max_len = sizes.max_len;
    sizes.max_len = from->header.max_len();
    MF_ASSIGN_OR_RETURN(model_, QueryTransformer::FromTensors(sizes, from->model));
    if (max_len != sizes.max_len) {
      LogLine(absl::StrCat("position embedding resized from ", sizes.max_len, " to ", max_len));
      model_->ResizePositions(max_len);
    }
  }
  model_->To(device_);
  optimizer_.emplace(model_->parameters(),
                     AdamWOptions{.lr = config_.lr(), .weight_decay = config_.weight_decay()});
  return absl::OkStatus();
}

absl::Status PretrainRun::ContinueFrom(const std::string& path, bool same_run) {
  MF_ASSIGN_OR_RETURN(const Checkpoint from, ReadCheckpoint(path));
  if (same_run) MF_RETURN_IF_ERROR(CheckSameRun(path, from.header, config_, corpus_.fingerprint));
  if (absl::Status status = CreateModel(&from); !status.ok())
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", std::string(status.message())));
  const std::vector<std::string> fresh = optimizer_->Load(from);
  if (!fresh.empty())
    LogLine(absl::StrCat("optimizer state starts afresh for ", fresh.size(), " tensors: ", fresh[0],
                         fresh.size() > 1 ? ", ..." : ""));
  at_ = {.epoch = from.header.epoch(), .step = from.header.step()};
  for (const auto& [name, tensor] : from.rng)
    if (name == kBatchCounter && tensor.numel() == 1) at_.batch = tensor.item<int64_t>();
  // Another corpus has other batches; what was done of the interrupted epoch is not part of it.
  if (!same_run || at_.batch < 0 || at_.batch >= batches_per_epoch_) at_.batch = 0;
  last_saved_ = path;
  LogLine(absl::StrCat("going on from ", path, ": ", at_.epoch, " epochs, ", at_.step, " steps done"));
  return absl::OkStatus();
}

absl::Status PretrainRun::Begin() {
  NoteSeed("seed", static_cast<uint64_t>(config_.seed()));
  if (config_.auto_resume() && FileExists(folder_.last())) {
    MF_RETURN_IF_ERROR(ContinueFrom(folder_.last(), /*same_run=*/true));
    MF_RETURN_IF_ERROR(folder_.TruncateLog(at_.step));
  } else {
    if (config_.resume().empty()) {
      MF_RETURN_IF_ERROR(CreateModel(nullptr));
    } else {
      NoteInput(config_.resume(), "");
      MF_RETURN_IF_ERROR(ContinueFrom(config_.resume(), /*same_run=*/false));
    }
    MF_RETURN_IF_ERROR(folder_.TruncateLog(-1));
  }
  MF_RETURN_IF_ERROR(folder_.WriteConfig(config_));
  return folder_.WriteStatus(Status());
}

at::Tensor PretrainRun::Loss(const at::Tensor& feat, const at::Tensor& type) const {
  if (config_.objective() == "nepa") return NepaLoss(*model_, feat, type);
  NumpyRandomState random(Md5Prefix32(absl::StrCat("mask ", config_.seed(), " ", at_.step)));
  return MaeLoss(*model_, feat, type, MaskTokens(type, config_.mask_ratio(), random).to(device_));
}

absl::Status PretrainRun::NotFinite(const char* what, double value) const {
  return absl::InternalError(absl::StrCat(what, " is ", value, " at step ", at_.step + 1, " (epoch ",
                                          at_.epoch, "); last good checkpoint: ", last_saved_));
}

absl::Status PretrainRun::Step(const Batch& batch) {
  const Clock::time_point start = Clock::now();
  optimizer_->ClearGradients();
  const at::Tensor loss = Loss(FeatureTensor(batch.feat.data(), batch.size, batch.length, device_),
                               TypeTensor(batch.type.data(), batch.size, batch.length, device_));
  const double value = loss.item<double>();
  if (!std::isfinite(value)) return NotFinite("the loss", value);
  loss.backward();
  const double norm = optimizer_->GradientNorm();
  if (!std::isfinite(norm)) return NotFinite("the gradient's norm", norm);
  optimizer_->Step();
  ++at_.step;
  ++at_.batch;
  last_loss_ = value;
  speed_.samples += batch.size;
  ++speed_.steps;
  const double seconds = SecondsSince(start);
  return folder_.AppendLog({{"step", at_.step},
                            {"epoch", at_.epoch},
                            {"loss", value},
                            {absl::StrCat("loss_", config_.objective()), value},
                            {"lr", config_.lr()},
                            {"grad_norm", norm},
                            {"samples_per_s", static_cast<double>(batch.size) / std::max(seconds, 1e-9)},
                            {"seconds", seconds}});
}

Checkpoint PretrainRun::Snapshot() const {
  Checkpoint checkpoint;
  CheckpointHeader& header = checkpoint.header;
  header.set_stage("pretrain");
  SetSizes(model_->config(), &header);
  header.set_epoch(at_.epoch);
  header.set_step(at_.step);
  header.set_n_point(config_.n_point());
  header.set_n_ray(config_.n_ray());
  header.set_qa_tokens(config_.qa_tokens());
  header.set_qa_layout(config_.qa_layout());
  header.set_add_eos(corpus_.datasets[0].tokens.layout.add_eos);
  header.set_objective(config_.objective());
  header.set_config_fingerprint(RunFingerprint(config_));
  header.set_config(RunConfigText(config_));
  header.set_data_fingerprint(corpus_.fingerprint);
  checkpoint.model = model_->parameters();
  optimizer_->Save(&checkpoint);
  checkpoint.rng.emplace_back(kBatchCounter, at::scalar_tensor(at_.batch, at::kLong));
  return checkpoint;
}

absl::Status PretrainRun::Save(const std::string& path) {
  MF_RETURN_IF_ERROR(WriteCheckpoint(path, Snapshot()));
  last_saved_ = path;
  return absl::OkStatus();
}

absl::Status PretrainRun::EndEpoch() {
  const int64_t finished = at_.epoch;
  ++at_.epoch;
  at_.batch = 0;
  if (finished % config_.save_every() != 0 && at_.epoch != config_.epochs()) return absl::OkStatus();
  MF_RETURN_IF_ERROR(Save(folder_.epoch_checkpoint(finished)));
  return Save(folder_.last());
}

absl::Status PretrainRun::Interrupt() {
  MF_RETURN_IF_ERROR(Save(folder_.last()));
  return absl::CancelledError(
      absl::StrCat("interrupted at step ", at_.step, "; the same command goes on from ", folder_.last()));
}

absl::Status PretrainRun::Loop() {
  if (StepsLeft() == 0) return absl::OkStatus();
  BatchLoader::Options options;
  options.batch = config_.batch();
  options.drop_last = corpus_.draws_per_epoch >= config_.batch();
  options.num_workers = config_.num_workers();
  options.draws = corpus_.draws;
  options.fill = [this](const Draw& draw, int64_t epoch, int64_t index, std::span<float> feat,
                        std::span<uint8_t> type) {
    return TrainTokens(corpus_.datasets[draw.dataset], draw.shape, static_cast<uint64_t>(config_.seed()),
                       epoch, index, feat, type);
  };
  options.length = corpus_.length;
  options.first_epoch = at_.epoch;
  options.first_batch = at_.batch;
  options.epochs = config_.epochs();
  MF_ASSIGN_OR_RETURN(const std::unique_ptr<BatchLoader> loader, BatchLoader::Create(std::move(options)));

  Progress progress("pretrain", "steps", config_.epochs() * batches_per_epoch_);
  progress.Add(at_.epoch * batches_per_epoch_ + at_.batch, /*skipped=*/true);
  speed_.start = Clock::now();
  while (StepsLeft() > 0) {
    if (Interrupted()) return Interrupt();
    MF_ASSIGN_OR_RETURN(const Batch* batch, loader->Next());
    if (batch == nullptr) return absl::InternalError("the loader has fewer batches than there are steps");
    MF_RETURN_IF_ERROR(Step(*batch));
    if (at_.batch == batches_per_epoch_) MF_RETURN_IF_ERROR(EndEpoch());
    progress.SetNote(absl::StrFormat("%.1f samples/s, epoch %d, loss %.4f", speed_.SamplesPerSecond(),
                                     at_.epoch, last_loss_));
    progress.Add();
    MF_RETURN_IF_ERROR(folder_.WriteStatus(Status()));
  }
  return absl::OkStatus();
}

absl::StatusOr<PretrainResult> PretrainRun::Run() {
  MF_RETURN_IF_ERROR(Loop());
  // Nothing was trained: the untrained weights are the product, or a finished run is where it was.
  if (last_saved_ != folder_.last()) MF_RETURN_IF_ERROR(Save(folder_.last()));
  return Result();
}

RunStatus PretrainRun::Status() const {
  RunStatus status;
  status.set_state("running");
  status.set_epoch(at_.epoch);
  status.set_epochs(config_.epochs());
  status.set_step(at_.step);
  if (speed_.steps > 0) {
    status.set_samples_per_second(speed_.SamplesPerSecond());
    status.set_seconds_left(speed_.SecondsPerStep() * static_cast<double>(StepsLeft()));
  }
  return status;
}

PretrainResult PretrainRun::Result() const {
  PretrainResult result;
  result.set_checkpoint(folder_.last());
  result.set_epochs(at_.epoch);
  result.set_steps(at_.step);
  if (speed_.steps > 0) {
    result.set_last_loss(last_loss_);
    result.set_samples_per_second(speed_.SamplesPerSecond());
    result.set_seconds_per_step(speed_.SecondsPerStep());
  }
  int64_t parameters = 0;
  for (const auto& [name, tensor] : model_->parameters()) parameters += tensor.numel();
  result.set_parameters(parameters);
  return result;
}

}  // namespace

absl::StatusOr<PretrainResult> Pretrain(const PretrainConfig& config) {
  MF_RETURN_IF_ERROR(CheckConfig(config));
  KeepFreedMemory();
  SetTensorThreads(config.num_threads());
  MF_ASSIGN_OR_RETURN(const c10::Device device, SelectDevice(config.device()));
  MF_ASSIGN_OR_RETURN(Corpus corpus, OpenCorpus(config));
  MF_ASSIGN_OR_RETURN(const std::unique_ptr<RunFolder> folder, RunFolder::Open(config.save_dir()));
  PretrainRun run(config, device, *folder, std::move(corpus));
  MF_RETURN_IF_ERROR(CatchTensorErrors([&] { return run.Begin(); }));
  absl::StatusOr<PretrainResult> result = CatchTensorErrors([&] { return run.Run(); });
  if (result.ok()) *result->mutable_provenance() = CollectProvenance("pretrain", config);
  const PretrainResult record = result.ok() ? *result : PretrainResult();
  MF_RETURN_IF_ERROR(folder->Conclude(run.Status(), result.status(), record));
  return result;
}

}  // namespace manyform
