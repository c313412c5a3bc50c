/// \file
/// How fast a process trains.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "proto/train.pb.h"

namespace manyform {

/// Steps and samples since it was made or restarted.
class Speed {
 public:
  void Restart() { *this = Speed(); }
  void AddStep(int64_t samples) {
    samples_ += samples;
    ++steps_;
  }
  double Seconds() const {
    const std::chrono::duration<double> since = std::chrono::steady_clock::now() - start_;
    return std::max(since.count(), 1e-9);
  }
  int64_t steps() const { return steps_; }
  double SamplesPerSecond() const { return static_cast<double>(samples_) / Seconds(); }
  double SecondsPerStep() const { return steps_ > 0 ? Seconds() / static_cast<double>(steps_) : 0; }
  /// Rate and time left; nothing before the first step.
  void Report(int64_t steps_left, RunStatus* status) const {
    if (steps_ == 0) return;
    status->set_samples_per_second(SamplesPerSecond());
    status->set_seconds_left(SecondsPerStep() * static_cast<double>(steps_left));
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  int64_t samples_ = 0, steps_ = 0;
};

}  // namespace manyform
