#include "eval/embed.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "data/token_options.h"
#include "eval/checkpoint_use.h"
#include "eval/embed_shapes.h"
#include "eval/record.h"
#include "eval/sample_keys.h"
#include "model/device.h"
#include "model/precision.h"

namespace manyform {
namespace {

absl::StatusOr<TokenDataset> MakeDataset(const EmbedConfig& config, const LoadedModel& model) {
  MF_ASSIGN_OR_RETURN(ShapeList shapes, ShapeList::Open(config.cache_root(), config.split()));
  NoteInput(absl::StrCat(config.cache_root(), "/", config.split()), shapes.fingerprint());
  TokenDataset dataset = {.shapes = std::make_shared<const ShapeList>(std::move(shapes))};
  MF_RETURN_IF_ERROR(SetBackendOptions(config, &dataset.backend));
  dataset.tokens.n_point = model.header.n_point();
  dataset.tokens.n_ray = model.header.n_ray();
  MF_RETURN_IF_ERROR(SetTokenOptions(config, &dataset.tokens));
  MF_ASSIGN_OR_RETURN(dataset.tokens.layout, SequenceLayout(model, config.add_eos(), config.qa_tokens()));
  return dataset;
}

ResultRecord MakeRecord(const EmbedConfig& config, const TokenDataset& dataset, int64_t n,
                        const LoadedModel& model) {
  RecordBuilder builder("embed");
  builder.Protocol("split", config.split()).Protocol("n_files", n);
  AddSampleKeys(dataset.tokens, dataset.backend, &builder);
  AddLayoutKeys(dataset.tokens.layout, model.header, &builder);
  builder.Protocol("eval_seed", config.eval_seed())
      .Protocol("mc_k", config.mc_k())
      .Protocol("pooling", config.pooling())
      .Protocol("causal", config.causal())
      .Protocol("normalize", config.normalize())
      .Protocol("ablate_point_xyz", config.ablate_point_xyz())
      .Note("ckpt", config.ckpt())
      .Note("cache_root", config.cache_root());
  const std::string label = config.label().empty() ? LabelOf(config.ckpt()) : config.label();
  return builder.Finish(label, dataset.shapes->fingerprint(), model.hash, config.precision());
}

}  // namespace

absl::StatusOr<LoadedModel> LoadEmbedder(const EmbedConfig& config) {
  SetTensorThreads(config.num_threads());
  MF_ASSIGN_OR_RETURN(const c10::Device device, SelectDevice(config.device()));
  MF_ASSIGN_OR_RETURN(const Precision precision, ParsePrecision(config.precision()));
  MF_ASSIGN_OR_RETURN(LoadedModel model, LoadModel(config.ckpt(), device));
  model.model.SetPrecision(precision);
  NoteInput(config.ckpt(), model.hash);
  NoteSeed("eval_seed", static_cast<uint64_t>(config.eval_seed()));
  return model;
}

absl::StatusOr<EmbeddedShapes> EmbedSplit(const EmbedConfig& config, LoadedModel* model) {
  MF_ASSIGN_OR_RETURN(const TokenDataset dataset, MakeDataset(config, *model));
  const TokenOptions& tokens = dataset.tokens;
  MF_RETURN_IF_ERROR(
      FitPositions(model, config.max_len(), SequenceLength(tokens.n_point, tokens.n_ray, tokens.layout)));
  EmbedOptions options = {.causal = config.causal(),
                          .eval_seed = config.eval_seed(),
                          .resamples = config.mc_k(),
                          .ablate_point_xyz = config.ablate_point_xyz(),
                          .batch = config.batch(),
                          .num_workers = config.num_workers(),
                          .normalize = config.normalize()};
  MF_ASSIGN_OR_RETURN(options.pooling, ParsePooling(config.pooling(), tokens.layout.qa_tokens));
  const std::vector<int64_t> shapes = FirstShapes(dataset.shapes->size(), config.max_files());
  const auto n = static_cast<int64_t>(shapes.size());
  Progress progress(absl::StrCat("embedding ", config.split()), "sequences", n * config.mc_k());
  MF_ASSIGN_OR_RETURN(const at::Tensor rows, EmbedShapes(model->model, dataset, shapes, options, progress));

  EmbeddedShapes embedded = {.features = rows.size(1), .class_names = dataset.shapes->ClassNames()};
  const float* values = rows.const_data_ptr<float>();
  embedded.embedding.assign(values, values + rows.numel());
  const std::vector<std::string>& names = embedded.class_names;
  for (const int64_t shape : shapes) {
    const auto name = std::lower_bound(names.begin(), names.end(), dataset.shapes->entry(shape).class_name());
    embedded.labels.push_back(name - names.begin());
    embedded.keys.push_back(dataset.shapes->key(shape));
  }
  embedded.record = MakeRecord(config, dataset, n, *model);
  return embedded;
}

absl::StatusOr<EmbedResult> Embed(const EmbedConfig& config) {
  if (!absl::EndsWith(config.output(), ".npz"))
    return BadConfigError(
        absl::StrCat("output is \"", config.output(), "\", expected a name ending in .npz"));
  MF_ASSIGN_OR_RETURN(LoadedModel model, LoadEmbedder(config));
  MF_ASSIGN_OR_RETURN(const EmbeddedShapes embedded, EmbedSplit(config, &model));
  MF_RETURN_IF_ERROR(WriteEmbeddings(config.output(), embedded));
  EmbedResult result;
  *result.mutable_record() = embedded.record;
  result.set_shapes(embedded.size());
  result.set_features(embedded.features);
  result.set_classes(static_cast<int64_t>(embedded.class_names.size()));
  LogLine(absl::StrCat(config.output(), ": embedding (", embedded.size(), ", ", embedded.features, "), ",
                       result.classes(), " classes"));
  return result;
}

}  // namespace manyform
