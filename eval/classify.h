/// \file
/// //eval:classify: a classifier that fine-tuning saved, tested on any split through any backend.
#pragma once

#include "absl/status/statusor.h"
#include "proto/probe.pb.h"

namespace manyform {

/// The program's function. With no option but the checkpoint, its accuracy is the one that fine-tuning gave
/// for these weights. \error as ReadCheckpoint and ShapeList::Open; InvalidArgument for a checkpoint that is
/// no classifier, and, with the names, for another split of other classes unless
/// common_classes.
absl::StatusOr<ClassifyResult> Classify(const ClassifyConfig& config);

}  // namespace manyform
