#include "data/mixture.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "base/numpy_random.h"
#include "base/status_macros.h"

namespace manyform {
namespace {

absl::StatusOr<std::vector<Draw>> DrawWithReplacement(const std::vector<int64_t>& sizes,
                                                      std::vector<double> weights, int64_t num_samples,
                                                      NumpyRandomState& random) {
  double sum = 0;
  for (double& weight : weights) sum += weight = std::max(weight, 0.0);
  if (!(sum > 0)) return absl::InvalidArgumentError("no dataset has a positive weight");
  for (double& weight : weights) weight /= sum;
  MF_ASSIGN_OR_RETURN(const std::vector<double> cumulative, CumulativeWeights(weights));
  std::vector<Draw> draws(num_samples);
  for (Draw& draw : draws) {
    draw.dataset = static_cast<int32_t>(random.ChoiceByWeight(cumulative));
    draw.shape = random.RandInt(0, sizes[draw.dataset]);
  }
  return draws;
}

absl::StatusOr<std::vector<Draw>> DrawWithoutReplacement(const std::vector<int64_t>& sizes, int64_t total,
                                                         int64_t num_samples, NumpyRandomState& random) {
  MF_ASSIGN_OR_RETURN(const std::vector<int64_t> chosen,
                      random.Choice(total, num_samples, /*replace=*/false));
  std::vector<int64_t> ends(sizes.size());
  std::partial_sum(sizes.begin(), sizes.end(), ends.begin());
  std::vector<Draw> draws(chosen.size());
  for (size_t i = 0; i < chosen.size(); ++i) {
    const int64_t dataset = std::upper_bound(ends.begin(), ends.end(), chosen[i]) - ends.begin();
    draws[i] = {static_cast<int32_t>(dataset), chosen[i] - ends[dataset] + sizes[dataset]};
  }
  return draws;
}

}  // namespace

absl::StatusOr<std::vector<Draw>> MixtureDraws(const std::vector<int64_t>& sizes,
                                               const std::vector<double>& weights, int64_t num_samples,
                                               bool replacement, int64_t mix_seed, int64_t epoch) {
  if (sizes.empty() || sizes.size() != weights.size()) {
    return absl::InvalidArgumentError(absl::StrCat(sizes.size(), " datasets with ", weights.size(),
                                                   " weights, expected as many, one or more"));
  }
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] < 1) return absl::InvalidArgumentError(absl::StrCat("dataset ", i, " has no shapes"));
  }
  const int64_t total = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  if (num_samples <= 0) num_samples = total;
  // Unsigned: the published seed is the sum modulo 2^32.
  NumpyRandomState random(static_cast<uint32_t>(mix_seed) + 1009u * static_cast<uint32_t>(epoch));
  return replacement ? DrawWithReplacement(sizes, weights, num_samples, random)
                     : DrawWithoutReplacement(sizes, total, num_samples, random);
}

}  // namespace manyform
