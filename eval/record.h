/// \file
/// Result records: published keys in order, and the signature that says which rows may stand in one column.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/record.pb.h"

namespace manyform {

/// Collects a record key by key. A key with a dot ("near@tau_report.mae") is a member of a nested object in
/// published JSON.
class RecordBuilder {
 public:
  explicit RecordBuilder(std::string_view stage);

  /// What defines the protocol: part of the signature.
  RecordBuilder& Protocol(std::string_view name, std::string_view value);
  RecordBuilder& Protocol(std::string_view name, const char* value);
  RecordBuilder& Protocol(std::string_view name, double value);
  RecordBuilder& Protocol(std::string_view name, int64_t value);
  RecordBuilder& Protocol(std::string_view name, int value) { return Protocol(name, int64_t{value}); }
  RecordBuilder& Protocol(std::string_view name, bool value);
  /// What the checkpoint brings along, or what changes no other number: shown, but not in the signature.
  RecordBuilder& Note(std::string_view name, std::string_view value);
  RecordBuilder& Note(std::string_view name, const char* value);
  RecordBuilder& Note(std::string_view name, bool value);
  RecordBuilder& NoteJson(std::string_view name, std::string_view json);
  RecordBuilder& Metric(std::string_view name, double value);

  /// SHA-256 over stage, protocol keys, `split_hash` and `precision`. Not over the checkpoint: rows of
  /// different checkpoints are what a column compares.
  ResultRecord Finish(std::string_view label, std::string_view split_hash, std::string_view checkpoint_hash,
                      std::string_view precision) const;

 private:
  RecordBuilder& Add(std::string_view name, std::string json, bool protocol);
  ResultRecord record_;
  std::string signed_;
};

/// The folder a checkpoint lies in, which is its run's name; its file name without one.
std::string LabelOf(std::string_view checkpoint_path);

/// The value of a metric, or NaN; the JSON of a setting, or "".
double MetricOr(const ResultRecord& record, std::string_view name, double otherwise);
std::string SettingOf(const ResultRecord& record, std::string_view name);

}  // namespace manyform
