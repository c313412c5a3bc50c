#include "train/bench_step.h"

#include <ATen/ATen.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/status_macros.h"
#include "data/bench_stages.h"
#include "data/loader.h"
#include "model/attention_masks.h"
#include "model/checkpoint.h"
#include "model/device.h"
#include "train/allocator.h"
#include "train/batch_share.h"
#include "train/bench_baseline.h"
#include "train/optimizer.h"
#include "train/pretrain_objective.h"
#include "train/process_group.h"
#include "train/tensor_errors.h"

namespace manyform {
namespace {

constexpr int kShapes = 8;
constexpr DualMask kDualMask = {.near = 0.4, .far = 0.1, .window = 32};
constexpr char kBox[] =
    "v -1 -1 -1\nv 1 -1 -1\nv 1 1 -1\nv -1 1 -1\nv -1 -1 1\nv 1 -1 1\nv 1 1 1\nv -1 1 1\n"
    "f 1 4 3 2\nf 5 6 7 8\nf 1 2 6 5\nf 2 3 7 6\nf 3 4 8 7\nf 4 1 5 8\n";

using Clock = std::chrono::steady_clock;
double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

template <class T>
absl::StatusOr<T> Find(const std::vector<T>& all, const char* field, const std::string& name) {
  std::vector<std::string> names;
  for (const T& one : all) {
    if (one.name == name) return one;
    names.push_back(one.name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": '", name, "', expected one of ", absl::StrJoin(names, ", ")));
}

// The product of a feed-forward block, the widest there is.
double GemmFlopPerSecond(int64_t rows, int64_t d, at::TensorOptions options) {
  const at::Tensor a = at::rand({rows, d}, options), b = at::rand({d, 4 * d}, options);
  at::Tensor c = at::mm(a, b);
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    const Clock::time_point start = Clock::now();
    at::mm_out(c, a, b);
    c.select(0, 0).sum().item<double>();
    best = std::min(best, SecondsSince(start));
  }
  return 2.0 * static_cast<double>(rows * d * 4 * d) / best;
}

int64_t PeakBytes(c10::Device device) {
  if (!device.is_cpu()) {
    constexpr size_t kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    return at::getDeviceAllocator(device.type())->getDeviceStats(device.index()).allocated_bytes[kAll].peak;
  }
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

// As a run with these settings.
PretrainConfig ConfigOf(const BenchSize& size, const BenchWay& way) {
  PretrainConfig config;
  config.set_d_model(static_cast<int32_t>(size.d_model));
  config.set_n_point(static_cast<int32_t>(size.n_point));
  config.set_n_ray(static_cast<int32_t>(size.n_ray));
  config.set_qa_tokens(true);
  if (!way.dual_mask) return config;
  config.set_dual_mask_near(kDualMask.near);
  config.set_dual_mask_far(kDualMask.far);
  config.set_dual_mask_window(kDualMask.window);
  config.set_dual_mask_warmup_frac(0);
  return config;
}

struct Phases {
  std::vector<double> data, forward, backward, optimizer, step;
};

// One way of computing steps, and what it needs.
class Stepper {
 public:
  static absl::StatusOr<Stepper> Create(QueryTransformer model, const BenchSize& size, const BenchWay& way,
                                        int64_t micro_batch) {
    MF_ASSIGN_OR_RETURN(
        PretrainObjective objective,
        PretrainObjective::Create(ConfigOf(size, way), model.config().max_len, 1, nullptr, model.device()));
    return Stepper(std::move(model), std::move(objective), size, way, micro_batch);
  }

  // Adds the loss's gradients up and returns its value; lap(forward or not) is called after each part of it.
  template <class Lap>
  absl::StatusOr<double> AddGradients(const at::Tensor& feat, const at::Tensor& type, int64_t step,
                                      Lap lap) const {
    const int64_t batch = feat.size(0);
    double value = 0;
    const auto add = [&](const at::Tensor& loss) {
      value += loss.item<double>();
      lap(true);
      loss.backward();
      Wait(/*gradient=*/true);
      lap(false);
    };
    if (way_.baseline) {
      DualMask mask = kDualMask;
      mask.seed = static_cast<uint32_t>(step);
      const at::Tensor blocked = DualMaskBlocked(mask, type);
      const at::Tensor dense = at::zeros(blocked.sizes(), feat.options()).masked_fill_(blocked, -INFINITY);
      add(BaselineNepaLoss(model_, feat, type, dense));
      return value;
    }
    ProcessGroup alone;
    MF_ASSIGN_OR_RETURN(const PreparedBatch prepared,
                        objective_.Prepare(feat, type, step, total_, {.size = batch}, &alone));
    const int64_t micro = MicroBatch(batch, feat.size(1), micro_batch_, feat.device());
    for (int64_t first = 0; first < batch; first += micro)
      add(objective_.Loss(model_, prepared, first, std::min(micro, batch - first)).total);
    return value;
  }
  void ClearGradients() { way_.baseline ? published_.ClearGradients() : ours_.ClearGradients(); }
  void Optimize() {
    way_.baseline ? published_.Step() : ours_.Step();
    Wait(/*gradient=*/false);
  }

 private:
  Stepper(QueryTransformer model, PretrainObjective objective, const BenchSize& size, const BenchWay& way,
          int64_t micro_batch)
      : model_(std::move(model)),
        objective_(std::move(objective)),
        way_(way),
        total_(size.n_point + size.n_ray),
        micro_batch_(micro_batch),
        ours_(model_.parameters(), {}),
        published_(way.baseline ? model_.parameters() : NamedTensors{}) {}

  // For a GPU: reads a number of what was computed last.
  void Wait(bool gradient) const {
    if (model_.device().is_cpu()) return;
    const at::Tensor& first = model_.parameters()[0].second;
    (gradient ? first.grad() : first.detach()).select(1, 0).sum().item<double>();
  }

  QueryTransformer model_;
  PretrainObjective objective_;
  BenchWay way_;
  int64_t total_, micro_batch_;
  AdamW ours_;
  BaselineAdamW published_;
};

// Samples of a batch, drawn as in training.
class Samples {
 public:
  static absl::StatusOr<Samples> Open(const BenchSize& size, int64_t batch, const std::string& root) {
    MF_ASSIGN_OR_RETURN(ShapeList list, ShapeList::Open(root, "train"));
    Samples samples;
    samples.dataset_ = {std::make_shared<const ShapeList>(std::move(list)),
                        {.backend = Backend::kMesh},
                        {.n_point = size.n_point, .n_ray = size.n_ray, .layout = {.qa_tokens = true}}};
    samples.length_ = BenchLength(size);
    samples.feat_.resize(static_cast<size_t>(batch * samples.length_ * kFeatures));
    samples.type_.resize(static_cast<size_t>(batch * samples.length_));
    return samples;
  }
  absl::Status Draw(int64_t batch, int64_t step) {
    const std::span<float> feat(feat_);
    const std::span<uint8_t> type(type_);
    for (int64_t i = 0; i < batch; ++i)
      MF_RETURN_IF_ERROR(TrainTokens(dataset_, i % dataset_.shapes->size(), 0, 0, step * batch + i,
                                     feat.subspan(i * length_ * kFeatures, length_ * kFeatures),
                                     type.subspan(i * length_, length_)));
    return absl::OkStatus();
  }
  const float* feat() const { return feat_.data(); }
  const uint8_t* type() const { return type_.data(); }

 private:
  TokenDataset dataset_;
  int64_t length_ = 0;
  std::vector<float> feat_;
  std::vector<uint8_t> type_;
};

}  // namespace

absl::StatusOr<BenchSize> FindBenchSize(const std::string& name) {
  static const auto& sizes = *new std::vector<BenchSize>{
      {"published", 256, 256, 384, 8, 6}, {"demo", 64, 64, 96, 3, 6}, {"small", 50, 50, 128, 4, 4}};
  return Find(sizes, "sizes", name);
}

absl::StatusOr<BenchWay> FindBenchWay(const std::string& name) {
  static const auto& ways = *new std::vector<BenchWay>{
      {.name = "f32"},
      {.name = "bf16", .bf16 = true},
      {.name = "f32_dual", .dual_mask = true},
      {.name = "bf16_dual", .bf16 = true, .dual_mask = true},
      {.name = "baseline", .dual_mask = true, .baseline = true},
  };
  return Find(ways, "modes", name);
}

int64_t BenchLength(const BenchSize& size) {
  return SequenceLength(size.n_point, size.n_ray, {.qa_tokens = true});
}

double StepFlop(const BenchSize& size, int64_t batch) {
  const auto d = static_cast<double>(size.d_model), length = static_cast<double>(BenchLength(size));
  const double layer = 12 * d * d + length * d;  // scores and mixing, half of the square each
  const double token = static_cast<double>(size.layers) * layer + 2 * d * d + kFeatures * d;
  return 3 * 2 * token * length * static_cast<double>(batch);
}

absl::Status MakeBenchCache(const std::string& root) {
  const std::string mesh = JoinPath(root, "box.obj"), folder = JoinPath(root, "train/box");
  MF_RETURN_IF_ERROR(MakeDirectories(folder));
  MF_RETURN_IF_ERROR(WriteFileAtomically(mesh, kBox));
  for (int i = 0; i < kShapes; ++i)
    MF_RETURN_IF_ERROR(BuildShapeFile(mesh, JoinPath(folder, absl::StrCat(i, ".npz"))));
  return absl::OkStatus();
}

absl::StatusOr<TrainBenchRow> TimeSteps(const BenchSize& size, const BenchWay& way, int threads,
                                        int64_t batch, int64_t micro_batch, int64_t steps,
                                        const std::string& device_name, const std::string& root) {
  // The published system has no such allocator settings.
  if (!way.baseline) KeepFreedMemory();
  TrainBenchRow row;
  row.set_threads(SetTensorThreads(threads));
  MF_ASSIGN_OR_RETURN(const c10::Device device, SelectDevice(device_name));
  MF_ASSIGN_OR_RETURN(Samples samples, Samples::Open(size, batch, root));
  const int64_t length = BenchLength(size);
  MF_ASSIGN_OR_RETURN(QueryTransformer model, QueryTransformer::Create({.d_model = size.d_model,
                                                                        .layers = size.layers,
                                                                        .heads = size.heads,
                                                                        .n_types = 9,
                                                                        .max_len = length},
                                                                       0));
  model.To(device);
  const bool half = way.baseline && !device.is_cpu();
  model.SetPrecision(half ? Precision::kF16 : way.bf16 ? Precision::kBf16 : Precision::kF32);
  MF_ASSIGN_OR_RETURN(Stepper stepper, Stepper::Create(std::move(model), size, way, micro_batch));
  Phases times;
  for (int64_t step = 0; step <= steps; ++step) {
    MF_RETURN_IF_ERROR(CheckInterrupt());
    double data = 0, forward = 0, backward = 0, optimizer = 0;
    Clock::time_point start = Clock::now();
    const auto lap = [&](double* phase) {
      *phase += SecondsSince(start);
      start = Clock::now();
    };
    MF_RETURN_IF_ERROR(samples.Draw(batch, step));
    lap(&data);
    const Clock::time_point begin = start;
    const at::Tensor feat = FeatureTensor(samples.feat(), batch, length, device);
    const at::Tensor type = TypeTensor(samples.type(), batch, length, device);
    stepper.ClearGradients();
    MF_ASSIGN_OR_RETURN(const double loss, stepper.AddGradients(feat, type, step, [&](bool was_forward) {
      lap(was_forward ? &forward : &backward);
    }));
    row.set_last_loss(loss);
    stepper.Optimize();
    lap(&optimizer);
    if (step == 0) continue;
    times.data.push_back(data);
    times.forward.push_back(forward);
    times.backward.push_back(backward);
    times.optimizer.push_back(optimizer);
    times.step.push_back(SecondsSince(begin));
  }
  row.set_peak_bytes(PeakBytes(device));
  row.set_size(size.name);
  row.set_mode(way.name);
  row.set_batch(batch);
  row.set_length(length);
  row.set_step_seconds(Median(times.step));
  row.set_data_seconds(Median(times.data));
  row.set_forward_seconds(Median(times.forward));
  row.set_backward_seconds(Median(times.backward));
  row.set_optimizer_seconds(Median(times.optimizer));
  row.set_step_flop(StepFlop(size, batch));
  const at::ScalarType type = half ? at::kHalf : way.bf16 ? at::kBFloat16 : at::kFloat;
  row.set_gemm_flop_per_second(
      GemmFlopPerSecond(batch * length, size.d_model, at::TensorOptions(type).device(device)));
  return row;
}

}  // namespace manyform
