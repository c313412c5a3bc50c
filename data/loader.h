/// \file
/// From caches to batches: shapes of one split, mixtures of several, and worker threads that fill batches
/// whose order and content do not depend on how many they are.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "data/backends.h"
#include "data/manifest.h"
#include "data/tokens.h"
#include "proto/train.pb.h"

namespace manyform {

/// The shapes of one split of a cache or view, in manifest order (class, then id, bytewise = sorted paths).
class ShapeList {
 public:
  /// \error NotFound if the split has no shapes (names the splits there are).
  static absl::StatusOr<ShapeList> Open(const std::string& cache_root, const std::string& split);
  int64_t size() const { return static_cast<int64_t>(entries_.size()); }
  const ShapeEntry& entry(int64_t i) const { return *entries_[i]; }
  std::string path(int64_t i) const { return ShapePath(cache_root_, *entries_[i]); }
  std::string key(int64_t i) const { return ShapeKey(*entries_[i]); }
  absl::StatusOr<std::shared_ptr<const ShapeFile>> Load(int64_t i) const;
  /// Distinct class names, sorted.
  std::vector<std::string> ClassNames() const;
  /// Fingerprint of the split's content.
  const std::string& fingerprint() const { return fingerprint_; }
  const std::string& cache_root() const { return cache_root_; }
  const std::string& split() const { return split_; }

 private:
  std::string cache_root_, split_, fingerprint_;
  std::shared_ptr<const CacheManifest> manifest_;
  std::vector<const ShapeEntry*> entries_;
};

/// A dataset as a sequence maker: shape `i` of `shapes` through `backend` under `tokens`.
struct TokenDataset {
  std::shared_ptr<const ShapeList> shapes;
  BackendOptions backend;
  TokenOptions tokens;
};

/// Tokens of resample k in deterministic evaluation (drop probability 0; MT seeded by EvalSeed).
absl::Status EvalTokens(const TokenDataset& dataset, int64_t shape, int64_t eval_seed, int64_t k,
                        std::span<float> feat, std::span<uint8_t> type);
/// Tokens of one training draw: MT seeded by (seed, epoch, draw), so nothing has to be replayed on resume.
absl::Status TrainTokens(const TokenDataset& dataset, int64_t shape, uint64_t seed, int64_t epoch,
                         int64_t draw, std::span<float> feat, std::span<uint8_t> type);
/// The seed TrainTokens gives its stream (a hash of the three).
uint32_t TrainSeed(uint64_t seed, int64_t epoch, int64_t draw);

struct Draw {
  int32_t dataset;
  int64_t shape;
};

/// Published .yaml or MixConfig .textproto. \error with path and field for what is unknown or missing.
absl::StatusOr<MixConfig> ReadMixConfig(const std::string& path);
/// The index stream of an epoch: MT(mix_seed + 1009 epoch); a dataset by weight, then a shape, per draw (with
/// replacement), or choice(total, n) without. `sizes` and `weights` are per dataset.
absl::StatusOr<std::vector<Draw>> MixtureDraws(const std::vector<int64_t>& sizes,
                                               const std::vector<double>& weights, int64_t num_samples,
                                               bool replacement, int64_t mix_seed, int64_t epoch);

/// (B,T,15) features and (B,T) types of one batch, and the draws they came from.
struct Batch {
  int64_t size = 0, length = 0;
  std::vector<float> feat;
  std::vector<uint8_t> type;
  std::vector<Draw> draws;
  int64_t epoch = 0, index = 0;  ///< batch number within the epoch
};

/// Fills batches ahead on worker threads and hands them out in order. Every dataset must give sequences of
/// one length. Buffers are reused: a batch is valid until the next call of Next.
class BatchLoader {
 public:
  struct Options {
    int64_t batch = 32;
    bool drop_last = true;  ///< an incomplete last batch is left out
    int num_workers = 1;
    int prefetch = 4;  ///< batches in flight
    /// The draws of an epoch, in order.
    std::function<absl::StatusOr<std::vector<Draw>>(int64_t epoch)> draws;
    /// Writes one sequence; called from workers. `index` is the draw's place in its epoch.
    std::function<absl::Status(const Draw& draw, int64_t epoch, int64_t index, std::span<float> feat,
                               std::span<uint8_t> type)>
        fill;
    int64_t length = 0;  ///< tokens a sequence
    int64_t first_epoch = 0, first_batch = 0, epochs = 1;
  };
  static absl::StatusOr<std::unique_ptr<BatchLoader>> Create(Options options);
  ~BatchLoader();
  /// The next batch; null after the last one. \error of the first failed fill, in order.
  absl::StatusOr<const Batch*> Next();

 private:
  struct Impl;
  explicit BatchLoader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace manyform
