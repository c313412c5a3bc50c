/// \file
/// How a measurement reads a checkpoint: its token layout, and positions for its sequences.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "data/tokens.h"
#include "eval/record.h"
#include "model/checkpoint.h"

namespace manyform {

/// The checkpoint's layout, with add_eos and qa_tokens replaced unless they are -1.
/// \error InvalidArgument if the checkpoint has no query/answer types, or its header names no layout.
absl::StatusOr<LayoutOptions> SequenceLayout(const LoadedModel& model, int add_eos, int qa_tokens);

/// `max_len`, or, if that is -1, as many positions as the checkpoint has but at least `length`.
/// \error InvalidArgument if max_len is too small for a sequence of `length`.
absl::StatusOr<int64_t> PositionsFor(const LoadedModel& model, int64_t max_len, int64_t length);
/// Resizes the position embedding to `max_len`, or, if that is -1 and the checkpoint is too short, to
/// `length`; says so. \error as PositionsFor.
absl::Status FitPositions(LoadedModel* model, int64_t max_len, int64_t length);

/// The layout's published keys. They belong to the protocol only where they were overridden: otherwise they
/// are the checkpoint's own, and checkpoints with other tokens may share a column.
void AddLayoutKeys(const LayoutOptions& layout, const CheckpointHeader& header, RecordBuilder* builder);

}  // namespace manyform
