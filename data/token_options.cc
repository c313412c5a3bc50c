#include "data/token_options.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "google/protobuf/descriptor.h"

namespace manyform {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// The fields of a config by name. A value is set only where the config says one.
class Fields {
 public:
  Fields(const Message& config, std::string_view suffix) : config_(config), suffix_(suffix) {}

  template <class T>
  void Number(const std::string& name, T* value) const {
    const FieldDescriptor* field = Said(name);
    if (field == nullptr) return;
    const google::protobuf::Reflection& reflection = *config_.GetReflection();
    double number = 0;
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        *value = static_cast<T>(reflection.GetBool(config_, field));
        return;
      case FieldDescriptor::CPPTYPE_INT32:
        number = reflection.GetInt32(config_, field);
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        number = static_cast<double>(reflection.GetInt64(config_, field));
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        *value = static_cast<T>(reflection.GetDouble(config_, field));
        return;
      default:
        return;
    }
    if (number != -1) *value = static_cast<T>(number);
  }

  // The text, or nothing said.
  std::string Text(const std::string& name) const {
    const FieldDescriptor* field = Said(name);
    if (field == nullptr || field->cpp_type() != FieldDescriptor::CPPTYPE_STRING) return "";
    return config_.GetReflection()->GetString(config_, field);
  }

  // One of two words.
  absl::Status Choice(const std::string& name, const char* no, const char* yes, bool* value) const {
    const std::string text = Text(name);
    if (text.empty()) return absl::OkStatus();
    if (text != no && text != yes) {
      return BadConfigError(absl::StrCat(name, " '", text, "', expected ", no, " or ", yes));
    }
    *value = text == yes;
    return absl::OkStatus();
  }

 private:
  const FieldDescriptor* Said(const std::string& name) const {
    const google::protobuf::Descriptor& type = *config_.GetDescriptor();
    const FieldDescriptor* field = type.FindFieldByName(name + suffix_);
    if (field == nullptr) field = type.FindFieldByName(name);
    if (field == nullptr || field->is_repeated()) return nullptr;
    return config_.GetReflection()->HasField(config_, field) || field->has_default_value() ? field : nullptr;
  }

  const Message& config_;
  const std::string suffix_;
};

absl::Status BadConfig(const absl::Status& status) {
  return BadConfigError({status.message().data(), status.message().size()});
}

absl::Status SetLayout(const Fields& fields, LayoutOptions* layout) {
  fields.Number("qa_tokens", &layout->qa_tokens);
  fields.Number("add_eos", &layout->add_eos);
  const std::string text = fields.Text("qa_layout");
  if (text.empty()) return absl::OkStatus();
  const absl::StatusOr<QaLayout> parsed = ParseQaLayout(text);
  if (!parsed.ok()) return BadConfig(parsed.status());
  layout->qa_layout = *parsed;
  return absl::OkStatus();
}

absl::Status SetAugmentation(const Fields& fields, AugmentOptions* augment) {
  fields.Number("aug_rotate_z", &augment->rotate_z);
  fields.Number("aug_scale_min", &augment->scale_min);
  fields.Number("aug_scale_max", &augment->scale_max);
  fields.Number("aug_translate", &augment->translate);
  fields.Number("aug_jitter_sigma", &augment->jitter_sigma);
  fields.Number("aug_jitter_clip", &augment->jitter_clip);
  fields.Number("aug_eval", &augment->in_eval);
  if (const absl::Status preset = ApplyAugmentPreset(fields.Text("aug_preset"), augment); !preset.ok()) {
    return BadConfig(preset);
  }
  if (augment->scale_min <= augment->scale_max) return absl::OkStatus();
  return BadConfigError(absl::StrCat("aug_scale_min is ", augment->scale_min, ", more than aug_scale_max, ",
                                     augment->scale_max));
}

}  // namespace

absl::Status SetTokenOptions(const Message& config, TokenOptions* options, std::string_view suffix) {
  const Fields fields(config, suffix);
  fields.Number("n_point", &options->n_point);
  fields.Number("n_ray", &options->n_ray);
  fields.Number("drop_ray_prob", &options->drop_ray_prob);
  fields.Number("force_missing_ray", &options->force_missing_ray);
  fields.Number("pt_rfps_m", &options->rfps_m);
  fields.Number("ablate_point_dist", &options->ablate_point_dist);
  if (const std::string mode = fields.Text("pt_sample_mode"); !mode.empty()) {
    const absl::StatusOr<PointSampling> sampling = ParsePointSampling(mode);
    if (!sampling.ok()) return BadConfig(sampling.status());
    options->sampling = *sampling;
  }
  MF_RETURN_IF_ERROR(SetLayout(fields, &options->layout));

  GradientOptions& gradient = options->gradient;
  fields.Number("include_pt_grad", &gradient.include);
  fields.Number("pt_grad_eps", &gradient.eps);
  fields.Number("pt_grad_clip", &gradient.clip);
  MF_RETURN_IF_ERROR(fields.Choice("pt_grad_mode", "raw", "log", &gradient.inverse_distance));
  MF_RETURN_IF_ERROR(fields.Choice("pt_grad_orient", "none", "ray", &gradient.against_ray));

  fields.Number("include_ray_unc", &options->uncertainty.include);
  fields.Number("ray_unc_k", &options->uncertainty.k);
  if (const std::string mode = fields.Text("ray_unc_mode"); !mode.empty() && mode != "normal_var") {
    return BadConfigError(absl::StrCat("ray_unc_mode '", mode, "', expected normal_var"));
  }
  return SetAugmentation(fields, &options->augment);
}

absl::Status SetBackendOptions(const Message& config, BackendOptions* options, std::string_view prefix) {
  const Fields fields(config, "");
  std::string name = fields.Text(absl::StrCat(ToAbsl(prefix), "backend"));
  if (name.empty()) name = fields.Text("backend");
  if (!name.empty()) {
    const absl::StatusOr<Backend> backend = ParseBackend(name);
    if (!backend.ok()) return BadConfig(backend.status());
    options->backend = *backend;
  }
  fields.Number("voxel_grid", &options->voxel_grid);
  fields.Number("voxel_dilate", &options->voxel_dilate);
  fields.Number("voxel_max_steps", &options->voxel_max_steps);
  const auto key = [&fields](const char* field, std::string* value) {
    if (std::string said = fields.Text(field); !said.empty()) *value = std::move(said);
  };
  key("pt_xyz_key", &options->xyz_key);
  key("pt_dist_key", &options->dist_key);
  key("pt_fps_key", &options->fps_key);
  return absl::OkStatus();
}

}  // namespace manyform
