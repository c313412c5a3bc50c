#include "train/finetune_data.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "data/finetune_splits.h"
#include "data/shape_list.h"

namespace manyform {
namespace {

constexpr int64_t kLegacyTypes = 5, kQaTypes = 9;

int64_t CappedSize(const char* field, int64_t wanted, int64_t pretrained, bool allow_scale_up) {
  if (wanted < 0) return pretrained;
  if (wanted <= pretrained || allow_scale_up) return wanted;
  LogLine(absl::StrCat(field, ": ", wanted, " is more than pretraining's ", pretrained,
                       ", which is used; allow_scale_up=1 takes all"));
  return pretrained;
}

absl::Status SetMaxLen(const FinetuneConfig& config, const CheckpointHeader* from, FinetunePlan* plan) {
  const int64_t length = SequenceLength(plan->n_point, plan->n_ray, plan->layout);
  int64_t max_len = from != nullptr ? from->max_len() : length;
  if (config.max_len() > 0) max_len = config.max_len();
  if (max_len < length && config.max_len() <= 0 && config.allow_scale_up()) max_len = length;
  if (max_len < length)
    return absl::InvalidArgumentError(
        absl::StrCat("max_len: ", max_len, " positions are too few for ", length,
                     " tokens; allow_scale_up=1 or a larger max_len resizes them"));
  plan->sizes.max_len = max_len;
  return absl::OkStatus();
}

std::vector<LabelledPath> PathsOf(const ShapeList& shapes) {
  std::vector<LabelledPath> paths;
  for (int64_t i = 0; i < shapes.size(); ++i)
    paths.push_back({.class_name = shapes.entry(i).class_name(), .path = shapes.path(i)});
  return paths;
}

absl::StatusOr<LabelledShapes> Label(const TokenDataset& dataset, std::vector<int64_t> shapes,
                                     const std::vector<std::string>& class_names) {
  LabelledShapes labelled{.dataset = dataset, .shapes = std::move(shapes), .labels = {}};
  for (const int64_t shape : labelled.shapes) {
    const std::string& name = dataset.shapes->entry(shape).class_name();
    const auto found = std::lower_bound(class_names.begin(), class_names.end(), name);
    if (found == class_names.end() || *found != name)
      return absl::InvalidArgumentError(absl::StrCat("test_split: ", dataset.shapes->path(shape),
                                                     " is of class '", name,
                                                     "', which the training split does not have"));
    labelled.labels.push_back(found - class_names.begin());
  }
  return labelled;
}

absl::StatusOr<std::shared_ptr<const ShapeList>> OpenShapes(const FinetuneConfig& config,
                                                            const std::string& split) {
  MF_ASSIGN_OR_RETURN(ShapeList shapes, ShapeList::Open(config.cache_root(), split));
  NoteInput(absl::StrCat(config.cache_root(), "/", split), shapes.fingerprint());
  return std::make_shared<const ShapeList>(std::move(shapes));
}

absl::StatusOr<TokenDataset> MakeDataset(const FinetuneConfig& config, const FinetunePlan& plan,
                                         std::shared_ptr<const ShapeList> shapes, bool training) {
  TokenDataset dataset;
  dataset.shapes = std::move(shapes);
  const std::string& own = training ? config.train_backend() : config.eval_backend();
  MF_ASSIGN_OR_RETURN(dataset.backend.backend, ParseBackend(own.empty() ? config.backend() : own));
  dataset.backend.voxel_grid = config.voxel_grid();
  dataset.backend.voxel_dilate = config.voxel_dilate();
  dataset.backend.voxel_max_steps = config.voxel_max_steps();
  TokenOptions& tokens = dataset.tokens;
  tokens.n_point = plan.n_point;
  tokens.n_ray = plan.n_ray;
  tokens.drop_ray_prob = training ? config.drop_ray_prob_train() : 0;
  tokens.force_missing_ray = config.force_missing_ray();
  MF_ASSIGN_OR_RETURN(tokens.sampling, ParsePointSampling(training ? config.pt_sample_mode_train()
                                                                   : config.pt_sample_mode_eval()));
  tokens.rfps_m = config.pt_rfps_m();
  tokens.layout = plan.layout;
  return dataset;
}

}  // namespace

absl::StatusOr<FinetunePlan> PlanFinetune(const FinetuneConfig& config, const CheckpointHeader* from) {
  FinetunePlan plan;
  const PretrainConfig defaults;
  if (from != nullptr) {
    plan.sizes = ConfigOf(*from);
    plan.n_point = CappedSize("n_point", config.n_point(), from->n_point(), config.allow_scale_up());
    plan.n_ray = CappedSize("n_ray", config.n_ray(), from->n_ray(), config.allow_scale_up());
    plan.layout.qa_tokens = config.qa_tokens() < 0 ? from->qa_tokens() : config.qa_tokens() == 1;
    MF_ASSIGN_OR_RETURN(plan.layout.qa_layout, ParseQaLayout(from->qa_layout()));
    plan.layout.add_eos = config.add_eos() < 0 ? from->add_eos() : config.add_eos() == 1;
  } else {
    plan.n_point = config.n_point() < 0 ? defaults.n_point() : config.n_point();
    plan.n_ray = config.n_ray() < 0 ? defaults.n_ray() : config.n_ray();
    plan.layout.qa_tokens = config.qa_tokens() == 1;
    plan.layout.add_eos = config.add_eos() != 0;
    plan.sizes = {.d_model = config.d_model(),
                  .layers = config.layers(),
                  .heads = config.heads(),
                  .n_types = plan.layout.qa_tokens ? kQaTypes : kLegacyTypes};
  }
  if (plan.layout.qa_tokens && plan.sizes.n_types < kQaTypes)
    return absl::InvalidArgumentError(absl::StrCat("qa_tokens: the checkpoint knows only ",
                                                   plan.sizes.n_types,
                                                   " token types, query and answer tokens need ", kQaTypes));
  MF_RETURN_IF_ERROR(SetMaxLen(config, from, &plan));
  return plan;
}

absl::StatusOr<FinetuneData> OpenFinetuneData(const FinetuneConfig& config, const FinetunePlan& plan) {
  MF_ASSIGN_OR_RETURN(const auto train_shapes, OpenShapes(config, config.train_split()));
  MF_ASSIGN_OR_RETURN(const auto test_shapes, OpenShapes(config, config.test_split()));
  FinetuneData data;
  data.class_names = train_shapes->ClassNames();
  data.length = SequenceLength(plan.n_point, plan.n_ray, plan.layout);
  data.fingerprint = Sha256Hex(absl::StrCat(train_shapes->fingerprint(), "\n", test_shapes->fingerprint()));

  const std::vector<LabelledPath> paths = PathsOf(*train_shapes);
  MF_ASSIGN_OR_RETURN(TrainValidation split, SplitValidation(paths, config.val_ratio(), config.val_seed()));
  MF_ASSIGN_OR_RETURN(split.train, PickShots(paths, split.train, config.fewshot_k(), config.fewshot_seed()));
  if (split.train.empty()) return absl::InvalidArgumentError("val_ratio: nothing is left to train on");
  std::vector<int64_t> all_test(static_cast<size_t>(test_shapes->size()));
  for (size_t i = 0; i < all_test.size(); ++i) all_test[i] = static_cast<int64_t>(i);

  MF_ASSIGN_OR_RETURN(const TokenDataset train, MakeDataset(config, plan, train_shapes, true));
  MF_ASSIGN_OR_RETURN(const TokenDataset validation, MakeDataset(config, plan, train_shapes, false));
  MF_ASSIGN_OR_RETURN(const TokenDataset test, MakeDataset(config, plan, test_shapes, false));
  MF_ASSIGN_OR_RETURN(data.train, Label(train, std::move(split.train), data.class_names));
  MF_ASSIGN_OR_RETURN(data.validation, Label(validation, std::move(split.validation), data.class_names));
  MF_ASSIGN_OR_RETURN(data.test, Label(test, std::move(all_test), data.class_names));
  return data;
}

}  // namespace manyform
