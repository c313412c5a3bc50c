#include "train/process_group.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Without it the header of the Gloo group is empty.
#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace manyform {
namespace {

// Of gradients summed at once: large enough that a message's own cost does not count.
constexpr int64_t kBucketNumbers = int64_t{1} << 22;

// The first line, without the place in Gloo's sources it begins with.
std::string Cause(const std::exception& e) {
  const std::string line = std::vector<std::string>(absl::StrSplit(e.what(), '\n'))[0];
  const size_t place = line.starts_with('[') ? line.find("] ") : std::string::npos;
  return place == std::string::npos ? line : line.substr(place + 2);
}

class GlooGroup : public ProcessGroup {
 public:
  static absl::StatusOr<std::unique_ptr<ProcessGroup>> Join(const ProcessPlace& place, double timeout_s);

 private:
  GlooGroup(const ProcessPlace& place, double timeout_s, c10::intrusive_ptr<c10d::Store> store,
            c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo)
      : ProcessGroup(place), timeout_s_(timeout_s), store_(std::move(store)), gloo_(std::move(gloo)) {}

  absl::Status Sum(const at::Tensor& tensor) override {
    return Agree([&](std::vector<at::Tensor>& tensors) { return gloo_->allreduce(tensors); }, tensor);
  }
  absl::Status Copy(const at::Tensor& tensor) override {
    return Agree([&](std::vector<at::Tensor>& tensors) { return gloo_->broadcast(tensors); }, tensor);
  }
  template <class Call>
  absl::Status Agree(const Call& call, const at::Tensor& tensor);

  const double timeout_s_;
  absl::Status failure_;
  const c10::intrusive_ptr<c10d::Store> store_;
  const c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo_;
};

template <class Call>
absl::Status GlooGroup::Agree(const Call& call, const at::Tensor& tensor) {
  if (!failure_.ok()) return failure_;
  try {
    std::vector<at::Tensor> tensors = {tensor};
    call(tensors)->wait();
  } catch (const std::exception& e) {
    failure_ = absl::UnavailableError(absl::StrCat(
        "process ", rank(), " of ", size(), " has lost another one, which has stopped or been silent for ",
        timeout_s_, " s (dist_timeout_s): ", Cause(e)));
  }
  return failure_;
}

absl::StatusOr<std::unique_ptr<ProcessGroup>> GlooGroup::Join(const ProcessPlace& place, double timeout_s) {
  const std::chrono::milliseconds timeout(static_cast<int64_t>(timeout_s * 1000));
  try {
    c10d::TCPStoreOptions options;
    options.port = static_cast<uint16_t>(place.port);
    // torchrun may have started the store already, and says so.
    const char* torchruns = getenv("TORCHELASTIC_USE_AGENT_STORE");
    options.isServer = place.rank == 0 && (torchruns == nullptr || std::string_view(torchruns) != "True");
    options.numWorkers = place.size;
    options.timeout = timeout;
    c10::intrusive_ptr<c10d::Store> store = c10::make_intrusive<c10d::TCPStore>(place.master, options);
    // It keeps it over restarts: what a dead attempt left in it is not for the next one.
    const char* attempt = getenv("TORCHELASTIC_RESTART_COUNT");
    store = c10::make_intrusive<c10d::PrefixStore>(
        absl::StrCat("manyform/", attempt == nullptr ? "" : attempt), std::move(store));
    auto gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(
        store, static_cast<int>(place.rank), static_cast<int>(place.size),
        c10d::ProcessGroupGloo::Options::create_default(timeout));
    return std::unique_ptr<ProcessGroup>(new GlooGroup(place, timeout_s, std::move(store), std::move(gloo)));
  } catch (const std::exception& e) {
    return absl::UnavailableError(absl::StrCat("process ", place.rank, " of ", place.size,
                                               " cannot meet the others at ", place.master, ":", place.port,
                                               " (MASTER_ADDR, MASTER_PORT): ", Cause(e)));
  }
}

// On the CPU, contiguous, and back: Gloo's own way through a GPU needs LibTorch's CUDA half linked in.
template <class Call>
absl::Status Staged(const at::Tensor& tensor, const Call& call) {
  const at::NoGradGuard no_grad;
  const at::Tensor detached = tensor.detach(), staged = detached.cpu().contiguous();
  MF_RETURN_IF_ERROR(call(staged));
  if (!staged.is_same(detached) && staged.const_data_ptr() != detached.const_data_ptr())
    detached.copy_(staged);
  return absl::OkStatus();
}

// Gradients of parameters [begin, end), flat; `has` (one number each) says where there are any.
absl::Status SumBucket(const NamedTensors& parameters, size_t begin, size_t end, const at::Tensor& has,
                       ProcessGroup* group) {
  std::vector<at::Tensor> flat;
  for (size_t i = begin; i < end; ++i) {
    const at::Tensor& parameter = parameters[i].second;
    flat.push_back(parameter.grad().defined() ? parameter.grad().flatten()
                                              : at::zeros({parameter.numel()}, parameter.detach().options()));
  }
  const at::Tensor bucket = at::cat(flat);
  MF_RETURN_IF_ERROR(group->AllReduceSum(bucket));
  int64_t offset = 0;
  for (size_t i = begin; i < end; ++i) {
    const at::Tensor& parameter = parameters[i].second;
    if (has[static_cast<int64_t>(i)].item<int32_t>() > 0)
      parameter.mutable_grad() = bucket.narrow(0, offset, parameter.numel()).view(parameter.sizes());
    offset += parameter.numel();
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ProcessGroup::Sum(const at::Tensor&) { return absl::OkStatus(); }
absl::Status ProcessGroup::Copy(const at::Tensor&) { return absl::OkStatus(); }

absl::Status ProcessGroup::AllReduceSum(const at::Tensor& tensor) {
  if (alone()) return absl::OkStatus();
  return Staged(tensor, [this](const at::Tensor& staged) { return Sum(staged); });
}

absl::Status ProcessGroup::AllReduceSum(std::span<double> values) {
  if (alone()) return absl::OkStatus();
  return Sum(at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, at::kDouble));
}

absl::StatusOr<bool> ProcessGroup::Any(bool value) {
  double count = value ? 1 : 0;
  MF_RETURN_IF_ERROR(AllReduceSum({&count, 1}));
  return count > 0;
}

absl::Status ProcessGroup::Broadcast(const at::Tensor& tensor) {
  if (alone()) return absl::OkStatus();
  return Staged(tensor, [this](const at::Tensor& staged) { return Copy(staged); });
}

absl::StatusOr<std::unique_ptr<ProcessGroup>> JoinProcessGroup(const ProcessPlace& place, double timeout_s,
                                                               const std::string& backend) {
  if (backend != "gloo")
    return absl::FailedPreconditionError(
        absl::StrCat("dist_backend=", backend,
                     ": not part of this build; gloo serves GPUs too, through the CPU's memory"));
  if (place.alone()) return std::make_unique<ProcessGroup>();
  return GlooGroup::Join(place, timeout_s);
}

absl::Status AllReduceGradients(const NamedTensors& parameters, ProcessGroup* group) {
  if (group->alone()) return absl::OkStatus();
  const at::NoGradGuard no_grad;
  const at::Tensor has = at::zeros({static_cast<int64_t>(parameters.size())}, at::kInt);
  for (size_t i = 0; i < parameters.size(); ++i)
    if (parameters[i].second.grad().defined()) has[static_cast<int64_t>(i)].fill_(1);
  MF_RETURN_IF_ERROR(group->AllReduceSum(has));
  for (size_t begin = 0, end = 0; begin < parameters.size(); begin = end) {
    for (int64_t numbers = 0; end < parameters.size() && (end == begin || numbers < kBucketNumbers); ++end)
      numbers += parameters[end].second.numel();
    MF_RETURN_IF_ERROR(SumBucket(parameters, begin, end, has, group));
  }
  return absl::OkStatus();
}

}  // namespace manyform
