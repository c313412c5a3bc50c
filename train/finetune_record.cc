#include "train/finetune_record.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/hash.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

// What fixes the measurement, and what a run or its checkpoint brings along.
constexpr const char* kProtocol[] = {"train_split",
                                     "test_split",
                                     "train_backend",
                                     "eval_backend",
                                     "fewshot_k",
                                     "fewshot_n_way",
                                     "val_ratio",
                                     "val_seed",
                                     "eval_seed",
                                     "mc_eval_k_val",
                                     "mc_eval_k_test",
                                     "freeze_backbone",
                                     "cls_is_causal",
                                     "cls_pooling",
                                     "ablate_point_dist",
                                     "pt_xyz_key",
                                     "pt_dist_key",
                                     "pt_sample_mode_train",
                                     "pt_sample_mode_eval",
                                     "pt_fps_key",
                                     "pt_rfps_m",
                                     "n_point",
                                     "n_ray",
                                     "drop_ray_prob_train",
                                     "force_missing_ray",
                                     "aug_rotate_z",
                                     "aug_scale_min",
                                     "aug_scale_max",
                                     "aug_translate",
                                     "aug_jitter_sigma",
                                     "aug_jitter_clip",
                                     "aug_eval",
                                     "voxel_grid",
                                     "voxel_dilate",
                                     "voxel_max_steps",
                                     "batch",
                                     "epochs",
                                     "lr",
                                     "lr_schedule",
                                     "lr_min",
                                     "lr_warmup_steps",
                                     "weight_decay",
                                     "clip_grad_norm"};
constexpr const char* kNotes[] = {"ckpt",      "cache_root", "seed",    "fewshot_seed",    "fewshot_way_seed",
                                  "qa_tokens", "qa_layout",  "add_eos", "include_pt_grad", "include_ray_unc",
                                  "d_model",   "layers",     "heads"};

std::string Json(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}
std::string Json(int64_t value) { return absl::StrCat(value); }
std::string Json(double value) { return FormatNumber(value); }

std::string FieldJson(const FinetuneConfig& config, const char* name) {
  using google::protobuf::FieldDescriptor;
  const FieldDescriptor* field = config.GetDescriptor()->FindFieldByName(name);
  const google::protobuf::Reflection& reflection = *config.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(config, field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_INT32:
      return Json(int64_t{reflection.GetInt32(config, field)});
    case FieldDescriptor::CPPTYPE_INT64:
      return Json(reflection.GetInt64(config, field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Json(reflection.GetDouble(config, field));
    default:
      return Json(reflection.GetString(config, field));
  }
}

void AddSetting(const char* name, std::string json, ResultRecord* record) {
  Setting* setting = record->add_settings();
  setting->set_name(name);
  setting->set_json(std::move(json));
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

// The text that is signed.
std::string AddProtocol(const FinetuneConfig& config, ResultRecord* record) {
  std::string text = "stage=finetune\n";
  for (const char* name : kProtocol) {
    absl::StrAppend(&text, name, "=", FieldJson(config, name), "\n");
    AddSetting(name, FieldJson(config, name), record);
  }
  return text;
}

void AddNotes(const FinetunePlan& plan, const FinetuneData& data, ResultRecord* record) {
  for (const char* name : kNotes) AddSetting(name, FieldJson(plan.config, name), record);
  const auto size = [](const auto& list) { return Json(static_cast<int64_t>(list.size())); };
  if (data.train.dataset.shapes->AnySimulated() || data.test.dataset.shapes->AnySimulated())
    AddSetting("simulated", "true", record);
  AddSetting("model_max_len", Json(plan.sizes.max_len), record);
  AddSetting("num_train", size(data.train.shapes), record);
  AddSetting("num_val", size(data.validation.shapes), record);
  AddSetting("num_test", size(data.test.shapes), record);
  AddSetting("chance", Json(1 / static_cast<double>(data.class_names.size())), record);
}

void AddMetric(const char* name, double value, ResultRecord* record) {
  Metric* metric = record->add_metrics();
  metric->set_name(name);
  metric->set_value(value);
}

// Confusion counts, row-major, rows true classes, and what they come to.
void AddClasses(const FinetuneData& data, const std::vector<int64_t>& predictions, FinetuneResult* result) {
  const auto classes = static_cast<int64_t>(data.class_names.size());
  std::vector<int64_t> confusion(static_cast<size_t>(classes * classes));
  for (size_t i = 0; i < predictions.size(); ++i) ++confusion[data.test.labels[i] * classes + predictions[i]];
  double right = 0, class_sum = 0, tested = 0;
  for (int64_t c = 0; c < classes; ++c) {
    ClassAccuracy* accuracy = result->add_classes();
    accuracy->set_class_name(data.class_names[c]);
    int64_t shapes = 0;
    for (int64_t p = 0; p < classes; ++p) shapes += confusion[c * classes + p];
    accuracy->set_test_shapes(shapes);
    if (shapes == 0) continue;
    const auto own = static_cast<double>(confusion[c * classes + c]);
    accuracy->set_accuracy(own / static_cast<double>(shapes));
    right += own;
    class_sum += accuracy->accuracy();
    ++tested;
  }
  for (const int64_t count : confusion) result->add_confusion(count);
  AddMetric("test_acc", right / static_cast<double>(predictions.size()), result->mutable_record());
  AddMetric("mean_class_acc", class_sum / tested, result->mutable_record());
}

}  // namespace

FinetuneResult MakeFinetuneResult(const FinetunePlan& plan, const FinetuneData& data,
                                  const FinetuneOutcome& outcome) {
  FinetuneResult result;
  ResultRecord* record = result.mutable_record();
  record->set_stage("finetune");
  record->set_label(LabelOf(plan.config));
  const std::string protocol = AddProtocol(plan.config, record);
  AddNotes(plan, data, record);
  AddClasses(data, outcome.predictions, &result);
  if (outcome.best_validation >= 0) AddMetric("best_val", outcome.best_validation, record);
  AddMetric("best_ep", static_cast<double>(outcome.best_epoch), record);
  record->set_checkpoint_hash(outcome.checkpoint_hash);
  record->set_split_hash(data.fingerprint);
  record->set_precision(plan.config.precision());
  record->set_protocol_signature(Sha256Hex(
      absl::StrCat(protocol, "split=", data.fingerprint, "\nprecision=", plan.config.precision(), "\n")));
  return result;
}

}  // namespace manyform
