#include "eval/record.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/hash.h"
#include "base/string_views.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

std::string JsonString(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

const char* JsonBool(bool value) { return value ? "true" : "false"; }

}  // namespace

RecordBuilder::RecordBuilder(std::string_view stage) : signed_(absl::StrCat("stage=", ToAbsl(stage), "\n")) {
  record_.set_stage(std::string(stage));
}

RecordBuilder& RecordBuilder::Add(std::string_view name, std::string json, bool protocol) {
  if (protocol) absl::StrAppend(&signed_, ToAbsl(name), "=", json, "\n");
  Setting* setting = record_.add_settings();
  setting->set_name(std::string(name));
  setting->set_json(std::move(json));
  return *this;
}

RecordBuilder& RecordBuilder::Protocol(std::string_view name, std::string_view value) {
  return Add(name, JsonString(value), true);
}
RecordBuilder& RecordBuilder::Protocol(std::string_view name, const char* value) {
  return Add(name, JsonString(value), true);
}
RecordBuilder& RecordBuilder::Protocol(std::string_view name, double value) {
  return Add(name, FormatNumber(value), true);
}
RecordBuilder& RecordBuilder::Protocol(std::string_view name, int64_t value) {
  return Add(name, absl::StrCat(value), true);
}
RecordBuilder& RecordBuilder::Protocol(std::string_view name, bool value) {
  return Add(name, JsonBool(value), true);
}
RecordBuilder& RecordBuilder::Note(std::string_view name, std::string_view value) {
  return Add(name, JsonString(value), false);
}
RecordBuilder& RecordBuilder::Note(std::string_view name, const char* value) {
  return Add(name, JsonString(value), false);
}
RecordBuilder& RecordBuilder::Note(std::string_view name, bool value) {
  return Add(name, JsonBool(value), false);
}
RecordBuilder& RecordBuilder::NoteJson(std::string_view name, std::string_view json) {
  return Add(name, std::string(json), false);
}

RecordBuilder& RecordBuilder::Metric(std::string_view name, double value) {
  auto* metric = record_.add_metrics();
  metric->set_name(std::string(name));
  metric->set_value(value);
  return *this;
}

ResultRecord RecordBuilder::Finish(std::string_view label, std::string_view split_hash,
                                   std::string_view checkpoint_hash, std::string_view precision) const {
  ResultRecord record = record_;
  record.set_label(std::string(label));
  record.set_split_hash(std::string(split_hash));
  record.set_checkpoint_hash(std::string(checkpoint_hash));
  record.set_precision(std::string(precision));
  record.set_protocol_signature(Sha256Hex(
      absl::StrCat(signed_, "split=", ToAbsl(split_hash), "\nprecision=", ToAbsl(precision), "\n")));
  return record;
}

std::string LabelOf(std::string_view checkpoint_path) {
  std::string_view path = checkpoint_path;
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return std::string(path.substr(0, path.rfind('.')));
  path = path.substr(0, slash);
  while (path.ends_with('/') || path.ends_with("/.")) path.remove_suffix(path.ends_with('/') ? 1 : 2);
  const size_t parent = path.rfind('/');
  return std::string(parent == std::string_view::npos ? path : path.substr(parent + 1));
}

double MetricOr(const ResultRecord& record, std::string_view name, double otherwise) {
  for (const auto& metric : record.metrics())
    if (metric.name() == name) return metric.value();
  return otherwise;
}

std::string SettingOf(const ResultRecord& record, std::string_view name) {
  for (const Setting& setting : record.settings())
    if (setting.name() == name) return setting.json();
  return "";
}

}  // namespace manyform
