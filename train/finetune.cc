#include "train/finetune.h"

#include <ATen/ATen.h>

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
#include "base/follower.h"
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
#include "train/finetune_plan.h"
#include "train/finetune_record.h"
#include "train/finetune_state.h"
#include "train/not_finite.h"
#include "train/predict.h"
#include "train/process_group.h"
#include "train/process_place.h"
#include "train/run_folder.h"
#include "train/schedules.h"
#include "train/speed.h"
#include "train/tensor_errors.h"

namespace manyform {
namespace {

class FinetuneRun {
 public:
  FinetuneRun(const FinetuneConfig& given, c10::Device device, ProcessGroup& group, RunFolder* folder)
      : given_(given), device_(device), group_(group), folder_(folder) {}
  /// Nothing in the folder changes unless it returns OK.
  absl::Status Begin();
  absl::StatusOr<FinetuneResult> Run();
  RunStatus Status() const;

 private:
  absl::StatusOr<QueryTransformer> Plan();
  absl::StatusOr<std::unique_ptr<BatchLoader>> OpenLoader() const;
  std::string Note(const EpochSums& sums) const;
  absl::Status TrainEpochs();
  absl::Status Step(const Batch& batch);
  absl::Status AddGradients(const Batch& batch, EpochSums* sums);
  absl::Status NotFinite(const char* what, double value, const Batch& batch) const;
  absl::Status EndEpoch();
  absl::Status Log(const EpochSums& sums, double validation);
  absl::StatusOr<std::vector<int64_t>> Predict(const LabelledShapes& shapes, int64_t resamples) const;
  absl::Status Save();
  absl::Status SaveInTime();
  absl::Status Interrupt();

  const FinetuneConfig& config() const { return origin_.plan.config; }
  const FinetuneData& data() const { return origin_.data; }
  int64_t BatchesAnEpoch() const {
    return (static_cast<int64_t>(data().train.shapes.size()) + config().batch() - 1) / config().batch();
  }
  int64_t Steps() const { return config().epochs() * BatchesAnEpoch(); }

  const FinetuneConfig& given_;
  const c10::Device device_;
  ProcessGroup& group_;
  RunFolder* const folder_;  // null: nothing is kept on disk
  FinetuneOrigin origin_;
  std::string checkpoint_hash_;
  Pooling pooling_ = Pooling::kMeanAnswers;
  LearningRateSchedule rate_;
  std::optional<FinetuneState> state_;
  int64_t best_saved_ = -1;  // which epoch best.safetensors is of
  std::string last_saved_ = "none";
  Speed speed_;        // of this process
  Speed epoch_speed_;  // of the current epoch, since this process took it up
  Speed unsaved_;      // since the last checkpoint
};

// The model that training starts from, and everything that depends on which it is.
absl::StatusOr<QueryTransformer> FinetuneRun::Plan() {
  std::optional<LoadedModel> loaded;
  if (!given_.ckpt().empty()) {
    MF_ASSIGN_OR_RETURN(loaded, LoadModel(given_.ckpt()));
    checkpoint_hash_ = loaded->hash;
    NoteInput(given_.ckpt(), loaded->hash);
  }
  MF_ASSIGN_OR_RETURN(origin_.plan, PlanFinetune(given_, loaded ? &loaded->header : nullptr));
  MF_ASSIGN_OR_RETURN(origin_.data, OpenFinetuneData(origin_.plan));
  // Another checkpoint under the same name makes another run.
  origin_.inputs = Sha256Hex(absl::StrCat(data().fingerprint, " ", checkpoint_hash_));
  MF_ASSIGN_OR_RETURN(pooling_, ParsePooling(config().cls_pooling(), config().qa_tokens() == 1));
  rate_ = {.peak = config().lr(),
           .cosine = config().lr_schedule() == "cosine",
           .least = config().lr_min(),
           .warmup_steps = config().lr_warmup_steps(),
           .total_steps = Steps()};
  if (!loaded) return QueryTransformer::Create(origin_.plan.sizes, static_cast<uint64_t>(config().seed()));
  const int64_t max_len = origin_.plan.sizes.max_len;
  if (loaded->model.config().max_len != max_len) {
    LogLine(
        absl::StrCat("position embedding resized from ", loaded->model.config().max_len, " to ", max_len));
    loaded->model.ResizePositions(max_len);
  }
  return std::move(loaded->model);
}

absl::Status FinetuneRun::Begin() {
  NoteSeed("seed", static_cast<uint64_t>(given_.seed()));
  MF_ASSIGN_OR_RETURN(QueryTransformer model, Plan());
  LogLine(
      absl::StrFormat("%d classes: %d shapes to train on, %d to validate with, %d to test on; %d tokens each",
                      data().class_names.size(), data().train.shapes.size(), data().validation.shapes.size(),
                      data().test.shapes.size(), data().length));
  const bool resumes = folder_ != nullptr && config().auto_resume() && FileExists(folder_->last());
  if (resumes) {
    MF_ASSIGN_OR_RETURN(state_, ResumedFinetuneState(origin_, device_, folder_->last(), folder_->best()));
    best_saved_ = state_->best.epoch;
    last_saved_ = folder_->last();
  } else {
    state_ = FreshFinetuneState(origin_, std::move(model), device_);
  }
  MF_RETURN_IF_ERROR(ShareFinetuneState(origin_, &*state_, &group_));
  if (folder_ == nullptr) return absl::OkStatus();
  MF_RETURN_IF_ERROR(folder_->TruncateLog(resumes ? state_->step : -1));
  if (config().tensorboard()) folder_->StartEvents(resumes ? state_->step : -1);
  MF_RETURN_IF_ERROR(folder_->WriteConfig(config()));
  return folder_->WriteStatus(Status());
}

absl::Status FinetuneRun::NotFinite(const char* what, double value, const Batch& batch) const {
  std::vector<std::string> shapes;
  const LabelledShapes& train = data().train;
  for (const Draw& draw : batch.draws) shapes.push_back(train.dataset.shapes->key(train.shapes[draw.shape]));
  return NotFiniteError(what, value, state_->step + 1, state_->epoch, std::move(shapes), last_saved_);
}

absl::Status FinetuneRun::AddGradients(const Batch& batch, EpochSums* sums) {
  std::vector<int64_t> labels;
  for (const Draw& draw : batch.draws) labels.push_back(data().train.labels[draw.shape]);
  // The loss is a mean over the whole batch: what this process has of it comes in with its share. Of an
  // epoch's last batch that may be nothing.
  std::vector<double> loss_and_right(2);
  if (batch.size > 0) {
    const at::Tensor label = at::tensor(labels, at::kLong).to(device_);
    const at::Tensor pooled = PooledHidden(
        state_->model, FeatureTensor(batch.feat.data(), batch.size, batch.length, device_),
        TypeTensor(batch.type.data(), batch.size, batch.length, device_), pooling_, config().cls_is_causal());
    const at::Tensor logits = state_->head.Logits(pooled);
    at::Tensor loss = at::cross_entropy_loss(logits, label);
    if (batch.size < batch.whole)
      loss = loss * (static_cast<double>(batch.size) / static_cast<double>(batch.whole));
    loss.backward();
    loss_and_right = {loss.item<double>(), logits.detach().argmax(1).eq(label).sum().item<double>()};
  }
  MF_RETURN_IF_ERROR(group_.AllReduceSum(loss_and_right));
  const double loss = loss_and_right[0];
  if (!std::isfinite(loss)) return NotFinite("the loss", loss, batch);
  sums->loss += loss * static_cast<double>(batch.whole);
  sums->samples += batch.whole;
  sums->right += static_cast<int64_t>(loss_and_right[1]);
  return absl::OkStatus();
}

absl::Status FinetuneRun::Step(const Batch& batch) {
  AdamW& optimizer = state_->optimizer;
  EpochSums& sums = state_->sums;
  optimizer.ClearGradients();
  MF_RETURN_IF_ERROR(AddGradients(batch, &sums));
  MF_RETURN_IF_ERROR(AllReduceGradients(optimizer.parameters(), &group_));
  const double norm = optimizer.GradientNorm();
  if (!std::isfinite(norm)) return NotFinite("the gradient's norm", norm, batch);
  const bool clip = config().clip_grad_norm() > 0 && norm > config().clip_grad_norm();
  if (clip) optimizer.ScaleGradients(config().clip_grad_norm() / norm);
  optimizer.SetLearningRate(rate_.At(state_->step));
  optimizer.Step();
  ++state_->step;
  sums.squared_gradients += norm * norm;
  ++sums.steps;
  speed_.AddStep(batch.whole);
  epoch_speed_.AddStep(batch.whole);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int64_t>> FinetuneRun::Predict(const LabelledShapes& shapes,
                                                          int64_t resamples) const {
  const PredictOptions options{.pooling = pooling_,
                               .causal = config().cls_is_causal(),
                               .eval_seed = config().eval_seed(),
                               .resamples = resamples,
                               .batch = config().batch(),
                               .num_workers = config().num_workers()};
  MF_ASSIGN_OR_RETURN(const at::Tensor logits,
                      PredictTogether(state_->model, state_->head, shapes, data().length, options, &group_));
  return PredictedLabels(logits);
}

absl::Status FinetuneRun::Save() {
  if (folder_ == nullptr) return absl::OkStatus();
  if (!folder_->writes()) {
    last_saved_ = folder_->last();
    return absl::OkStatus();
  }
  // The best one first: a last checkpoint never stands without the best that it knows of.
  if (best_saved_ != state_->best.epoch)
    MF_RETURN_IF_ERROR(WriteCheckpoint(folder_->best(), BestCheckpoint(*state_, origin_)));
  best_saved_ = state_->best.epoch;
  MF_RETURN_IF_ERROR(WriteCheckpoint(folder_->last(), LastCheckpoint(*state_, origin_)));
  last_saved_ = folder_->last();
  unsaved_.Restart();
  return absl::OkStatus();
}

absl::Status FinetuneRun::SaveInTime() {
  const double minutes = config().save_every_minutes();
  return minutes > 0 && unsaved_.Seconds() >= 60 * minutes ? Save() : absl::OkStatus();
}

absl::Status FinetuneRun::Interrupt() {
  if (folder_ == nullptr)
    return absl::CancelledError(
        absl::StrCat("interrupted in epoch ", state_->epoch, "; nothing is kept without a save_dir"));
  MF_RETURN_IF_ERROR(Save());
  return absl::CancelledError(absl::StrCat("interrupted at step ", state_->step,
                                           "; the same command goes on from ", folder_->last()));
}

absl::Status FinetuneRun::Log(const EpochSums& sums, double validation) {
  if (folder_ == nullptr) return absl::OkStatus();
  const auto samples = static_cast<double>(sums.samples);
  JsonRow row = {{"step", state_->step},
                 {"epoch", state_->epoch - 1},
                 {"loss", sums.loss / samples},
                 {"loss_cls", sums.loss / samples},
                 {"lr", state_->optimizer.learning_rate()},
                 {"grad_norm", std::sqrt(sums.squared_gradients / static_cast<double>(sums.steps))},
                 {"samples_per_s", epoch_speed_.SamplesPerSecond()},
                 {"seconds", epoch_speed_.Seconds()},
                 {"train_acc", static_cast<double>(sums.right) / samples}};
  if (validation >= 0)
    row.insert(row.end(), {{"val_acc", validation}, {"best_val", state_->best.validation}});
  return folder_->AppendLog(row);
}

// \error Cancelled during validation: the epoch is as it was before.
absl::Status FinetuneRun::EndEpoch() {
  double validation = -1;
  if (!data().validation.shapes.empty()) {
    MF_ASSIGN_OR_RETURN(const std::vector<int64_t> predictions,
                        Predict(data().validation, config().mc_eval_k_val()));
    validation = Accuracy(predictions, data().validation.labels);
    if (validation > state_->best.validation) state_->KeepAsBest(state_->epoch, validation);
  }
  const int64_t finished = state_->epoch++;
  const EpochSums sums = std::exchange(state_->sums, {});
  MF_RETURN_IF_ERROR(Log(sums, validation));
  epoch_speed_.Restart();
  return finished % config().save_every() == 0 || state_->epoch == config().epochs() ? Save() : SaveInTime();
}

absl::StatusOr<std::unique_ptr<BatchLoader>> FinetuneRun::OpenLoader() const {
  BatchLoader::Options options;
  options.batch = config().batch();
  options.drop_last = false;
  options.num_workers = config().num_workers();
  options.part = group_.rank();
  options.parts = group_.size();
  options.length = data().length;
  options.allocate = StagingAllocator(device_);
  options.first_epoch = state_->epoch;
  options.first_batch = state_->sums.steps;
  options.epochs = config().epochs();
  // Draws count the training shapes; `fill` looks up which they are.
  options.draws = [this](int64_t epoch) {
    return ShuffledEpoch(static_cast<int64_t>(data().train.shapes.size()), config().seed(), epoch);
  };
  options.fill = [this](const Draw& draw, int64_t epoch, int64_t index, std::span<float> feat,
                        std::span<uint8_t> type) {
    return TrainTokens(data().train.dataset, data().train.shapes[draw.shape],
                       static_cast<uint64_t>(config().seed()), epoch, index, feat, type);
  };
  return BatchLoader::Create(std::move(options));
}

std::string FinetuneRun::Note(const EpochSums& sums) const {
  const BestEpoch& best = state_->best;
  std::string note = absl::StrFormat("%.1f samples/s, loss %.4f", speed_.SamplesPerSecond(),
                                     sums.loss / static_cast<double>(sums.samples));
  if (best.epoch >= 0)
    absl::StrAppendFormat(&note, ", best validation %.3f (epoch %d)", best.validation, best.epoch);
  return note;
}

absl::Status FinetuneRun::TrainEpochs() {
  Progress progress("finetune", "epochs", config().epochs());
  progress.Add(state_->epoch, /*skipped=*/true);
  if (state_->epoch >= config().epochs()) return absl::OkStatus();
  MF_ASSIGN_OR_RETURN(const std::unique_ptr<BatchLoader> loader, OpenLoader());
  for (Speed* speed : {&speed_, &epoch_speed_, &unsaved_}) speed->Restart();
  while (state_->epoch < config().epochs()) {
    // All at the same step, whichever of them was told to stop.
    MF_ASSIGN_OR_RETURN(const bool interrupted, group_.Any(Interrupted()));
    if (interrupted) return Interrupt();
    // A run that was stopped during validation has made all steps of its epoch.
    if (state_->sums.steps < BatchesAnEpoch()) {
      MF_ASSIGN_OR_RETURN(const Batch* batch, loader->Next());
      if (batch == nullptr) return absl::InternalError("the loader has fewer batches than there are steps");
      MF_RETURN_IF_ERROR(Step(*batch));
    }
    const EpochSums sums = state_->sums;
    if (sums.steps < BatchesAnEpoch()) {
      MF_RETURN_IF_ERROR(SaveInTime());
      progress.SetNote(Note(sums));
    } else {
      const absl::Status ended = EndEpoch();
      if (absl::IsCancelled(ended)) return Interrupt();
      MF_RETURN_IF_ERROR(ended);
      progress.SetNote(Note(sums));
      progress.Add();
    }
    if (folder_ != nullptr) MF_RETURN_IF_ERROR(folder_->WriteStatus(Status()));
  }
  return absl::OkStatus();
}

absl::StatusOr<FinetuneResult> FinetuneRun::Run() {
  MF_RETURN_IF_ERROR(TrainEpochs());
  MF_RETURN_IF_ERROR(state_->RestoreBest(origin_.plan));
  FinetuneOutcome outcome{.best_epoch = state_->best.epoch < 0 ? state_->epoch - 1 : state_->best.epoch,
                          .best_validation = state_->best.validation,
                          .predictions = {},
                          .checkpoint_hash = checkpoint_hash_};
  MF_ASSIGN_OR_RETURN(outcome.predictions, Predict(data().test, config().mc_eval_k_test()));
  if (folder_ != nullptr)
    MF_RETURN_IF_ERROR(folder_->AppendEvent(
        state_->step, {{"test_acc", Accuracy(outcome.predictions, data().test.labels)}}));
  return MakeFinetuneResult(origin_.plan, data(), outcome);
}

RunStatus FinetuneRun::Status() const {
  RunStatus status;
  status.set_state("running");
  status.set_epoch(state_->epoch);
  status.set_epochs(config().epochs());
  status.set_step(state_->step);
  speed_.Report(Steps() - state_->step, &status);
  return status;
}

}  // namespace

absl::StatusOr<FinetuneResult> Finetune(const FinetuneConfig& config) {
  MF_RETURN_IF_ERROR(CheckConfig(config));
  MF_ASSIGN_OR_RETURN(const ProcessPlace place, ReadProcessPlace());
  SetFollower(place.rank > 0);
  KeepFreedMemory();
  SetTensorThreads(config.num_threads());
  MF_ASSIGN_OR_RETURN(const c10::Device device, SelectDevice(DeviceOfProcess(config.device(), place)));
  MF_RETURN_IF_ERROR(CheckBatchDivides(config.batch(), place));
  MF_ASSIGN_OR_RETURN(const std::unique_ptr<ProcessGroup> group,
                      JoinProcessGroup(place, config.dist_timeout_s(), config.dist_backend()));
  std::unique_ptr<RunFolder> folder;
  if (!config.save_dir().empty()) {
    MF_ASSIGN_OR_RETURN(folder, RunFolder::Open(config.save_dir(), group->first()));
  }
  FinetuneRun run(config, device, *group, folder.get());
  MF_RETURN_IF_ERROR(CatchTensorErrors([&] { return run.Begin(); }));
  absl::StatusOr<FinetuneResult> result = CatchTensorErrors([&] { return run.Run(); });
  if (result.ok()) *result->mutable_provenance() = CollectProvenance("finetune", config);
  const FinetuneResult record = result.ok() ? *result : FinetuneResult();
  if (folder != nullptr) MF_RETURN_IF_ERROR(folder->Conclude(run.Status(), result.status(), record));
  return result;
}

}  // namespace manyform
