#include "data/mix_config.h"

#include <cmath>
#include <functional>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/files.h"
#include "base/status_macros.h"
#include "yaml-cpp/eventhandler.h"
#include "yaml-cpp/yaml.h"

namespace manyform {
namespace {

// A place in the file, for errors.
struct Place {
  std::string file, field;
};

absl::Status Wrong(const Place& place, const YAML::Node& node, const std::string& expected) {
  const YAML::Mark mark = node.Mark();
  const std::string line = mark.is_null() ? "" : absl::StrCat(":", mark.line + 1);
  const std::string got = node.IsScalar() ? absl::StrCat("'", node.Scalar(), "'") : "not a plain value";
  return absl::InvalidArgumentError(
      absl::StrCat(place.file, line, ": ", place.field, " is ", got, ", expected ", expected));
}

absl::Status Take(const Place& place, const YAML::Node& node, std::string* value) {
  if (!node.IsScalar()) return Wrong(place, node, "a string");
  *value = node.Scalar();
  return absl::OkStatus();
}

absl::Status Take(const Place& place, const YAML::Node& node, double* value) {
  if (!node.IsScalar() || !absl::SimpleAtod(node.Scalar(), value) || !(std::abs(*value) < HUGE_VAL)) {
    return Wrong(place, node, "a finite number");
  }
  return absl::OkStatus();
}

absl::Status Take(const Place& place, const YAML::Node& node, int64_t* value) {
  if (!node.IsScalar() || !absl::SimpleAtoi(node.Scalar(), value)) return Wrong(place, node, "an integer");
  return absl::OkStatus();
}

absl::Status Take(const Place& place, const YAML::Node& node, int32_t* value) {
  if (!node.IsScalar() || !absl::SimpleAtoi(node.Scalar(), value)) {
    return Wrong(place, node, "a 32-bit integer");
  }
  return absl::OkStatus();
}

absl::Status Take(const Place& place, const YAML::Node& node, bool* value) {
  if (node.IsScalar()) {
    const std::string text = absl::AsciiStrToLower(node.Scalar());
    for (const char* yes : {"1", "true", "yes", "y", "on"}) {
      if (text == yes) return *value = true, absl::OkStatus();
    }
    for (const char* no : {"0", "false", "no", "n", "off"}) {
      if (text == no) return *value = false, absl::OkStatus();
    }
  }
  return Wrong(place, node, "true or false");
}

// Reads the value of one key; a null value leaves the field as it is.
using Setter = std::function<absl::Status(const Place&, const YAML::Node&)>;

template <class T, class Set>
Setter Into(Set set) {
  return [set](const Place& place, const YAML::Node& node) -> absl::Status {
    T value{};
    MF_RETURN_IF_ERROR(Take(place, node, &value));
    set(std::move(value));
    return absl::OkStatus();
  };
}

absl::Status ReadMap(const YAML::Node& map, const std::string& file, const std::string& prefix,
                     const std::vector<std::pair<std::string, Setter>>& fields) {
  absl::flat_hash_set<std::string> seen;
  for (const auto& item : map) {
    const Place unknown{file, absl::StrCat(prefix.empty() ? "a key" : prefix + "a key")};
    if (!item.first.IsScalar()) return Wrong(unknown, item.first, "a name");
    const std::string& key = item.first.Scalar();
    const Setter* setter = nullptr;
    std::vector<std::string> known;
    for (const auto& [name, set] : fields) {
      if (name == key) setter = &set;
      known.push_back(name);
    }
    if (setter == nullptr) {
      return Wrong(unknown, item.first,
                   absl::StrCat("a known one; the nearest is ", NearestName(key, known)));
    }
    const Place place{file, prefix + key};
    if (!seen.insert(key).second) return Wrong(place, item.first, "each key once");
    if (!item.second.IsNull()) MF_RETURN_IF_ERROR((*setter)(place, item.second));
  }
  return absl::OkStatus();
}

absl::Status ReadDataset(const YAML::Node& node, const std::string& file, const std::string& prefix,
                         MixDataset* d) {
  return ReadMap(node, file, prefix,
                 {{"name", Into<std::string>([d](std::string v) { d->set_name(std::move(v)); })},
                  {"cache_root", Into<std::string>([d](std::string v) { d->set_cache_root(std::move(v)); })},
                  {"split", Into<std::string>([d](std::string v) { d->set_split(std::move(v)); })},
                  {"backend", Into<std::string>([d](std::string v) { d->set_backend(std::move(v)); })},
                  {"weight", Into<double>([d](double v) { d->set_weight(v); })},
                  {"drop_ray_prob", Into<double>([d](double v) { d->set_drop_ray_prob(v); })},
                  {"force_missing_ray", Into<bool>([d](bool v) { d->set_force_missing_ray(v); })},
                  {"add_eos", Into<bool>([d](bool v) { d->set_add_eos(v); })},
                  {"voxel_grid", Into<int32_t>([d](int32_t v) { d->set_voxel_grid(v); })},
                  {"voxel_dilate", Into<int32_t>([d](int32_t v) { d->set_voxel_dilate(v); })},
                  {"voxel_max_steps", Into<int32_t>([d](int32_t v) { d->set_voxel_max_steps(v); })}});
}

absl::StatusOr<MixConfig> FromYaml(const YAML::Node& root, const std::string& file) {
  if (!root.IsMap()) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": expected a mapping with the key datasets"));
  }
  MixConfig config;
  const Setter datasets = [&](const Place& place, const YAML::Node& node) -> absl::Status {
    if (!node.IsSequence()) return Wrong(place, node, "a list");
    for (const YAML::Node& item : node) {
      const std::string prefix = absl::StrCat("datasets[", config.datasets_size(), "]");
      if (!item.IsMap()) return Wrong({file, prefix}, item, "a mapping");
      MF_RETURN_IF_ERROR(ReadDataset(item, file, prefix + ".", config.add_datasets()));
    }
    return absl::OkStatus();
  };
  MF_RETURN_IF_ERROR(
      ReadMap(root, file, "",
              {{"datasets", datasets},
               {"replacement", Into<bool>([&](bool v) { config.set_replacement(v); })},
               {"mix_num_samples", Into<int64_t>([&](int64_t v) { config.set_mix_num_samples(v); })},
               {"mix_seed", Into<int64_t>([&](int64_t v) { config.set_mix_seed(v); })}}));
  return config;
}

class IgnoreEvents : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
  }
  void OnMapEnd() override {}
};

// YAML::Load reads the first alone, and YAML::LoadAll finds documents for ever in "[a],?\n4 s".
bool HasSecondDocument(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  IgnoreEvents ignore;
  return parser.HandleNextDocument(ignore) && parser.HandleNextDocument(ignore);
}

// What both forms owe: names, and values within their ranges.
absl::StatusOr<MixConfig> Finish(MixConfig config, const std::string& file) {
  if (config.datasets().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": datasets is empty, expected one or more"));
  }
  if (const absl::Status status = CheckConfig(config); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": ", status.message()));
  }
  for (int i = 0; i < config.datasets_size(); ++i) {
    MixDataset& dataset = *config.mutable_datasets(i);
    const std::string prefix = absl::StrCat(file, ": datasets[", i, "].");
    if (dataset.name().empty()) dataset.set_name(absl::StrCat("ds", i));
    if (dataset.split().empty()) return absl::InvalidArgumentError(absl::StrCat(prefix, "split is empty"));
  }
  return config;
}

}  // namespace

absl::StatusOr<MixConfig> ParseMixYaml(const std::string& text, const std::string& name) {
  try {
    if (HasSecondDocument(text)) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": more than one document, expected one"));
    }
    MF_ASSIGN_OR_RETURN(MixConfig config, FromYaml(YAML::Load(text), name));
    return Finish(std::move(config), name);
  } catch (const YAML::Exception& e) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", e.what()));
  }
}

absl::StatusOr<MixConfig> ReadMixConfig(const std::string& path) {
  const bool yaml = absl::EndsWith(path, ".yaml") || absl::EndsWith(path, ".yml");
  if (!yaml && !absl::EndsWith(path, ".textproto")) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": expected a .yaml, .yml or .textproto file"));
  }
  MF_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  if (yaml) return ParseMixYaml(text, path);
  MixConfig config;
  MF_RETURN_IF_ERROR(MergeConfigText(text, path, &config));
  return Finish(std::move(config), path);
}

}  // namespace manyform
