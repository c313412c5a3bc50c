#include "train/corpus.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/numpy_random.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "data/mix_config.h"
#include "data/shape_list.h"
#include "data/token_options.h"

namespace manyform {
namespace {

absl::StatusOr<TokenDataset> OpenDataset(const PretrainConfig& config, const MixDataset& source) {
  TokenDataset dataset;
  MF_ASSIGN_OR_RETURN(ShapeList shapes, ShapeList::Open(source.cache_root(), source.split()));
  NoteInput(absl::StrCat(source.cache_root(), "/", source.split()), shapes.fingerprint());
  dataset.shapes = std::make_shared<const ShapeList>(std::move(shapes));

  MF_ASSIGN_OR_RETURN(dataset.backend.backend, ParseBackend(source.backend()));
  const auto own = [](bool has, auto value, auto otherwise) { return has ? value : otherwise; };
  dataset.backend.voxel_grid = own(source.has_voxel_grid(), source.voxel_grid(), config.voxel_grid());
  dataset.backend.voxel_dilate = own(source.has_voxel_dilate(), source.voxel_dilate(), config.voxel_dilate());
  dataset.backend.voxel_max_steps =
      own(source.has_voxel_max_steps(), source.voxel_max_steps(), config.voxel_max_steps());

  TokenOptions& tokens = dataset.tokens;
  MF_RETURN_IF_ERROR(SetTokenOptions(config, &tokens));
  tokens.drop_ray_prob = own(source.has_drop_ray_prob(), source.drop_ray_prob(), config.drop_ray_prob());
  tokens.force_missing_ray =
      own(source.has_force_missing_ray(), source.force_missing_ray(), config.force_missing_ray());
  tokens.layout.add_eos = own(source.has_add_eos(), source.add_eos(), config.add_eos());
  return dataset;
}

// The one dataset of a run without a mix file.
MixConfig PlainMix(const PretrainConfig& config) {
  MixConfig mix;
  MixDataset* dataset = mix.add_datasets();
  dataset->set_cache_root(config.cache_root());
  dataset->set_split("train");
  dataset->set_backend(config.backend());
  return mix;
}

absl::Status SetLength(const MixConfig& mix, Corpus* corpus) {
  for (size_t i = 0; i < corpus->datasets.size(); ++i) {
    const TokenOptions& tokens = corpus->datasets[i].tokens;
    const int64_t length = SequenceLength(tokens.n_point, tokens.n_ray, tokens.layout);
    if (i > 0 && length != corpus->length)
      return absl::InvalidArgumentError(
          absl::StrCat("mix_config: sequences of dataset '", mix.datasets(static_cast<int>(i)).name(),
                       "' have ", length, " tokens, those of '", mix.datasets(0).name(), "' ", corpus->length,
                       "; add_eos must be the same for all"));
    corpus->length = length;
  }
  return absl::OkStatus();
}

void SetDraws(const PretrainConfig& config, const MixConfig& mix, Corpus* corpus) {
  std::vector<int64_t> sizes;
  std::vector<double> weights;
  int64_t total = 0;
  for (int i = 0; i < mix.datasets_size(); ++i) {
    sizes.push_back(corpus->datasets[i].shapes->size());
    weights.push_back(mix.datasets(i).weight());
    total += sizes.back();
  }
  if (config.mix_config().empty()) {
    corpus->draws_per_epoch = total;
    corpus->draws = [total, seed = config.seed()](int64_t epoch) {
      return ShuffledEpoch(total, seed, epoch);
    };
    return;
  }
  const int64_t samples = config.mix_num_samples() != 0 ? config.mix_num_samples() : mix.mix_num_samples();
  const int64_t seed = config.mix_seed() != 0 ? config.mix_seed() : mix.mix_seed();
  corpus->draws_per_epoch = samples > 0 ? samples : total;
  corpus->draws = [=, replacement = mix.replacement()](int64_t epoch) {
    return MixtureDraws(sizes, weights, samples, replacement, seed, epoch);
  };
}

}  // namespace

std::vector<Draw> ShuffledEpoch(int64_t shapes, int64_t seed, int64_t epoch) {
  NumpyRandomState random(Md5Prefix32(absl::StrCat("order ", seed, " ", epoch)));
  std::vector<Draw> draws;
  for (const int64_t shape : random.Permutation(shapes)) draws.push_back({.dataset = 0, .shape = shape});
  return draws;
}

int64_t BatchesPerEpoch(int64_t draws, int64_t batch) { return std::max<int64_t>(1, draws / batch); }

absl::StatusOr<Corpus> OpenCorpus(const PretrainConfig& config) {
  MixConfig mix = PlainMix(config);
  if (!config.mix_config().empty()) {
    MF_ASSIGN_OR_RETURN(mix, ReadMixConfig(config.mix_config()));
    if (mix.datasets_size() == 0)
      return absl::InvalidArgumentError(absl::StrCat(config.mix_config(), ": no datasets"));
  }
  Corpus corpus;
  std::string content = mix.SerializeAsString();
  for (const MixDataset& source : mix.datasets()) {
    MF_ASSIGN_OR_RETURN(TokenDataset dataset, OpenDataset(config, source));
    absl::StrAppend(&content, dataset.shapes->fingerprint());
    corpus.datasets.push_back(std::move(dataset));
  }
  corpus.fingerprint = Sha256Hex(content);
  MF_RETURN_IF_ERROR(SetLength(mix, &corpus));
  SetDraws(config, mix, &corpus);
  // A mixture that cannot be drawn from is said now, not from a worker.
  MF_RETURN_IF_ERROR(corpus.draws(0).status());
  return corpus;
}

}  // namespace manyform
