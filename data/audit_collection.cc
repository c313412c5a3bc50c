#include "data/audit_collection.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "data/audit_arrays.h"
#include "data/manifest.h"

namespace manyform {
namespace {

bool Contains(const google::protobuf::RepeatedPtrField<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Finding AtClass(Finding finding, const std::string& root, const std::string& split,
                const std::string& class_name) {
  finding.set_cache_root(root);
  finding.set_split(split);
  finding.set_key(class_name);
  return finding;
}

// Splits that must not share a shape.
bool MustDiffer(const AuditConfig& config, const AuditedShape& a, const AuditedShape& b) {
  if (a.root == b.root) return a.entry.split() != b.entry.split();
  const SplitRole first = RoleOf(config, a.entry.split()), second = RoleOf(config, b.entry.split());
  return (first == SplitRole::kTrain && second == SplitRole::kEval) ||
         (first == SplitRole::kEval && second == SplitRole::kTrain);
}

// Calls found(a, b) for shapes with equal keys that must not share them; each shape is `b` at most once.
template <class Key, class KeyOf, class Found>
void ForEachShared(const AuditConfig& config, std::span<const AuditedShape> shapes, KeyOf key_of,
                   Found found) {
  std::map<Key, std::vector<const AuditedShape*>> groups;
  for (const AuditedShape& shape : shapes) {
    if (const std::optional<Key> key = key_of(shape)) groups[*key].push_back(&shape);
  }
  for (const auto& [key, group] : groups) {
    for (size_t j = 1; j < group.size(); ++j) {
      for (size_t i = 0; i < j; ++i) {
        if (!MustDiffer(config, *group[i], *group[j])) continue;
        found(*group[i], *group[j]);
        break;
      }
    }
  }
}

}  // namespace

bool IsChecked(const AuditConfig& config, std::string_view check) {
  return config.checks().empty() || Contains(config.checks(), std::string(check));
}

SplitRole RoleOf(const AuditConfig& config, const std::string& split) {
  const auto named = [&](absl::string_view name) {
    return split == name || absl::StartsWith(split, absl::StrCat(name, "_"));
  };
  if (config.train_split().empty() ? named("train") : Contains(config.train_split(), split))
    return SplitRole::kTrain;
  const bool tested = config.eval_split().empty() ? named("test") || named("eval") || named("val")
                                                  : Contains(config.eval_split(), split);
  return tested ? SplitRole::kEval : SplitRole::kOther;
}

std::vector<Finding> CheckLayouts(const AuditConfig& config, std::span<const AuditedShape> shapes) {
  // How many shapes of a root have an array in a form; "" stands for not at all.
  std::map<std::pair<int, std::string>, std::map<std::string, int64_t>> forms;
  std::map<int, int64_t> shapes_of;
  for (const AuditedShape& shape : shapes) {
    if (!shape.read) continue;
    ++shapes_of[shape.root];
    for (const auto& [array, form] : shape.layout) ++forms[{shape.root, array}][form];
  }
  std::map<std::pair<int, std::string>, std::string> usual;
  for (auto& [key, counts] : forms) {
    int64_t having = 0;
    for (const auto& [form, n] : counts) having += n;
    counts[""] = shapes_of[key.first] - having;
    usual[key] = std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
                   return a.second < b.second;
                 })->first;
  }
  std::vector<Finding> findings;
  for (const AuditedShape& shape : shapes) {
    if (!shape.read) continue;
    const std::map<std::string, std::string> own(shape.layout.begin(), shape.layout.end());
    std::string text;
    for (auto it = usual.lower_bound({shape.root, ""}); it != usual.end() && it->first.first == shape.root;
         ++it) {
      const auto found = own.find(it->first.second);
      const std::string form = found == own.end() ? "" : found->second;
      if (form == it->second) continue;
      absl::StrAppend(
          &text, text.empty() ? "" : "; ", it->first.second, " is ", form.empty() ? "missing" : form,
          it->second.empty() ? ", others do not have it" : absl::StrCat(", others have ", it->second));
    }
    if (!text.empty()) findings.push_back(At(shape, config, MakeFinding("layout_differs", "warning", text)));
  }
  return findings;
}

std::vector<Finding> CheckBalance(const AuditConfig& config, std::span<const AuditedRoot> roots,
                                  std::span<const AuditedShape> shapes) {
  std::map<std::pair<int, std::string>, std::map<std::string, int64_t>> counts;
  std::set<std::string> trained;
  bool any_trained = false;
  for (const AuditedShape& shape : shapes) {
    ++counts[{shape.root, shape.entry.split()}][shape.entry.class_name()];
    if (RoleOf(config, shape.entry.split()) != SplitRole::kTrain) continue;
    trained.insert(shape.entry.class_name());
    any_trained = true;
  }
  std::vector<Finding> findings;
  for (const AuditedRoot& root : roots) {
    for (const auto& [split, class_name] : root.empty_classes) {
      findings.push_back(
          AtClass(MakeFinding("class_empty", "warning", absl::StrCat(class_name, " has no shapes"), {0}),
                  root.path, split, class_name));
    }
  }
  for (const auto& [where, classes] : counts) {
    const auto& [number, split] = where;
    const std::string& root = roots[number].path;
    const auto less = [](const auto& a, const auto& b) { return a.second < b.second; };
    const auto smallest = std::min_element(classes.begin(), classes.end(), less);
    const auto largest = std::max_element(classes.begin(), classes.end(), less);
    const double ratio = static_cast<double>(largest->second) / static_cast<double>(smallest->second);
    if (ratio > config.max_imbalance()) {
      findings.push_back(AtClass(
          MakeFinding("class_imbalance", "warning",
                      absl::StrCat(largest->first, " has ", largest->second, " shapes, ", smallest->first,
                                   " has ", smallest->second),
                      {ratio, static_cast<double>(largest->second), static_cast<double>(smallest->second)}),
          root, split, smallest->first));
    }
    for (const auto& [class_name, n] : classes) {
      if (n < config.min_class_shapes()) {
        findings.push_back(AtClass(MakeFinding("class_small", "warning",
                                               absl::StrCat(class_name, " has ", n, " of at least ",
                                                            config.min_class_shapes(), " shapes"),
                                               {static_cast<double>(n)}),
                                   root, split, class_name));
      }
      if (any_trained && RoleOf(config, split) == SplitRole::kEval && !trained.contains(class_name)) {
        findings.push_back(AtClass(
            MakeFinding("class_not_trained", "error",
                        absl::StrCat(class_name, " is tested with ", n, " shapes but never trained on"),
                        {static_cast<double>(n)}),
            root, split, class_name));
      }
    }
  }
  return findings;
}

std::vector<Finding> CheckOverlap(const AuditConfig& config, std::span<const AuditedShape> shapes) {
  std::vector<Finding> findings;
  std::set<std::pair<const AuditedShape*, const AuditedShape*>> said;
  const auto say = [&](absl::string_view kind, absl::string_view text) {
    return [&findings, &said, &config, kind, text](const AuditedShape& a, const AuditedShape& b) {
      if (!said.insert({&a, &b}).second) return;
      findings.push_back(At(b, config, MakeFinding(kind, "error", absl::StrCat(text, a.path))));
    };
  };
  using File = std::pair<uint64_t, uint64_t>;
  ForEachShared<File>(
      config, shapes,
      [](const AuditedShape& s) {
        return s.there && s.file != File() ? std::optional(s.file) : std::nullopt;
      },
      say("same_file", "is the file of "));
  ForEachShared<uint64_t>(
      config, shapes, [](const AuditedShape& s) { return s.read ? std::optional(s.content) : std::nullopt; },
      [&, say_content = say("same_content", "has the arrays of ")](const AuditedShape& a,
                                                                   const AuditedShape& b) {
        if (a.root == b.root) say_content(a, b);
      });
  ForEachShared<std::pair<int, std::string>>(
      config, shapes,
      [](const AuditedShape& s) { return std::optional(std::pair(s.root, ShapeKey(s.entry))); },
      say("same_key", "has the key of "));
  return findings;
}

}  // namespace manyform
