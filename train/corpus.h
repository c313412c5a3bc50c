/// \file
/// What pretraining reads: one cache's split, or a mixture of datasets, as epochs of draws.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "data/batch_loader.h"
#include "data/mixture.h"
#include "data/token_dataset.h"
#include "proto/train.pb.h"

namespace manyform {

struct Corpus {
  std::vector<TokenDataset> datasets;
  /// The draws of an epoch, in order: a pure function of seed and epoch.
  std::function<absl::StatusOr<std::vector<Draw>>(int64_t epoch)> draws;
  int64_t draws_per_epoch = 0;
  int64_t length = 0;       ///< tokens a sequence, the same for all datasets
  std::string fingerprint;  ///< of the shapes' content and of how they are mixed
};

/// Opens what `cache_root` or `mix_config` name. Command line seeds and draw counts win over the mix file's
/// unless 0. \error as ReadMixConfig and ShapeList::Open; InvalidArgument if datasets differ in length.
absl::StatusOr<Corpus> OpenCorpus(const PretrainConfig& config);

/// An epoch over one dataset: every shape once, in an order that (seed, epoch) decides.
std::vector<Draw> ShuffledEpoch(int64_t shapes, int64_t seed, int64_t epoch);

/// Whole batches of an epoch; its only batch may be smaller where there are not enough draws for one.
int64_t BatchesPerEpoch(int64_t draws, int64_t batch);

}  // namespace manyform
