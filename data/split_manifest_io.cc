#include "data/split_manifest_io.h"

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/files.h"
#include "base/result_writer.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

using Json = nlohmann::ordered_json;

bool IsInteger(const Json& json) {
  return json.is_number_integer() && (!json.is_number_unsigned() || json.get<uint64_t>() <= INT64_MAX);
}

// A member of an object as T; absent ones leave `value` as it is.
class ObjectReader {
 public:
  ObjectReader(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}
  absl::Status IsObject() const { return json_.is_object() ? absl::OkStatus() : Wrong("", "an object"); }
  absl::Status String(const char* key, std::string* value) const {
    return Take(key, "a string", &Json::is_string, [&](const Json& j) { *value = j.get<std::string>(); });
  }
  absl::Status RequiredString(const char* key, std::string* value) const {
    if (!json_.contains(key)) return absl::InvalidArgumentError(absl::StrCat(where_, key, " is missing"));
    return String(key, value);
  }
  template <class Is, class F>
  absl::Status Take(const char* key, const char* expected, Is is, F take) const {
    const auto it = json_.find(key);
    if (it == json_.end()) return absl::OkStatus();
    if (!std::invoke(is, *it)) return Wrong(key, expected);
    take(*it);
    return absl::OkStatus();
  }
  absl::Status Wrong(const std::string& what, const std::string& expected) const {
    return absl::InvalidArgumentError(absl::StrCat(where_, what, " is not ", expected));
  }

 private:
  const Json& json_;
  const std::string where_;
};

absl::Status ParseCounts(const Json& counts, const std::string& where, SplitMeta* meta) {
  for (const auto& [split, shapes] : counts.items()) {
    if (!IsInteger(shapes)) {
      return absl::InvalidArgumentError(absl::StrCat(where, split, " is not an integer"));
    }
    SplitCount* count = meta->add_counts();
    count->set_split(split);
    count->set_shapes(shapes.get<int64_t>());
  }
  return absl::OkStatus();
}

absl::Status ParseMeta(const Json& json, const std::string& where, SplitMeta* meta) {
  const ObjectReader reader(json, where);
  MF_RETURN_IF_ERROR(reader.IsObject());
  MF_RETURN_IF_ERROR(reader.String("cache_root", meta->mutable_cache_root()));
  MF_RETURN_IF_ERROR(reader.String("train_split", meta->mutable_train_split()));
  MF_RETURN_IF_ERROR(reader.String("eval_split", meta->mutable_eval_split()));
  MF_RETURN_IF_ERROR(
      reader.Take("seed", "an integer", IsInteger, [&](const Json& j) { meta->set_seed(j.get<int64_t>()); }));
  absl::Status status;
  MF_RETURN_IF_ERROR(reader.Take("ratios_mesh_pc_udf", "a list", &Json::is_array, [&](const Json& ratios) {
    for (const Json& ratio : ratios) {
      if (!ratio.is_number()) {
        status = reader.Wrong("ratios_mesh_pc_udf", "a list of numbers");
        return;
      }
      meta->add_ratios_mesh_pc_udf(ratio.get<double>());
    }
  }));
  MF_RETURN_IF_ERROR(status);
  MF_RETURN_IF_ERROR(reader.Take("counts", "an object", &Json::is_object, [&](const Json& counts) {
    status = ParseCounts(counts, where + "counts.", meta);
  }));
  return status;
}

absl::StatusOr<SplitManifest> FromJson(const Json& json, const std::string& name) {
  const ObjectReader reader(json, absl::StrCat(name, ": "));
  MF_RETURN_IF_ERROR(reader.IsObject());
  SplitManifest manifest;
  absl::Status status;
  MF_RETURN_IF_ERROR(reader.Take("meta", "an object", &Json::is_object, [&](const Json& meta) {
    status = ParseMeta(meta, absl::StrCat(name, ": meta."), manifest.mutable_meta());
  }));
  MF_RETURN_IF_ERROR(status);
  const auto records = json.find("records");
  if (records == json.end() || !records->is_array()) return reader.Wrong("records", "there as a list");
  for (const Json& item : *records) {
    const ObjectReader record(item, absl::StrCat(name, ": records[", manifest.records_size(), "]."));
    MF_RETURN_IF_ERROR(record.IsObject());
    SplitRecord* out = manifest.add_records();
    MF_RETURN_IF_ERROR(record.RequiredString("key", out->mutable_key()));
    MF_RETURN_IF_ERROR(record.RequiredString("split", out->mutable_split()));
    MF_RETURN_IF_ERROR(record.RequiredString("src_split", out->mutable_src_split()));
    MF_RETURN_IF_ERROR(record.RequiredString("src_relpath", out->mutable_src_relpath()));
  }
  return manifest;
}

// Whether the path is made of `components` names (any number if 0), none of which leads elsewhere.
bool IsPlain(const std::string& path, size_t components) {
  const std::vector<std::string> parts = absl::StrSplit(path, '/');
  if (components != 0 && parts.size() != components) return false;
  for (const std::string& part : parts) {
    if (part.empty() || part == "." || part == ".." || absl::StrContains(part, '\0')) return false;
  }
  return true;
}

}  // namespace

absl::Status CheckSplitManifest(const SplitManifest& manifest, const std::string& name) {
  absl::flat_hash_set<std::string> seen;
  for (int i = 0; i < manifest.records_size(); ++i) {
    const SplitRecord& record = manifest.records(i);
    const auto wrong = [&](const char* field, const std::string& value, const char* expected) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": records[", i, "].", field, " is '", value, "', expected ", expected));
    };
    if (!IsPlain(record.key(), 2)) return wrong("key", record.key(), "class/id");
    if (!IsPlain(record.split(), 1)) return wrong("split", record.split(), "a folder's name");
    if (!IsPlain(record.src_split(), 1)) return wrong("src_split", record.src_split(), "a folder's name");
    if (!IsPlain(record.src_relpath(), 0)) {
      return wrong("src_relpath", record.src_relpath(), "a path below the source root");
    }
    if (!seen.insert(absl::StrCat(record.split(), "/", record.key())).second) {
      return wrong("key", record.key(), "each key once in a split");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<SplitManifest> ParseSplitJson(const std::string& text, const std::string& name) {
  try {
    MF_ASSIGN_OR_RETURN(SplitManifest manifest, FromJson(Json::parse(text), name));
    MF_RETURN_IF_ERROR(CheckSplitManifest(manifest, name));
    return manifest;
  } catch (const Json::exception& e) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", e.what()));
  }
}

absl::StatusOr<std::string> FormatSplitJson(const SplitManifest& manifest) {
  Json counts = Json::object();
  for (const SplitCount& count : manifest.meta().counts()) counts[count.split()] = count.shapes();
  Json ratios = Json::array();
  for (const double ratio : manifest.meta().ratios_mesh_pc_udf()) ratios.push_back(ratio);
  Json records = Json::array();
  for (const SplitRecord& record : manifest.records()) {
    records.push_back({{"key", record.key()},
                       {"split", record.split()},
                       {"src_split", record.src_split()},
                       {"src_relpath", record.src_relpath()}});
  }
  const Json json = {{"meta",
                      {{"cache_root", manifest.meta().cache_root()},
                       {"train_split", manifest.meta().train_split()},
                       {"eval_split", manifest.meta().eval_split()},
                       {"seed", manifest.meta().seed()},
                       {"ratios_mesh_pc_udf", ratios},
                       {"counts", counts}}},
                     {"records", records}};
  try {
    return json.dump(2, ' ', /*ensure_ascii=*/true);
  } catch (const Json::exception& e) {
    return absl::InvalidArgumentError(absl::StrCat("a name of the split is not UTF-8: ", e.what()));
  }
}

absl::StatusOr<SplitManifest> ReadSplitManifest(const std::string& path) {
  MF_ASSIGN_OR_RETURN(const ResultFormat format, ResultFormatOf(path));
  if (format == ResultFormat::kJson) {
    MF_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
    return ParseSplitJson(text, path);
  }
  SplitManifest manifest;
  MF_RETURN_IF_ERROR(ReadResult(path, &manifest));
  MF_RETURN_IF_ERROR(CheckSplitManifest(manifest, path));
  return manifest;
}

absl::Status WriteSplitManifest(const std::string& path, const SplitManifest& manifest) {
  MF_ASSIGN_OR_RETURN(const ResultFormat format, ResultFormatOf(path));
  if (format != ResultFormat::kJson) return WriteResult(path, manifest);
  MF_ASSIGN_OR_RETURN(const std::string text, FormatSplitJson(manifest));
  return WriteFileAtomically(path, text);
}

}  // namespace manyform
