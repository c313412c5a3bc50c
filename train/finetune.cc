#include "train/finetune.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/config.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "data/batch_loader.h"
#include "model/checkpoint.h"
#include "model/classifier_head.h"
#include "model/device.h"
#include "model/pooling.h"
#include "train/allocator.h"
#include "train/corpus.h"
#include "train/finetune_data.h"
#include "train/finetune_record.h"
#include "train/optimizer.h"
#include "train/predict.h"
#include "train/run_folder.h"
#include "train/same_run.h"
#include "train/tensor_errors.h"

namespace manyform {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kBestValidation[] = "best_val";
constexpr char kHeadPrefix[] = "aux_heads.";

double SecondsSince(Clock::time_point start) {
  return std::max(std::chrono::duration<double>(Clock::now() - start).count(), 1e-9);
}

NamedTensors Copies(const NamedTensors& tensors) {
  NamedTensors copies;
  for (const auto& [name, tensor] : tensors) copies.emplace_back(name, tensor.detach().clone());
  return copies;
}

// What an epoch of training came to.
struct EpochSums {
  double loss = 0, squared_gradients = 0;
  int64_t samples = 0, right = 0, steps = 0;
};

class FinetuneRun {
 public:
  FinetuneRun(const FinetuneConfig& config, c10::Device device, RunFolder* folder)
      : config_(config), device_(device), folder_(folder) {}
  /// Nothing in the folder changes unless it returns OK.
  absl::Status Begin();
  absl::StatusOr<FinetuneResult> Run();
  RunStatus Status() const;

 private:
  absl::Status CreateModel();
  absl::Status Continue();
  void MakeOptimizer();
  absl::Status TrainEpochs();
  absl::Status TrainStep(const Batch& batch, EpochSums* sums);
  absl::Status EndEpoch(const EpochSums& sums, double seconds);
  absl::StatusOr<std::vector<int64_t>> Predict(const LabelledShapes& shapes, int32_t resamples) const;
  absl::Status RestoreBest();
  absl::Status SetWeights(const NamedTensors& model, const NamedTensors& head);
  Checkpoint Snapshot() const;
  // Another checkpoint under the same name makes another run.
  std::string Inputs() const { return Sha256Hex(absl::StrCat(data_.fingerprint, " ", checkpoint_hash_)); }
  int64_t BatchesAnEpoch() const {
    return (static_cast<int64_t>(data_.train.shapes.size()) + config_.batch() - 1) / config_.batch();
  }

  const FinetuneConfig& config_;
  const c10::Device device_;
  RunFolder* const folder_;  // null: nothing is kept on disk
  FinetunePlan plan_;
  FinetuneData data_;
  Pooling pooling_ = Pooling::kMeanAnswers;
  Precision precision_ = Precision::kF32;
  std::string checkpoint_hash_;
  std::optional<QueryTransformer> model_;
  std::optional<ClassifierHead> head_;
  std::optional<AdamW> optimizer_;
  int64_t epoch_ = 0, step_ = 0;  // done
  int64_t best_epoch_ = -1;
  double best_validation_ = -1;
  NamedTensors best_model_, best_head_;
};

absl::Status FinetuneRun::CreateModel() {
  std::optional<LoadedModel> loaded;
  if (!config_.ckpt().empty()) {
    MF_ASSIGN_OR_RETURN(loaded, LoadModel(config_.ckpt()));
    checkpoint_hash_ = loaded->hash;
    NoteInput(config_.ckpt(), loaded->hash);
  }
  MF_ASSIGN_OR_RETURN(plan_, PlanFinetune(config_, loaded ? &loaded->header : nullptr));
  if (!loaded) {
    MF_ASSIGN_OR_RETURN(model_, QueryTransformer::Create(plan_.sizes, static_cast<uint64_t>(config_.seed())));
    return absl::OkStatus();
  }
  model_ = std::move(loaded->model);
  if (model_->config().max_len != plan_.sizes.max_len) {
    LogLine(absl::StrCat("position embedding resized from ", model_->config().max_len, " to ",
                         plan_.sizes.max_len));
    model_->ResizePositions(plan_.sizes.max_len);
  }
  return absl::OkStatus();
}

void FinetuneRun::MakeOptimizer() {
  NamedTensors parameters;
  model_->SetPrecision(precision_);
  model_->SetRequiresGrad(!config_.freeze_backbone());
  if (!config_.freeze_backbone()) parameters = model_->parameters();
  for (const auto& [name, tensor] : head_->parameters())
    parameters.emplace_back(absl::StrCat(kHeadPrefix, name), tensor);
  optimizer_.emplace(std::move(parameters),
                     AdamWOptions{.lr = config_.lr(), .weight_decay = config_.weight_decay()});
}

absl::Status FinetuneRun::SetWeights(const NamedTensors& model, const NamedTensors& head) {
  MF_ASSIGN_OR_RETURN(model_, QueryTransformer::FromTensors(plan_.sizes, model));
  model_->SetPrecision(precision_);
  MF_ASSIGN_OR_RETURN(head_, ClassifierHead::FromTensors(
                                 plan_.sizes.d_model, static_cast<int64_t>(data_.class_names.size()), head));
  model_->To(device_);
  head_->To(device_);
  return absl::OkStatus();
}

absl::Status FinetuneRun::Continue() {
  const std::string path = folder_->last();
  MF_ASSIGN_OR_RETURN(const Checkpoint from, ReadCheckpoint(path));
  MF_RETURN_IF_ERROR(CheckSameRun(path, from.header, config_, Inputs()));
  MF_RETURN_IF_ERROR(SetWeights(from.model, from.aux_heads));
  MakeOptimizer();
  (void)optimizer_->Load(from);
  epoch_ = from.header.epoch();
  step_ = from.header.step();
  LogLine(absl::StrCat("going on from ", path, ": ", epoch_, " epochs done"));
  if (data_.validation.shapes.empty()) return absl::OkStatus();
  // The best epoch may be one that was lost with the end of the run; its weights and accuracy still hold.
  MF_ASSIGN_OR_RETURN(Checkpoint best, ReadCheckpoint(folder_->best()));
  best_epoch_ = best.header.epoch() - 1;
  for (const auto& [name, tensor] : best.rng)
    if (name == kBestValidation) best_validation_ = tensor.item<double>();
  best_model_ = std::move(best.model);
  best_head_ = std::move(best.aux_heads);
  return absl::OkStatus();
}

absl::Status FinetuneRun::Begin() {
  NoteSeed("seed", static_cast<uint64_t>(config_.seed()));
  MF_ASSIGN_OR_RETURN(precision_, ParsePrecision(config_.precision()));
  MF_RETURN_IF_ERROR(CreateModel());
  MF_ASSIGN_OR_RETURN(data_, OpenFinetuneData(config_, plan_));
  MF_ASSIGN_OR_RETURN(pooling_, ParsePooling(config_.cls_pooling(), plan_.layout.qa_tokens));
  LogLine(
      absl::StrFormat("%d classes: %d shapes to train on, %d to validate with, %d to test on; %d tokens each",
                      data_.class_names.size(), data_.train.shapes.size(), data_.validation.shapes.size(),
                      data_.test.shapes.size(), data_.length));
  head_.emplace(plan_.sizes.d_model, static_cast<int64_t>(data_.class_names.size()),
                static_cast<uint64_t>(config_.seed()));
  model_->To(device_);
  head_->To(device_);
  MakeOptimizer();
  if (folder_ == nullptr) return absl::OkStatus();
  if (FileExists(folder_->last())) MF_RETURN_IF_ERROR(Continue());
  MF_RETURN_IF_ERROR(folder_->TruncateLog(epoch_ > 0 ? step_ : -1));
  if (config_.tensorboard()) folder_->StartEvents(epoch_ > 0 ? step_ : -1);
  MF_RETURN_IF_ERROR(folder_->WriteConfig(config_));
  return folder_->WriteStatus(Status());
}

absl::Status FinetuneRun::TrainStep(const Batch& batch, EpochSums* sums) {
  std::vector<int64_t> labels;
  for (const Draw& draw : batch.draws) labels.push_back(data_.train.labels[draw.shape]);
  const at::Tensor label = at::tensor(labels, at::kLong).to(device_);
  optimizer_->ClearGradients();
  const at::Tensor pooled = PooledHidden(
      *model_, FeatureTensor(batch.feat.data(), batch.size, batch.length, device_),
      TypeTensor(batch.type.data(), batch.size, batch.length, device_), pooling_, config_.cls_is_causal());
  const at::Tensor logits = head_->Logits(pooled);
  const at::Tensor loss = at::cross_entropy_loss(logits, label);
  const double value = loss.item<double>();
  loss.backward();
  const double norm = optimizer_->GradientNorm();
  if (!std::isfinite(value) || !std::isfinite(norm))
    return absl::InternalError(absl::StrCat(
        std::isfinite(value) ? "the gradient's norm" : "the loss", " is not finite at step ", step_ + 1,
        " (epoch ", epoch_,
        "); last good checkpoint: ", folder_ != nullptr && epoch_ > 0 ? folder_->last() : "none"));
  optimizer_->Step();
  ++step_;
  sums->loss += value * static_cast<double>(batch.size);
  sums->squared_gradients += norm * norm;
  sums->samples += batch.size;
  ++sums->steps;
  sums->right += logits.detach().argmax(1).eq(label).sum().item<int64_t>();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int64_t>> FinetuneRun::Predict(const LabelledShapes& shapes,
                                                          int32_t resamples) const {
  const PredictOptions options{.pooling = pooling_,
                               .causal = config_.cls_is_causal(),
                               .eval_seed = config_.eval_seed(),
                               .resamples = resamples < 0 ? config_.mc_eval_k() : resamples,
                               .batch = config_.batch(),
                               .num_workers = config_.num_workers()};
  MF_ASSIGN_OR_RETURN(const at::Tensor logits, PredictLogits(*model_, *head_, shapes, data_.length, options));
  return PredictedLabels(logits);
}

Checkpoint FinetuneRun::Snapshot() const {
  Checkpoint checkpoint;
  CheckpointHeader& header = checkpoint.header;
  header.set_stage("finetune");
  SetSizes(plan_.sizes, &header);
  header.set_epoch(epoch_);
  header.set_step(step_);
  header.set_n_point(static_cast<int32_t>(plan_.n_point));
  header.set_n_ray(static_cast<int32_t>(plan_.n_ray));
  header.set_qa_tokens(plan_.layout.qa_tokens);
  header.set_qa_layout(plan_.layout.qa_layout == QaLayout::kSplit ? "split" : "interleave");
  header.set_add_eos(plan_.layout.add_eos);
  header.set_objective("classification");
  header.set_config_fingerprint(RunFingerprint(config_));
  header.set_config(RunConfigText(config_));
  header.set_data_fingerprint(Inputs());
  for (const std::string& name : data_.class_names) header.add_class_names(name);
  checkpoint.model = model_->parameters();
  checkpoint.aux_heads = head_->parameters();
  optimizer_->Save(&checkpoint);
  checkpoint.rng.emplace_back(kBestValidation, at::scalar_tensor(best_validation_, at::kDouble));
  return checkpoint;
}

absl::Status FinetuneRun::EndEpoch(const EpochSums& sums, double seconds) {
  const int64_t finished = epoch_++;
  double validation = -1;
  if (!data_.validation.shapes.empty()) {
    MF_ASSIGN_OR_RETURN(const std::vector<int64_t> predictions,
                        Predict(data_.validation, config_.mc_eval_k_val()));
    validation = Accuracy(predictions, data_.validation.labels);
    if (validation > best_validation_) {
      best_validation_ = validation;
      best_epoch_ = finished;
      best_model_ = Copies(model_->parameters());
      best_head_ = Copies(head_->parameters());
      if (folder_ != nullptr) MF_RETURN_IF_ERROR(WriteCheckpoint(folder_->best(), Snapshot()));
    }
  } else {
    best_epoch_ = finished;
  }
  if (folder_ == nullptr) return absl::OkStatus();
  const auto samples = static_cast<double>(sums.samples);
  JsonRow row = {{"step", step_},
                 {"epoch", finished},
                 {"loss", sums.loss / samples},
                 {"loss_cls", sums.loss / samples},
                 {"lr", config_.lr()},
                 {"grad_norm", std::sqrt(sums.squared_gradients / static_cast<double>(sums.steps))},
                 {"samples_per_s", samples / seconds},
                 {"seconds", seconds},
                 {"train_acc", static_cast<double>(sums.right) / samples}};
  if (validation >= 0) row.insert(row.end(), {{"val_acc", validation}, {"best_val", best_validation_}});
  MF_RETURN_IF_ERROR(folder_->AppendLog(row));
  MF_RETURN_IF_ERROR(WriteCheckpoint(folder_->last(), Snapshot()));
  return folder_->WriteStatus(Status());
}

absl::Status FinetuneRun::TrainEpochs() {
  Progress progress("finetune", "epochs", config_.epochs());
  progress.Add(epoch_, /*skipped=*/true);
  if (epoch_ >= config_.epochs()) return absl::OkStatus();
  BatchLoader::Options options;
  options.batch = config_.batch();
  options.drop_last = false;
  options.num_workers = config_.num_workers();
  options.length = data_.length;
  options.allocate = StagingAllocator(device_);
  options.first_epoch = epoch_;
  options.epochs = config_.epochs();
  // Draws count the training shapes; `fill` looks up which they are.
  options.draws = [this](int64_t epoch) {
    return ShuffledEpoch(static_cast<int64_t>(data_.train.shapes.size()), config_.seed(), epoch);
  };
  options.fill = [this](const Draw& draw, int64_t epoch, int64_t index, std::span<float> feat,
                        std::span<uint8_t> type) {
    return TrainTokens(data_.train.dataset, data_.train.shapes[draw.shape],
                       static_cast<uint64_t>(config_.seed()), epoch, index, feat, type);
  };
  MF_ASSIGN_OR_RETURN(const std::unique_ptr<BatchLoader> loader, BatchLoader::Create(std::move(options)));
  EpochSums sums;
  for (Clock::time_point start = Clock::now(); epoch_ < config_.epochs();) {
    if (Interrupted())
      return absl::CancelledError(absl::StrCat("interrupted in epoch ", epoch_,
                                               folder_ == nullptr
                                                   ? "; nothing is kept without a save_dir"
                                                   : "; the same command goes on from its start"));
    MF_ASSIGN_OR_RETURN(const Batch* batch, loader->Next());
    if (batch == nullptr) return absl::InternalError("the loader has fewer batches than there are steps");
    MF_RETURN_IF_ERROR(TrainStep(*batch, &sums));
    if (sums.steps < BatchesAnEpoch()) continue;
    MF_RETURN_IF_ERROR(EndEpoch(sums, SecondsSince(start)));
    progress.SetNote(absl::StrFormat(
        "loss %.4f, train %.3f%s", sums.loss / static_cast<double>(sums.samples),
        static_cast<double>(sums.right) / static_cast<double>(sums.samples),
        best_validation_ < 0
            ? ""
            : absl::StrFormat(", best validation %.3f (epoch %d)", best_validation_, best_epoch_)));
    progress.Add();
    sums = {};
    start = Clock::now();
  }
  return absl::OkStatus();
}

absl::Status FinetuneRun::RestoreBest() {
  if (best_model_.empty()) return absl::OkStatus();
  return SetWeights(best_model_, best_head_);
}

absl::StatusOr<FinetuneResult> FinetuneRun::Run() {
  MF_RETURN_IF_ERROR(TrainEpochs());
  MF_RETURN_IF_ERROR(RestoreBest());
  FinetuneOutcome outcome{.best_epoch = best_epoch_ < 0 ? epoch_ - 1 : best_epoch_,
                          .best_validation = best_validation_,
                          .predictions = {},
                          .checkpoint_hash = checkpoint_hash_};
  MF_ASSIGN_OR_RETURN(outcome.predictions, Predict(data_.test, config_.mc_eval_k_test()));
  if (folder_ != nullptr)
    MF_RETURN_IF_ERROR(
        folder_->AppendEvent(step_, {{"test_acc", Accuracy(outcome.predictions, data_.test.labels)}}));
  return MakeFinetuneResult(config_, plan_, data_, outcome);
}

RunStatus FinetuneRun::Status() const {
  RunStatus status;
  status.set_state("running");
  status.set_epoch(epoch_);
  status.set_epochs(config_.epochs());
  status.set_step(step_);
  return status;
}

}  // namespace

absl::StatusOr<FinetuneResult> Finetune(const FinetuneConfig& config) {
  MF_RETURN_IF_ERROR(CheckConfig(config));
  KeepFreedMemory();
  SetTensorThreads(config.num_threads());
  MF_ASSIGN_OR_RETURN(const c10::Device device, SelectDevice(config.device()));
  std::unique_ptr<RunFolder> folder;
  if (!config.save_dir().empty()) {
    MF_ASSIGN_OR_RETURN(folder, RunFolder::Open(config.save_dir()));
  }
  FinetuneRun run(config, device, folder.get());
  MF_RETURN_IF_ERROR(CatchTensorErrors([&] { return run.Begin(); }));
  absl::StatusOr<FinetuneResult> result = CatchTensorErrors([&] { return run.Run(); });
  if (result.ok()) *result->mutable_provenance() = CollectProvenance("finetune", config);
  const FinetuneResult record = result.ok() ? *result : FinetuneResult();
  if (folder != nullptr) MF_RETURN_IF_ERROR(folder->Conclude(run.Status(), result.status(), record));
  return result;
}

}  // namespace manyform
