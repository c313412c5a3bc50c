#include "data/finetune_splits.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/numpy_random.h"
#include "base/status_macros.h"

namespace manyform {
namespace {

// The list by class, classes by first appearance, each one's shapes sorted and then shuffled by one stream.
std::vector<std::vector<int64_t>> ShuffledClasses(std::span<const LabelledPath> shapes,
                                                  std::span<const int64_t> from, int64_t seed) {
  std::vector<std::vector<int64_t>> classes;
  absl::flat_hash_map<std::string, size_t> numbers;
  for (const int64_t i : from) {
    const auto [number, added] = numbers.try_emplace(shapes[i].class_name, classes.size());
    if (added) classes.emplace_back();
    classes[number->second].push_back(i);
  }
  NumpyRandomState random(static_cast<uint32_t>(seed));
  for (std::vector<int64_t>& members : classes) {
    std::sort(members.begin(), members.end(),
              [&](int64_t a, int64_t b) { return shapes[a].path < shapes[b].path; });
    random.Shuffle(std::span(members));
  }
  return classes;
}

void SortByPath(std::span<const LabelledPath> shapes, std::vector<int64_t>* indices) {
  std::sort(indices->begin(), indices->end(),
            [&](int64_t a, int64_t b) { return shapes[a].path < shapes[b].path; });
}

}  // namespace

absl::StatusOr<TrainValidation> SplitValidation(std::span<const LabelledPath> shapes, double ratio,
                                                int64_t seed) {
  if (!(ratio >= 0 && ratio <= 1)) {
    return absl::InvalidArgumentError(absl::StrCat("val_ratio is ", ratio, ", expected 0 to 1"));
  }
  std::vector<int64_t> all(shapes.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  TrainValidation split;
  for (const std::vector<int64_t>& members : ShuffledClasses(shapes, all, seed)) {
    const int64_t n = static_cast<int64_t>(members.size());
    int64_t held_out = static_cast<int64_t>(ratio * static_cast<double>(n));
    if (held_out == 0 && n >= 2 && ratio > 0) held_out = 1;
    split.validation.insert(split.validation.end(), members.begin(), members.begin() + held_out);
    split.train.insert(split.train.end(), members.begin() + held_out, members.end());
  }
  SortByPath(shapes, &split.train);
  SortByPath(shapes, &split.validation);
  return split;
}

absl::StatusOr<std::vector<int64_t>> PickShots(std::span<const LabelledPath> shapes,
                                               std::span<const int64_t> from, int64_t k, int64_t seed) {
  if (k < 0) return absl::InvalidArgumentError(absl::StrCat("fewshot_k is ", k, ", expected at least 0"));
  std::vector<int64_t> picked;
  for (const std::vector<int64_t>& members : ShuffledClasses(shapes, from, seed)) {
    const auto end = k == 0 ? members.end() : members.begin() + std::min<int64_t>(k, members.size());
    picked.insert(picked.end(), members.begin(), end);
  }
  SortByPath(shapes, &picked);
  return picked;
}

absl::StatusOr<std::vector<std::string>> PickClasses(std::vector<std::string> classes, int64_t n,
                                                     int64_t seed) {
  std::sort(classes.begin(), classes.end());
  classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
  if (n < 0 || n > static_cast<int64_t>(classes.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("n_way is ", n, ", expected 0 to ", classes.size(), ", the number of classes"));
  }
  if (n == 0) return classes;
  MF_ASSIGN_OR_RETURN(std::vector<int64_t> chosen,
                      NumpyRandomState(static_cast<uint32_t>(seed))
                          .Choice(static_cast<int64_t>(classes.size()), n, /*replace=*/false));
  std::sort(chosen.begin(), chosen.end());
  std::vector<std::string> names;
  names.reserve(chosen.size());
  for (const int64_t i : chosen) names.push_back(classes[i]);
  return names;
}

}  // namespace manyform
