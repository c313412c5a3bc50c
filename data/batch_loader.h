/// \file
/// Worker threads that fill batches whose order and content do not depend on how many they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "data/mixture.h"

namespace manyform {

/// (B,T,15) features and (B,T) types of one batch, and the draws they came from. The features and types of a
/// loader's batches lie in a few buffers that are allocated once.
struct Batch {
  int64_t size = 0, length = 0;
  /// Where these sequences begin in the whole batch and how many that has, if this is a part of it.
  int64_t first = 0, whole = 0;
  std::span<const float> feat;
  std::span<const uint8_t> type;
  std::vector<Draw> draws;
  int64_t epoch = 0, index = 0;  ///< batch number within the epoch
};

/// Fills batches ahead on worker threads and hands them out in order. Every dataset must give sequences of
/// one length. Buffers are reused: a batch is valid until the next call of Next, which one thread calls.
class BatchLoader {
 public:
  struct Options {
    int64_t batch = 32;
    bool drop_last = true;  ///< an incomplete last batch is left out
    int num_workers = 1;
    int prefetch = 4;  ///< batches filled ahead of the one handed out
    /// The draws of an epoch, in order. Called once an epoch, in order, never concurrently.
    std::function<absl::StatusOr<std::vector<Draw>>(int64_t epoch)> draws;
    /// Writes one sequence; called from workers. `index` is the draw's place in its epoch.
    std::function<absl::Status(const Draw& draw, int64_t epoch, int64_t index, std::span<float> feat,
                               std::span<uint8_t> type)>
        fill;
    int64_t length = 0;  ///< tokens a sequence
    /// For one of several processes: of each batch of n, sequences [n part / parts, n (part + 1) / parts).
    int64_t part = 0, parts = 1;
    /// Memory for the buffers, `bytes` aligned for floats, freed with the last owner; null if there is none.
    /// Called prefetch + 1 times, by Create. For page-locked memory that a GPU can be copied to from while
    /// the next batch is filled; by default it is ordinary memory.
    std::function<std::shared_ptr<void>(size_t bytes)> allocate;
    /// Epochs [first_epoch, epochs), the first from its batch `first_batch` on: a run that stopped after that
    /// many batches goes on as if it had not. first_batch may be the epoch's number of batches.
    int64_t first_epoch = 0, first_batch = 0, epochs = 1;
  };
  /// \error InvalidArgument naming the option; ResourceExhausted without memory or threads.
  static absl::StatusOr<std::unique_ptr<BatchLoader>> Create(Options options);
  /// Does not wait for batches that nobody asked for, only for the sequences being written.
  ~BatchLoader();
  /// The next batch; null after the last one. \error of the first failed fill or draws, in order, after the
  /// batches before it, and again on every later call; InvalidArgument for an epoch without a batch.
  absl::StatusOr<const Batch*> Next();

 private:
  struct Impl;
  explicit BatchLoader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace manyform
