#include "eval/episodes.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "data/finetune_splits.h"

namespace manyform {
namespace {

std::vector<LabelledPath> PathsOf(const EmbeddedShapes& shapes) {
  std::vector<LabelledPath> paths;
  paths.reserve(shapes.keys.size());
  // With the ending, which is part of what orders the shapes of a split.
  for (int64_t i = 0; i < shapes.size(); ++i)
    paths.push_back({.class_name = shapes.class_names[shapes.labels[i]], .path = shapes.keys[i] + ".npz"});
  return paths;
}

template <class Keep>
std::vector<int64_t> Where(int64_t n, const Keep& keep) {
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < n; ++i)
    if (keep(i)) kept.push_back(i);
  return kept;
}

}  // namespace

absl::StatusOr<Episode> DrawEpisode(const EmbeddedShapes& fitted, const EmbeddedShapes& asked,
                                    const EpisodeOptions& options) {
  const std::vector<LabelledPath> fitted_paths = PathsOf(fitted), asked_paths = PathsOf(asked);
  MF_ASSIGN_OR_RETURN(const std::vector<std::string> classes,
                      PickClasses(fitted.class_names, options.ways, options.seed));
  const auto known = [&](const std::vector<LabelledPath>& paths, int64_t i) {
    return std::binary_search(classes.begin(), classes.end(), paths[i].class_name);
  };
  Episode episode;
  const std::vector<int64_t> candidates =
      Where(fitted.size(), [&](int64_t i) { return known(fitted_paths, i); });
  MF_ASSIGN_OR_RETURN(episode.fitted, PickShots(fitted_paths, candidates, options.shots, options.seed));
  std::set<std::string> shots;
  if (SameShapes(fitted, asked))
    for (const int64_t i : episode.fitted) shots.insert(fitted.keys[i]);
  const std::vector<int64_t> open =
      Where(asked.size(), [&](int64_t i) { return known(asked_paths, i) && !shots.contains(asked.keys[i]); });
  MF_ASSIGN_OR_RETURN(episode.asked, PickShots(asked_paths, open, options.queries, options.seed));
  if (episode.fitted.empty() || episode.asked.empty())
    return absl::InvalidArgumentError(absl::StrCat(
        "fewshot_k: ", episode.fitted.size(), " shapes to fit on leave ", episode.asked.size(), " to ask"));
  return episode;
}

}  // namespace manyform
