/// \file
/// //eval:probe: how well classes can be read off frozen vectors, by a linear machine or by neighbours.
#pragma once

#include "absl/status/statusor.h"
#include "eval/embedding_file.h"
#include "proto/probe.pb.h"

namespace manyform {

/// Fits on `fitted` and asks `asked`, whatever config.train, test and embed say.
/// \error InvalidArgument if the two do not go together (other sizes, checkpoints or classes, which are
/// named; the same shapes without shots); as DrawEpisode, ChoosePenalty and VoteOfNeighbours.
absl::StatusOr<ProbeResult> MeasureProbe(const ProbeConfig& config, const EmbeddedShapes& fitted,
                                         EmbeddedShapes asked);

/// The program's function. \error as ReadEmbeddings or EmbedSplit; a bad config unless there are train and
/// test, or embed alone.
absl::StatusOr<ProbeResult> Probe(const ProbeConfig& config);

}  // namespace manyform
