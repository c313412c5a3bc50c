#include "eval/class_sets.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace manyform {
namespace {

std::string Quoted(const std::vector<std::string>& names) {
  return absl::StrCat("'", absl::StrJoin(names, "', '"), "'");
}

}  // namespace

std::vector<std::string> Missing(std::span<const std::string> from, std::span<const std::string> others) {
  const std::set<std::string> had(others.begin(), others.end());
  std::vector<std::string> missing;
  for (const std::string& name : from)
    if (!had.contains(name)) missing.push_back(name);
  return missing;
}

absl::Status CheckSameClasses(const std::string& what, std::span<const std::string> classes,
                              std::span<const std::string> known) {
  const std::vector<std::string> unknown = Missing(classes, known), absent = Missing(known, classes);
  std::vector<std::string> parts;
  if (!unknown.empty())
    parts.push_back(absl::StrCat("has ", Quoted(unknown), ", which the classifier does not know"));
  if (!absent.empty()) parts.push_back(absl::StrCat("has none of its ", Quoted(absent)));
  if (parts.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, " ", absl::StrJoin(parts, "; and ")));
}

absl::StatusOr<std::vector<int64_t>> RelabelledAs(std::span<const std::string> class_names,
                                                  const EmbeddedShapes& shapes) {
  std::set<std::string> unknown;
  std::vector<int64_t> labels;
  labels.reserve(shapes.labels.size());
  for (const int64_t label : shapes.labels) {
    const auto found = std::find(class_names.begin(), class_names.end(), shapes.class_names[label]);
    labels.push_back(found - class_names.begin());
    if (found == class_names.end()) unknown.insert(shapes.class_names[label]);
  }
  if (unknown.empty()) return labels;
  return absl::InvalidArgumentError(absl::StrCat(
      "test has shapes of ", Quoted({unknown.begin(), unknown.end()}), ", of which train has none"));
}

}  // namespace manyform
