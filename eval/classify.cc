#include "eval/classify.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/config.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "c10/core/InferenceMode.h"
#include "data/token_options.h"
#include "eval/checkpoint_use.h"
#include "eval/class_sets.h"
#include "eval/confusion.h"
#include "eval/embed_shapes.h"
#include "eval/record.h"
#include "eval/sample_keys.h"
#include "model/classifier_head.h"
#include "model/device.h"
#include "model/precision.h"

namespace manyform {
namespace {

// A saved classifier and how it was trained.
struct Classifier {
  LoadedModel model;
  ClassifierHead head;
  std::vector<std::string> class_names;
  FinetuneConfig trained;
};

struct TestSet {
  TokenDataset dataset;
  std::vector<int64_t> shapes, labels;
};

// The text of the option, else of fine-tuning's.
std::string Or(const std::string& own, const std::string& trained) { return own.empty() ? trained : own; }

absl::StatusOr<Classifier> ReadClassifier(const ClassifyConfig& config, c10::Device device) {
  const std::string& path = config.ckpt();
  MF_ASSIGN_OR_RETURN(const Checkpoint checkpoint, ReadCheckpoint(path));
  const CheckpointHeader& header = checkpoint.header;
  if (header.stage() != "finetune" || header.class_names_size() == 0)
    return absl::InvalidArgumentError(absl::StrCat(path, ": no classifier: its stage is '", header.stage(),
                                                   "' with ", header.class_names_size(),
                                                   " class names, expected a checkpoint of fine-tuning"));
  FinetuneConfig trained;
  MF_RETURN_IF_ERROR(MergeConfigText(header.config(), path + ": config", &trained));
  MF_RETURN_IF_ERROR(CheckConfig(trained));
  TransformerConfig sizes = ConfigOf(header);
  // As LoadModel.
  sizes.encdec_src_causal = false;
  MF_ASSIGN_OR_RETURN(QueryTransformer model, QueryTransformer::FromTensors(sizes, checkpoint.model));
  absl::StatusOr<ClassifierHead> head =
      ClassifierHead::FromTensors(sizes.d_model, header.class_names_size(), checkpoint.aux_heads);
  if (!head.ok())
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", std::string(head.status().message())));
  MF_ASSIGN_OR_RETURN(const Precision precision, ParsePrecision(Or(config.precision(), trained.precision())));
  model.SetRequiresGrad(false);
  model.SetPrecision(precision);
  model.To(device);
  head->To(device);
  NamedTensors weights = checkpoint.model;
  weights.insert(weights.end(), checkpoint.aux_heads.begin(), checkpoint.aux_heads.end());
  return Classifier{{std::move(model), header, HashTensors(weights)},
                    *std::move(head),
                    {header.class_names().begin(), header.class_names().end()},
                    std::move(trained)};
}

// Fine-tuning's options for its test, then those that are given.
absl::Status SetOptions(const ClassifyConfig& config, const Classifier& classifier, TokenDataset* dataset) {
  const CheckpointHeader& header = classifier.model.header;
  MF_RETURN_IF_ERROR(SetBackendOptions(classifier.trained, &dataset->backend, "eval_"));
  MF_RETURN_IF_ERROR(SetBackendOptions(config, &dataset->backend));
  MF_RETURN_IF_ERROR(SetTokenOptions(classifier.trained, &dataset->tokens, "_eval"));
  dataset->tokens.n_point = header.n_point();
  dataset->tokens.n_ray = header.n_ray();
  MF_RETURN_IF_ERROR(SetTokenOptions(config, &dataset->tokens));
  MF_ASSIGN_OR_RETURN(dataset->tokens.layout,
                      SequenceLayout(classifier.model, config.has_add_eos() ? config.add_eos() : -1,
                                     config.has_qa_tokens() ? config.qa_tokens() : -1));
  return absl::OkStatus();
}

absl::StatusOr<TestSet> OpenTestSet(const ClassifyConfig& config, const Classifier& classifier) {
  const std::string root = Or(config.cache_root(), classifier.trained.cache_root());
  const std::string split = Or(config.split(), classifier.trained.test_split());
  MF_ASSIGN_OR_RETURN(ShapeList list, ShapeList::Open(root, split));
  NoteInput(absl::StrCat(root, "/", split), list.fingerprint());
  const std::vector<std::string>& known = classifier.class_names;
  // Fine-tuning took its own split as it is, with an N-way pick of its classes, too.
  const bool own_split = config.cache_root().empty() && config.split().empty();
  if (!config.common_classes() && !own_split)
    MF_RETURN_IF_ERROR(CheckSameClasses(absl::StrCat(root, "/", split), list.ClassNames(), known));
  TestSet test;
  for (const int64_t shape : FirstShapes(list.size(), config.max_files())) {
    const auto name = std::find(known.begin(), known.end(), list.entry(shape).class_name());
    if (name == known.end()) continue;
    test.shapes.push_back(shape);
    test.labels.push_back(name - known.begin());
  }
  if (test.shapes.empty())
    return absl::InvalidArgumentError(
        absl::StrCat(root, "/", split, ": no shape is of a class that the classifier knows"));
  test.dataset.shapes = std::make_shared<const ShapeList>(std::move(list));
  MF_RETURN_IF_ERROR(SetOptions(config, classifier, &test.dataset));
  return test;
}

EmbedOptions OptionsOf(const ClassifyConfig& config, const FinetuneConfig& trained) {
  const int32_t resamples = trained.mc_eval_k_test() < 0 ? trained.mc_eval_k() : trained.mc_eval_k_test();
  return {.causal = trained.cls_is_causal(),
          .eval_seed = config.has_eval_seed() ? config.eval_seed() : trained.eval_seed(),
          .resamples = config.has_mc_eval_k() ? config.mc_eval_k() : resamples,
          .batch = config.has_batch() ? config.batch() : trained.batch(),
          .num_workers = config.num_workers()};
}

absl::StatusOr<std::vector<int64_t>> Predict(const Classifier& classifier, const TestSet& test,
                                             const EmbedOptions& options) {
  const c10::InferenceMode no_gradients;
  const auto n = static_cast<int64_t>(test.shapes.size());
  at::Tensor sum = at::zeros({n, static_cast<int64_t>(classifier.class_names.size())});
  Progress progress("classify", "sequences", n * options.resamples);
  MF_RETURN_IF_ERROR(
      ForEachPooled(classifier.model.model, test.dataset, test.shapes, options, progress,
                    [&](int64_t first, const at::Tensor& pooled) {
                      sum.narrow(0, first, pooled.size(0)).add_(classifier.head.Logits(pooled).cpu());
                    }));
  const at::Tensor best = (sum / static_cast<double>(options.resamples)).argmax(1);
  return std::vector<int64_t>(best.const_data_ptr<int64_t>(), best.const_data_ptr<int64_t>() + n);
}

ResultRecord MakeRecord(const ClassifyConfig& config, const Classifier& classifier, const TestSet& test,
                        const EmbedOptions& options, double accuracy) {
  const TokenDataset& dataset = test.dataset;
  RecordBuilder builder("classify");
  builder.Metric("acc", accuracy)
      .Protocol("split", dataset.shapes->split())
      .Protocol("n_files", static_cast<int64_t>(test.shapes.size()))
      .Protocol("common_classes", config.common_classes());
  AddSampleKeys(dataset.tokens, dataset.backend, &builder);
  AddLayoutKeys(dataset.tokens.layout, classifier.model.header, &builder);
  builder.Protocol("eval_seed", options.eval_seed)
      .Protocol("mc_eval_k", options.resamples)
      .Note("cls_pooling", classifier.trained.cls_pooling())
      .Note("cls_is_causal", classifier.trained.cls_is_causal())
      .Note("ckpt", config.ckpt())
      .Note("cache_root", dataset.shapes->cache_root())
      .NoteJson("chance", FormatNumber(1 / static_cast<double>(classifier.class_names.size())));
  const std::string label = config.label().empty() ? LabelOf(config.ckpt()) : config.label();
  return builder.Finish(label, dataset.shapes->fingerprint(), classifier.model.hash,
                        PrecisionName(classifier.model.model.precision()));
}

}  // namespace

absl::StatusOr<ClassifyResult> Classify(const ClassifyConfig& config) {
  SetTensorThreads(config.num_threads());
  MF_ASSIGN_OR_RETURN(const c10::Device device, SelectDevice(config.device()));
  MF_ASSIGN_OR_RETURN(Classifier classifier, ReadClassifier(config, device));
  NoteInput(config.ckpt(), classifier.model.hash);
  MF_ASSIGN_OR_RETURN(const TestSet test, OpenTestSet(config, classifier));
  const TokenOptions& tokens = test.dataset.tokens;
  MF_RETURN_IF_ERROR(FitPositions(&classifier.model, config.max_len(),
                                  SequenceLength(tokens.n_point, tokens.n_ray, tokens.layout)));
  EmbedOptions options = OptionsOf(config, classifier.trained);
  MF_ASSIGN_OR_RETURN(options.pooling,
                      ParsePooling(classifier.trained.cls_pooling(), tokens.layout.qa_tokens));
  NoteSeed("eval_seed", static_cast<uint64_t>(options.eval_seed));
  MF_ASSIGN_OR_RETURN(const std::vector<int64_t> predictions, Predict(classifier, test, options));

  Confusion confusion(static_cast<int64_t>(classifier.class_names.size()));
  const double accuracy = confusion.Add(test.labels, predictions);
  ClassifyResult result;
  *result.mutable_record() = MakeRecord(config, classifier, test, options, accuracy);
  confusion.Write(classifier.class_names, result.mutable_classes(), result.mutable_confusion());
  LogLine(absl::StrFormat("%s: %.1f %% of %d shapes of %s (chance %s)", result.record().label(),
                          100 * accuracy, predictions.size(), test.dataset.shapes->split(),
                          SettingOf(result.record(), "chance")));
  return result;
}

}  // namespace manyform
