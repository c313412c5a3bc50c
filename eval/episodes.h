/// \file
/// Which shapes a probe is fitted on and which it is asked: all of them, few a class, or N-way K-shot.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "eval/embedding_file.h"

namespace manyform {

struct EpisodeOptions {
  int64_t shots = 0;    ///< a class to fit on; 0: all
  int64_t ways = 0;     ///< classes; 0: all
  int64_t queries = 0;  ///< a class to ask; 0: all
  int64_t seed = 0;
};

/// Indices into the shapes fitted on and into those asked.
struct Episode {
  std::vector<int64_t> fitted, asked;
};

/// Classes by PickClasses, shots and queries by PickShots (data/finetune_splits.h), all three by `seed`: the
/// shots are those of fine-tuning without validation. If both are the same shapes, shots are not asked.
/// \pre the labels of `asked` index the same classes
/// \error InvalidArgument for more ways than classes, or if nothing is left to ask.
absl::StatusOr<Episode> DrawEpisode(const EmbeddedShapes& fitted, const EmbeddedShapes& asked,
                                    const EpisodeOptions& options);

}  // namespace manyform
