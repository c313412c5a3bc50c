#include "eval/embedding_file.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/result_writer.h"
#include "base/status_macros.h"

namespace manyform {
namespace {

absl::Status Wrong(const std::string& path, const char* array, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", array, ": ", what));
}

absl::StatusOr<std::vector<std::string>> ReadStrings(const NpzReader& npz, const std::string& path,
                                                     const char* name, int64_t expected) {
  MF_ASSIGN_OR_RETURN(const Array array, npz.Read(name));
  if (array.shape.size() != 1 || (expected >= 0 && array.shape[0] != expected))
    return Wrong(path, name,
                 absl::StrCat("shape (", absl::StrJoin(array.shape, ", "), "), expected ",
                              expected >= 0 ? absl::StrCat("(", expected, ")") : "one dimension"));
  absl::StatusOr<std::vector<std::string>> strings = array.Strings();
  if (!strings.ok()) return Wrong(path, name, std::string(strings.status().message()));
  return strings;
}

absl::Status CheckLabels(const std::string& path, const EmbeddedShapes& shapes) {
  const auto classes = static_cast<int64_t>(shapes.class_names.size());
  for (const int64_t label : shapes.labels)
    if (label < 0 || label >= classes)
      return Wrong(path, "label", absl::StrCat(label, ", expected 0 to ", classes - 1, ", a class"));
  const std::set<std::string> distinct(shapes.class_names.begin(), shapes.class_names.end());
  if (distinct.size() != shapes.class_names.size())
    return Wrong(path, "class_names", "a name is there twice");
  return absl::OkStatus();
}

}  // namespace

bool SameShapes(const EmbeddedShapes& a, const EmbeddedShapes& b) {
  return a.keys == b.keys && a.record.split_hash() == b.record.split_hash();
}

absl::Status WriteEmbeddings(const std::string& path, const EmbeddedShapes& shapes) {
  MF_ASSIGN_OR_RETURN(const std::string record, FormatResult(shapes.record, ResultFormat::kJson));
  const NamedArray arrays[] = {
      {"embedding", MakeArray(shapes.embedding, {shapes.size(), shapes.features})},
      {"label", MakeArray(shapes.labels, {shapes.size()})},
      {"class_names", MakeStringArray(shapes.class_names)},
      {"key", MakeStringArray(shapes.keys)},
      {"record", MakeStringArray({record})},
  };
  return WriteNpz(path, arrays);
}

absl::StatusOr<EmbeddedShapes> EmbeddingsIn(const NpzReader& npz, const std::string& path) {
  EmbeddedShapes shapes;
  MF_ASSIGN_OR_RETURN(const Array embedding, npz.Read("embedding"));
  if (embedding.shape.size() != 2 || embedding.size() == 0)
    return Wrong(path, "embedding",
                 absl::StrCat("shape (", absl::StrJoin(embedding.shape, ", "), "), expected (N, d)"));
  shapes.features = embedding.shape[1];
  absl::StatusOr<std::vector<float>> values = embedding.Values<float>();
  if (!values.ok()) return Wrong(path, "embedding", std::string(values.status().message()));
  shapes.embedding = *std::move(values);
  const auto finite = [](float value) { return std::isfinite(value); };
  if (!std::all_of(shapes.embedding.begin(), shapes.embedding.end(), finite))
    return Wrong(path, "embedding", "a value is not finite");

  MF_ASSIGN_OR_RETURN(const Array label, npz.Read("label"));
  if (label.shape != std::vector<int64_t>{embedding.shape[0]})
    return Wrong(
        path, "label",
        absl::StrCat("shape (", absl::StrJoin(label.shape, ", "), "), expected (", embedding.shape[0], ")"));
  absl::StatusOr<std::vector<int64_t>> labels = label.Values<int64_t>();
  if (!labels.ok()) return Wrong(path, "label", std::string(labels.status().message()));
  shapes.labels = *std::move(labels);
  MF_ASSIGN_OR_RETURN(shapes.class_names, ReadStrings(npz, path, "class_names", -1));
  MF_RETURN_IF_ERROR(CheckLabels(path, shapes));
  MF_ASSIGN_OR_RETURN(shapes.keys, ReadStrings(npz, path, "key", shapes.size()));
  if (!npz.Has("record")) return shapes;
  MF_ASSIGN_OR_RETURN(const std::vector<std::string> record, ReadStrings(npz, path, "record", 1));
  const absl::Status parsed = ParseResult(record[0], ResultFormat::kJson, &shapes.record);
  if (!parsed.ok()) return Wrong(path, "record", std::string(parsed.message()));
  return shapes;
}

absl::StatusOr<EmbeddedShapes> ReadEmbeddings(const std::string& path) {
  MF_ASSIGN_OR_RETURN(const NpzReader npz, NpzReader::Open(path));
  return EmbeddingsIn(npz, path);
}

}  // namespace manyform
