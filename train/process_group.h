/// \file
/// The processes that train one model together, and what they agree on.
///
/// Every process makes the same calls in the same order; each call waits for the others. After an error there
/// is no group any more: the run ends.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/named_tensors.h"
#include "train/process_place.h"

namespace manyform {

/// One process by itself, which agrees at once; the base of several.
class ProcessGroup {
 public:
  ProcessGroup() = default;
  virtual ~ProcessGroup() = default;
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  int64_t rank() const { return place_.rank; }
  int64_t size() const { return place_.size; }
  bool alone() const { return place_.alone(); }
  /// Writes and speaks for all.
  bool first() const { return rank() == 0; }

  /// In place, to the same bits in every process. Floats, or integers of 8, 32 or 64 bits.
  absl::Status AllReduceSum(const at::Tensor& tensor);
  absl::Status AllReduceSum(std::span<double> values);
  /// Whether it is so in any process.
  absl::StatusOr<bool> Any(bool value);
  /// In place: the first process's. Any type.
  absl::Status Broadcast(const at::Tensor& tensor);

 protected:
  explicit ProcessGroup(const ProcessPlace& place) : place_(place) {}

 private:
  // Of contiguous tensors on the CPU.
  virtual absl::Status Sum(const at::Tensor& tensor);
  virtual absl::Status Copy(const at::Tensor& tensor);
  const ProcessPlace place_{};
};

/// Meets the others at place.master over TCP; a lone process needs none. A call that waits longer than
/// `timeout_s` for another process fails. \error Unavailable, saying what is known of the cause, here and in
/// every call, once a process is gone, silent, or cannot be reached; FailedPrecondition for a backend other
/// than "gloo".
absl::StatusOr<std::unique_ptr<ProcessGroup>> JoinProcessGroup(const ProcessPlace& place, double timeout_s,
                                                               const std::string& backend = "gloo");

/// Gradients become their sums over all processes, a few large tensors at a time. A parameter without a
/// gradient in one process counts as one of zeros; without one in any it stays so.
absl::Status AllReduceGradients(const NamedTensors& parameters, ProcessGroup* group);

}  // namespace manyform
