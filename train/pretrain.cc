#include "train/pretrain.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/config.h"
#include "base/files.h"
#include "base/follower.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "data/batch_loader.h"
#include "model/checkpoint.h"
#include "model/device.h"
#include "train/allocator.h"
#include "train/corpus.h"
#include "train/not_finite.h"
#include "train/pretrain_options.h"
#include "train/pretrain_state.h"
#include "train/process_group.h"
#include "train/process_place.h"
#include "train/run_folder.h"
#include "train/share_checkpoint.h"
#include "train/speed.h"
#include "train/tensor_errors.h"

namespace manyform {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class PretrainRun {
 public:
  PretrainRun(const PretrainConfig& config, c10::Device device, ProcessGroup& group, RunFolder& folder,
              Corpus corpus, SequenceSizes sizes)
      : config_(config),
        device_(device),
        group_(group),
        folder_(folder),
        corpus_(std::move(corpus)),
        sizes_(std::move(sizes)) {}

  /// Nothing in the folder changes unless it returns OK.
  absl::Status Begin();
  absl::StatusOr<PretrainResult> Run();
  RunStatus Status() const;

 private:
  int64_t LongestSequence() const;
  std::vector<TokenDataset> DatasetsAt(int64_t epoch) const;
  absl::StatusOr<std::unique_ptr<BatchLoader>> OpenLoader(const std::vector<TokenDataset>& datasets,
                                                          int64_t end_epoch);
  absl::Status Loop();
  absl::Status RunPhase(int64_t end_epoch, Progress& progress);
  absl::Status Step(BatchLoader& loader);
  absl::Status AddGradients(const Batch& batch, int64_t batches_in_step);
  absl::Status NotFinite(const char* what, double value, const Batch& batch) const;
  double LearningRate() const;
  absl::Status Log(double norm, double seconds);
  absl::Status EndEpoch();
  absl::Status SaveInTime();
  absl::Status Interrupt();
  absl::Status Save(const std::string& path);
  PretrainResult Result() const;

  int64_t BatchesInStep(int64_t batch) const {
    return std::min<int64_t>(config_.accumulate(), batches_per_epoch_ - batch);
  }
  int64_t StepsPerEpoch() const {
    return (batches_per_epoch_ + config_.accumulate() - 1) / config_.accumulate();
  }
  int64_t StepsDone() const { return at().epoch * StepsPerEpoch() + at().batch / config_.accumulate(); }
  int64_t StepsLeft() const { return std::max<int64_t>(0, config_.epochs() * StepsPerEpoch() - StepsDone()); }
  PretrainPosition& at() { return state_->at; }
  const PretrainPosition& at() const { return state_->at; }

  const PretrainConfig& config_;
  const c10::Device device_;
  ProcessGroup& group_;
  RunFolder& folder_;
  const Corpus corpus_;
  const SequenceSizes sizes_;
  const int64_t batches_per_epoch_ = BatchesPerEpoch(corpus_.draws_per_epoch, config_.batch());
  std::optional<PretrainState> state_;
  std::string last_saved_ = "none";
  Clock::time_point saved_at_ = Clock::now();
  // Of the current step: the mean loss of its batches, and its parts.
  double loss_ = std::nan("");
  std::map<std::string, double> parts_;
  int64_t samples_ = 0;
  Speed speed_;  // of this process
};

int64_t PretrainRun::LongestSequence() const {
  int64_t longest = 0;
  for (int64_t epoch = 0; epoch <= std::max<int64_t>(0, config_.epochs() - 1);
       epoch = std::min(sizes_.n_point.NextChange(epoch), sizes_.n_ray.NextChange(epoch)))
    longest = std::max(longest, SequenceLength(sizes_.n_point.At(epoch), sizes_.n_ray.At(epoch),
                                               corpus_.datasets[0].tokens.layout));
  return longest;
}

std::vector<TokenDataset> PretrainRun::DatasetsAt(int64_t epoch) const {
  std::vector<TokenDataset> datasets = corpus_.datasets;
  for (TokenDataset& dataset : datasets) {
    dataset.tokens.n_point = sizes_.n_point.At(epoch);
    dataset.tokens.n_ray = sizes_.n_ray.At(epoch);
  }
  return datasets;
}

absl::Status PretrainRun::Begin() {
  NoteSeed("seed", static_cast<uint64_t>(config_.seed()));
  const int64_t longest = LongestSequence();
  const bool own = config_.auto_resume() && FileExists(folder_.last());
  const std::string from = own ? folder_.last() : config_.resume();
  if (from.empty()) {
    MF_ASSIGN_OR_RETURN(state_, FreshPretrainState(config_, corpus_, longest, device_));
  } else {
    if (!own) NoteInput(from, "");
    MF_ASSIGN_OR_RETURN(state_, ResumedPretrainState(config_, corpus_, longest, device_, from, own));
    last_saved_ = from;
  }
  MF_RETURN_IF_ERROR(ShareCheckpoint(PretrainCheckpoint(*state_, config_, corpus_), config_.epochs(),
                                     {&at().epoch, &at().batch, &at().step}, &group_));
  MF_RETURN_IF_ERROR(folder_.TruncateLog(own ? at().step : -1));
  if (config_.tensorboard()) folder_.StartEvents(own ? at().step : -1);
  MF_RETURN_IF_ERROR(folder_.WriteConfig(config_));
  return folder_.WriteStatus(Status());
}

absl::Status PretrainRun::NotFinite(const char* what, double value, const Batch& batch) const {
  std::vector<std::string> shapes;
  for (const Draw& draw : batch.draws)
    shapes.push_back(corpus_.datasets[draw.dataset].shapes->key(draw.shape));
  return NotFiniteError(what, value, at().step + 1, at().epoch, std::move(shapes), last_saved_);
}

absl::Status PretrainRun::AddGradients(const Batch& batch, int64_t batches_in_step) {
  // Unique to the batch: what it draws does not depend on what else is in its step.
  const int64_t number = at().step * config_.accumulate() + at().batch % config_.accumulate();
  MF_ASSIGN_OR_RETURN(const PreparedBatch prepared,
                      state_->objective.Prepare(
                          FeatureTensor(batch.feat.data(), batch.size, batch.length, device_),
                          TypeTensor(batch.type.data(), batch.size, batch.length, device_), number,
                          sizes_.Total(at().epoch), {.first = batch.first, .size = batch.whole}, &group_));
  const double share = 1.0 / static_cast<double>(batches_in_step);
  const int64_t micro = MicroBatch(batch.size, batch.length, config_.micro_batch(), device_);
  std::vector<std::string> names;
  std::vector<double> values(1);
  for (int64_t first = 0; first < batch.size; first += micro) {
    const LossTerms terms =
        state_->objective.Loss(state_->model, prepared, first, std::min<int64_t>(micro, batch.size - first));
    values.resize(1 + terms.parts.size());
    values[0] += terms.total.item<double>();
    names.clear();
    for (const auto& [name, part] : terms.parts) {
      names.push_back(name);
      values[names.size()] += part.item<double>();
    }
    (batches_in_step == 1 ? terms.total : terms.total * share).backward();
  }
  MF_RETURN_IF_ERROR(group_.AllReduceSum(values));
  if (!std::isfinite(values[0])) return NotFinite("the loss", values[0], batch);
  loss_ += share * values[0];
  for (size_t i = 0; i < names.size(); ++i) parts_[names[i]] += share * values[i + 1];
  samples_ += batch.whole;
  ++at().batch;
  return absl::OkStatus();
}

absl::Status PretrainRun::Step(BatchLoader& loader) {
  const Clock::time_point start = Clock::now();
  state_->optimizer.ClearGradients();
  loss_ = 0;
  samples_ = 0;
  parts_.clear();
  const int64_t batches = BatchesInStep(at().batch);
  const Batch* batch = nullptr;
  for (int64_t i = 0; i < batches; ++i) {
    MF_ASSIGN_OR_RETURN(batch, loader.Next());
    if (batch == nullptr) return absl::InternalError("the loader has fewer batches than there are steps");
    MF_RETURN_IF_ERROR(AddGradients(*batch, batches));
  }
  MF_RETURN_IF_ERROR(AllReduceGradients(state_->optimizer.parameters(), &group_));
  const double norm = state_->optimizer.GradientNorm();
  if (!std::isfinite(norm)) return NotFinite("the gradient's norm", norm, *batch);
  const bool clip = config_.clip_grad_norm() > 0 && norm > config_.clip_grad_norm();
  if (clip) state_->optimizer.ScaleGradients(config_.clip_grad_norm() / norm);
  state_->optimizer.SetLearningRate(LearningRate());
  state_->optimizer.Step();
  ++at().step;
  speed_.AddStep(samples_);
  return Log(norm, SecondsSince(start));
}

double PretrainRun::LearningRate() const {
  return LearningRateScheduleOf(config_, config_.epochs() * StepsPerEpoch()).At(at().step);
}

absl::Status PretrainRun::Log(double norm, double seconds) {
  JsonRow row = {{"step", at().step}, {"epoch", at().epoch}, {"loss", loss_}};
  for (const auto& [name, value] : parts_) row.emplace_back(absl::StrCat("loss_", name), value);
  row.insert(row.end(), {{"lr", state_->optimizer.learning_rate()},
                         {"grad_norm", norm},
                         {"samples_per_s", static_cast<double>(samples_) / std::max(seconds, 1e-9)},
                         {"seconds", seconds}});
  return folder_.AppendLog(row);
}

absl::Status PretrainRun::Save(const std::string& path) {
  if (folder_.writes())
    MF_RETURN_IF_ERROR(WriteCheckpoint(path, PretrainCheckpoint(*state_, config_, corpus_)));
  last_saved_ = path;
  saved_at_ = Clock::now();
  return absl::OkStatus();
}

absl::Status PretrainRun::EndEpoch() {
  const int64_t finished = at().epoch;
  ++at().epoch;
  at().batch = 0;
  if (finished % config_.save_every() != 0 && at().epoch != config_.epochs()) return SaveInTime();
  MF_RETURN_IF_ERROR(Save(folder_.epoch_checkpoint(finished)));
  MF_RETURN_IF_ERROR(Save(folder_.last()));
  return config_.keep_last() > 0 ? folder_.KeepLastCheckpoints(config_.keep_last()) : absl::OkStatus();
}

absl::Status PretrainRun::SaveInTime() {
  const double minutes = SecondsSince(saved_at_) / 60;
  if (config_.save_every_minutes() == 0 || minutes < config_.save_every_minutes()) return absl::OkStatus();
  return Save(folder_.last());
}

absl::Status PretrainRun::Interrupt() {
  MF_RETURN_IF_ERROR(Save(folder_.last()));
  return absl::CancelledError(
      absl::StrCat("interrupted at step ", at().step, "; the same command goes on from ", folder_.last()));
}

absl::StatusOr<std::unique_ptr<BatchLoader>> PretrainRun::OpenLoader(
    const std::vector<TokenDataset>& datasets, int64_t end_epoch) {
  BatchLoader::Options options;
  options.batch = config_.batch();
  options.drop_last = corpus_.draws_per_epoch >= config_.batch();
  options.num_workers = config_.num_workers();
  options.part = group_.rank();
  options.parts = group_.size();
  options.draws = corpus_.draws;
  options.allocate = StagingAllocator(device_);
  options.fill = [this, &datasets](const Draw& draw, int64_t epoch, int64_t index, std::span<float> feat,
                                   std::span<uint8_t> type) {
    return TrainTokens(datasets[draw.dataset], draw.shape, static_cast<uint64_t>(config_.seed()), epoch,
                       index, feat, type);
  };
  const TokenOptions& tokens = datasets[0].tokens;
  options.length = SequenceLength(tokens.n_point, tokens.n_ray, tokens.layout);
  options.first_epoch = at().epoch;
  options.first_batch = at().batch;
  options.epochs = end_epoch;
  return BatchLoader::Create(std::move(options));
}

absl::Status PretrainRun::RunPhase(int64_t end_epoch, Progress& progress) {
  const std::vector<TokenDataset> datasets = DatasetsAt(at().epoch);
  MF_ASSIGN_OR_RETURN(const std::unique_ptr<BatchLoader> loader, OpenLoader(datasets, end_epoch));
  while (at().epoch < end_epoch) {
    // All at the same step, whichever of them was told to stop.
    MF_ASSIGN_OR_RETURN(const bool interrupted, group_.Any(Interrupted()));
    if (interrupted) return Interrupt();
    MF_RETURN_IF_ERROR(Step(*loader));
    MF_RETURN_IF_ERROR(at().batch == batches_per_epoch_ ? EndEpoch() : SaveInTime());
    progress.SetNote(
        absl::StrFormat("%.1f samples/s, epoch %d, loss %.4f", speed_.SamplesPerSecond(), at().epoch, loss_));
    progress.Add();
    MF_RETURN_IF_ERROR(folder_.WriteStatus(Status()));
  }
  return absl::OkStatus();
}

absl::Status PretrainRun::Loop() {
  if (StepsLeft() == 0) return absl::OkStatus();
  Progress progress("pretrain", "steps", config_.epochs() * StepsPerEpoch());
  progress.Add(StepsDone(), /*skipped=*/true);
  speed_.Restart();
  saved_at_ = Clock::now();
  while (at().epoch < config_.epochs()) {
    const int64_t change =
        std::min(sizes_.n_point.NextChange(at().epoch), sizes_.n_ray.NextChange(at().epoch));
    MF_RETURN_IF_ERROR(RunPhase(std::min<int64_t>(config_.epochs(), change), progress));
  }
  return absl::OkStatus();
}

absl::StatusOr<PretrainResult> PretrainRun::Run() {
  MF_RETURN_IF_ERROR(Loop());
  // Nothing was trained: the untrained weights are the product, or a finished run is where it was.
  if (last_saved_ != folder_.last()) MF_RETURN_IF_ERROR(Save(folder_.last()));
  const std::string same = folder_.epoch_checkpoint(at().epoch - 1);
  if (config_.save_last() || !FileExists(same)) return Result();
  MF_RETURN_IF_ERROR(folder_.RemoveLast());
  last_saved_ = same;
  return Result();
}

RunStatus PretrainRun::Status() const {
  RunStatus status;
  status.set_state("running");
  status.set_epoch(at().epoch);
  status.set_epochs(config_.epochs());
  status.set_step(at().step);
  speed_.Report(StepsLeft(), &status);
  return status;
}

PretrainResult PretrainRun::Result() const {
  PretrainResult result;
  result.set_checkpoint(last_saved_);
  result.set_epochs(at().epoch);
  result.set_steps(at().step);
  if (speed_.steps() > 0) {
    result.set_last_loss(loss_);
    result.set_samples_per_second(speed_.SamplesPerSecond());
    result.set_seconds_per_step(speed_.SecondsPerStep());
  }
  int64_t parameters = 0;
  for (const auto& [name, tensor] : state_->model.parameters()) parameters += tensor.numel();
  result.set_parameters(parameters);
  return result;
}

}  // namespace

absl::StatusOr<PretrainResult> Pretrain(const PretrainConfig& given) {
  MF_RETURN_IF_ERROR(CheckConfig(given));
  MF_ASSIGN_OR_RETURN(const ProcessPlace place, ReadProcessPlace());
  SetFollower(place.rank > 0);
  PretrainConfig config = given;
  MF_RETURN_IF_ERROR(CompletePretrainConfig(&config));
  MF_ASSIGN_OR_RETURN(SequenceSizes sizes, SequenceSizesOf(config));
  KeepFreedMemory();
  SetTensorThreads(config.num_threads());
  MF_ASSIGN_OR_RETURN(const c10::Device device, SelectDevice(DeviceOfProcess(config.device(), place)));
  MF_ASSIGN_OR_RETURN(Corpus corpus, OpenCorpus(config));
  MF_RETURN_IF_ERROR(CheckBatchDivides(std::min<int64_t>(config.batch(), corpus.draws_per_epoch), place));
  MF_ASSIGN_OR_RETURN(const std::unique_ptr<ProcessGroup> group,
                      JoinProcessGroup(place, config.dist_timeout_s(), config.dist_backend()));
  MF_ASSIGN_OR_RETURN(const std::unique_ptr<RunFolder> folder,
                      RunFolder::Open(config.save_dir(), group->first()));
  PretrainRun run(config, device, *group, *folder, std::move(corpus), std::move(sizes));
  MF_RETURN_IF_ERROR(CatchTensorErrors([&] { return run.Begin(); }));
  absl::StatusOr<PretrainResult> result = CatchTensorErrors([&] { return run.Run(); });
  if (result.ok()) *result->mutable_provenance() = CollectProvenance("pretrain", config);
  const PretrainResult record = result.ok() ? *result : PretrainResult();
  MF_RETURN_IF_ERROR(folder->Conclude(run.Status(), result.status(), record));
  return result;
}

}  // namespace manyform
