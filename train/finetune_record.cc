#include "train/finetune_record.h"

#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/hash.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

std::string Json(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}
std::string Json(bool value) { return value ? "true" : "false"; }
std::string Json(int64_t value) { return absl::StrCat(value); }
std::string Json(int32_t value) { return absl::StrCat(value); }
std::string Json(double value) { return FormatNumber(value); }

// Settings in order; those of the protocol also go into the text that is signed.
class Settings {
 public:
  explicit Settings(ResultRecord* record) : record_(record) {}
  template <class T>
  void Protocol(const char* name, const T& value) {
    absl::StrAppend(&signed_, name, "=", Json(value), "\n");
    Note(name, value);
  }
  template <class T>
  void Note(const char* name, const T& value) {
    Setting* setting = record_->add_settings();
    setting->set_name(name);
    setting->set_json(Json(value));
  }
  const std::string& signed_text() const { return signed_; }

 private:
  ResultRecord* record_;
  std::string signed_ = "stage=finetune\n";
};

const std::string& Or(const std::string& value, const std::string& otherwise) {
  return value.empty() ? otherwise : value;
}

// "runs/mix/last.safetensors" is run "mix".
std::string LabelOf(const FinetuneConfig& config) {
  if (!config.label().empty()) return config.label();
  if (config.ckpt().empty()) return "scratch";
  std::string path = config.ckpt();
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return path.substr(0, path.rfind('.'));
  path = path.substr(0, slash);
  return path.substr(path.rfind('/') + 1);
}

void AddProtocol(const FinetuneConfig& config, const FinetunePlan& plan, Settings* settings) {
  settings->Protocol("train_split", config.train_split());
  settings->Protocol("test_split", config.test_split());
  settings->Protocol("train_backend", Or(config.train_backend(), config.backend()));
  settings->Protocol("eval_backend", Or(config.eval_backend(), config.backend()));
  settings->Protocol("fewshot_k", config.fewshot_k());
  settings->Protocol("val_ratio", config.val_ratio());
  settings->Protocol("val_seed", config.val_seed());
  settings->Protocol("eval_seed", config.eval_seed());
  const int32_t k = config.mc_eval_k();
  settings->Protocol("mc_eval_k_val", config.mc_eval_k_val() < 0 ? k : config.mc_eval_k_val());
  settings->Protocol("mc_eval_k_test", config.mc_eval_k_test() < 0 ? k : config.mc_eval_k_test());
  settings->Protocol("freeze_backbone", config.freeze_backbone());
  settings->Protocol("cls_is_causal", config.cls_is_causal());
  settings->Protocol("cls_pooling", config.cls_pooling());
  settings->Protocol("pt_sample_mode_train", config.pt_sample_mode_train());
  settings->Protocol("pt_sample_mode_eval", config.pt_sample_mode_eval());
  settings->Protocol("pt_rfps_m", config.pt_rfps_m());
  settings->Protocol("n_point", plan.n_point);
  settings->Protocol("n_ray", plan.n_ray);
  settings->Protocol("drop_ray_prob_train", config.drop_ray_prob_train());
  settings->Protocol("force_missing_ray", config.force_missing_ray());
  settings->Protocol("voxel_grid", config.voxel_grid());
  settings->Protocol("voxel_dilate", config.voxel_dilate());
  settings->Protocol("voxel_max_steps", config.voxel_max_steps());
  settings->Protocol("batch", config.batch());
  settings->Protocol("epochs", config.epochs());
  settings->Protocol("lr", config.lr());
  settings->Protocol("weight_decay", config.weight_decay());
}

void AddNotes(const FinetuneConfig& config, const FinetunePlan& plan, const FinetuneData& data,
              Settings* settings) {
  settings->Note("ckpt", config.ckpt());
  settings->Note("cache_root", config.cache_root());
  if (data.train.dataset.shapes->AnySimulated() || data.test.dataset.shapes->AnySimulated()) {
    settings->Note("simulated", true);
  }
  settings->Note("seed", config.seed());
  settings->Note("fewshot_seed", config.fewshot_seed());
  settings->Note("qa_tokens", plan.layout.qa_tokens);
  settings->Note("qa_layout",
                 std::string(plan.layout.qa_layout == QaLayout::kSplit ? "split" : "interleave"));
  settings->Note("add_eos", plan.layout.add_eos);
  settings->Note("d_model", plan.sizes.d_model);
  settings->Note("layers", plan.sizes.layers);
  settings->Note("heads", plan.sizes.heads);
  settings->Note("model_max_len", plan.sizes.max_len);
  settings->Note("num_train", static_cast<int64_t>(data.train.shapes.size()));
  settings->Note("num_val", static_cast<int64_t>(data.validation.shapes.size()));
  settings->Note("num_test", static_cast<int64_t>(data.test.shapes.size()));
  settings->Note("chance", 1 / static_cast<double>(data.class_names.size()));
}

void AddMetric(const char* name, double value, ResultRecord* record) {
  Metric* metric = record->add_metrics();
  metric->set_name(name);
  metric->set_value(value);
}

// Confusion counts, row-major, rows true classes; the number of right answers.
int64_t AddClasses(const FinetuneData& data, const std::vector<int64_t>& predictions,
                   FinetuneResult* result) {
  const auto classes = static_cast<int64_t>(data.class_names.size());
  std::vector<int64_t> confusion(static_cast<size_t>(classes * classes));
  for (size_t i = 0; i < predictions.size(); ++i) ++confusion[data.test.labels[i] * classes + predictions[i]];
  int64_t right = 0;
  for (int64_t c = 0; c < classes; ++c) {
    ClassAccuracy* accuracy = result->add_classes();
    accuracy->set_class_name(data.class_names[c]);
    int64_t shapes = 0;
    for (int64_t p = 0; p < classes; ++p) shapes += confusion[c * classes + p];
    accuracy->set_test_shapes(shapes);
    const int64_t own = confusion[c * classes + c];
    if (shapes > 0) accuracy->set_accuracy(static_cast<double>(own) / static_cast<double>(shapes));
    right += own;
  }
  for (const int64_t count : confusion) result->add_confusion(count);
  return right;
}

}  // namespace

FinetuneResult MakeFinetuneResult(const FinetuneConfig& config, const FinetunePlan& plan,
                                  const FinetuneData& data, const FinetuneOutcome& outcome) {
  FinetuneResult result;
  ResultRecord* record = result.mutable_record();
  record->set_stage("finetune");
  record->set_label(LabelOf(config));
  Settings settings(record);
  AddProtocol(config, plan, &settings);
  AddNotes(config, plan, data, &settings);
  const int64_t right = AddClasses(data, outcome.predictions, &result);
  AddMetric("test_acc", static_cast<double>(right) / static_cast<double>(outcome.predictions.size()), record);
  if (outcome.best_validation >= 0) AddMetric("best_val", outcome.best_validation, record);
  AddMetric("best_ep", static_cast<double>(outcome.best_epoch), record);
  record->set_checkpoint_hash(outcome.checkpoint_hash);
  record->set_split_hash(data.fingerprint);
  record->set_precision(config.precision());
  record->set_protocol_signature(Sha256Hex(absl::StrCat(settings.signed_text(), "split=", data.fingerprint,
                                                        "\nprecision=", config.precision(), "\n")));
  return result;
}

}  // namespace manyform
