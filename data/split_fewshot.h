/// \file
/// Which shapes of a cache a classifier is trained, validated and tested with, as files.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "data/finetune_splits.h"
#include "proto/split.pb.h"

namespace manyform {

/// Picks classes (fewshot_n_way), then validation shapes, then K shots a class, each as
/// data/finetune_splits.h says, and writes the lists: see proto/split.proto. \error NotFound for a split
/// without shapes; InvalidArgument for more classes than there are, or a class that is tested and not
/// trained.
absl::StatusOr<SplitFewshotResult> SplitFewshot(const SplitFewshotConfig& config);

/// The split itself, of shapes in the order of their sorted paths. \error as above
absl::StatusOr<FewshotSplit> MakeFewshotSplit(const SplitFewshotConfig& config,
                                              const std::vector<LabelledPath>& train,
                                              const std::vector<LabelledPath>& test);

}  // namespace manyform
