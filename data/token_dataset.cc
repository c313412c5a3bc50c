#include "data/token_dataset.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace manyform {
namespace {

absl::Status WithPath(const TokenDataset& dataset, int64_t shape, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(dataset.shapes->path(shape), ": ", status.message()));
}

}  // namespace

absl::Status EvalTokens(const TokenDataset& dataset, int64_t shape, int64_t eval_seed, int64_t k,
                        std::span<float> feat, std::span<uint8_t> type) {
  MF_ASSIGN_OR_RETURN(const std::shared_ptr<const Pools> pools,
                      dataset.shapes->Answers(shape, dataset.backend));
  TokenOptions options = dataset.tokens;
  options.drop_ray_prob = 0;
  if (!options.augment.in_eval) options.augment = {};
  NumpyRandomState random(EvalSeed(dataset.shapes->path(shape), eval_seed, k));
  return WithPath(dataset, shape, BuildTokens(*pools, options, random, feat, type));
}

absl::Status TrainTokens(const TokenDataset& dataset, int64_t shape, uint64_t seed, int64_t epoch,
                         int64_t draw, std::span<float> feat, std::span<uint8_t> type) {
  MF_ASSIGN_OR_RETURN(const std::shared_ptr<const Pools> pools,
                      dataset.shapes->Answers(shape, dataset.backend));
  TrainStream random(seed, epoch, draw);
  return WithPath(dataset, shape, BuildTokens(*pools, dataset.tokens, random, feat, type));
}

}  // namespace manyform
