#include "train/finetune_data.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "data/finetune_splits.h"
#include "data/shape_list.h"
#include "data/token_options.h"

namespace manyform {
namespace {

absl::StatusOr<std::shared_ptr<const ShapeList>> OpenShapes(const FinetuneConfig& config,
                                                            const std::string& split) {
  MF_ASSIGN_OR_RETURN(ShapeList shapes, ShapeList::Open(config.cache_root(), split));
  NoteInput(absl::StrCat(config.cache_root(), "/", split), shapes.fingerprint());
  return std::make_shared<const ShapeList>(std::move(shapes));
}

// Indices of the shapes of some classes, `names` sorted.
std::vector<int64_t> OfClasses(const ShapeList& shapes, const std::vector<std::string>& names) {
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < shapes.size(); ++i)
    if (std::binary_search(names.begin(), names.end(), shapes.entry(i).class_name())) chosen.push_back(i);
  return chosen;
}

// Training and validation shapes among `from`.
absl::StatusOr<TrainValidation> SplitTraining(const FinetuneConfig& config, const ShapeList& shapes,
                                              const std::vector<int64_t>& from) {
  std::vector<LabelledPath> paths;
  paths.reserve(from.size());
  for (const int64_t i : from) paths.push_back({shapes.entry(i).class_name(), shapes.path(i)});
  MF_ASSIGN_OR_RETURN(TrainValidation split, SplitValidation(paths, config.val_ratio(), config.val_seed()));
  MF_ASSIGN_OR_RETURN(split.train, PickShots(paths, split.train, config.fewshot_k(), config.fewshot_seed()));
  if (split.train.empty()) return absl::InvalidArgumentError("val_ratio: nothing is left to train on");
  for (std::vector<int64_t>* part : {&split.train, &split.validation})
    for (int64_t& i : *part) i = from[i];
  return split;
}

absl::StatusOr<std::vector<int64_t>> TestedShapes(const FinetuneConfig& config, const ShapeList& shapes,
                                                  const std::vector<std::string>& names) {
  std::vector<int64_t> tested = OfClasses(shapes, names);
  if (tested.empty())
    return absl::InvalidArgumentError(
        absl::StrCat("test_split: '", config.test_split(), "' has no shape of the classes trained on"));
  if (config.fewshot_n_way() > 0) return tested;
  for (int64_t i = 0; i < shapes.size(); ++i)
    if (i == static_cast<int64_t>(tested.size()) || tested[i] != i)
      return absl::InvalidArgumentError(absl::StrCat("test_split: ", shapes.path(i), " is of class '",
                                                     shapes.entry(i).class_name(),
                                                     "', which the training split does not have"));
  return tested;
}

absl::StatusOr<LabelledShapes> Label(const FinetuneConfig& config, std::shared_ptr<const ShapeList> shapes,
                                     std::vector<int64_t> chosen, bool training,
                                     const std::vector<std::string>& class_names) {
  LabelledShapes labelled;
  labelled.dataset.shapes = std::move(shapes);
  labelled.shapes = std::move(chosen);
  MF_RETURN_IF_ERROR(SetBackendOptions(config, &labelled.dataset.backend, training ? "train_" : "eval_"));
  MF_RETURN_IF_ERROR(SetTokenOptions(config, &labelled.dataset.tokens, training ? "_train" : "_eval"));
  for (const int64_t i : labelled.shapes)
    labelled.labels.push_back(std::lower_bound(class_names.begin(), class_names.end(),
                                               labelled.dataset.shapes->entry(i).class_name()) -
                              class_names.begin());
  return labelled;
}

}  // namespace

absl::StatusOr<FinetuneData> OpenFinetuneData(const FinetunePlan& plan) {
  const FinetuneConfig& config = plan.config;
  MF_ASSIGN_OR_RETURN(const auto train_shapes, OpenShapes(config, config.train_split()));
  MF_ASSIGN_OR_RETURN(const auto test_shapes, OpenShapes(config, config.test_split()));
  FinetuneData data;
  data.fingerprint = Sha256Hex(absl::StrCat(train_shapes->fingerprint(), "\n", test_shapes->fingerprint()));
  MF_ASSIGN_OR_RETURN(data.class_names, PickClasses(train_shapes->ClassNames(), config.fewshot_n_way(),
                                                    config.fewshot_way_seed()));
  MF_ASSIGN_OR_RETURN(TrainValidation split,
                      SplitTraining(config, *train_shapes, OfClasses(*train_shapes, data.class_names)));
  MF_ASSIGN_OR_RETURN(std::vector<int64_t> tested, TestedShapes(config, *test_shapes, data.class_names));
  MF_ASSIGN_OR_RETURN(data.train,
                      Label(config, train_shapes, std::move(split.train), true, data.class_names));
  MF_ASSIGN_OR_RETURN(data.validation,
                      Label(config, train_shapes, std::move(split.validation), false, data.class_names));
  MF_ASSIGN_OR_RETURN(data.test, Label(config, test_shapes, std::move(tested), false, data.class_names));
  const TokenOptions& tokens = data.train.dataset.tokens;
  data.length = SequenceLength(tokens.n_point, tokens.n_ray, tokens.layout);
  return data;
}

}  // namespace manyform
