/// \file
/// What a model would be fed, for those who train elsewhere.
#pragma once

#include "absl/status/statusor.h"
#include "proto/tokens.pb.h"

namespace manyform {

/// Writes the deterministic-evaluation samples of a split (EvalTokens) as one .npz: feat (S,K,T,15) f4,
/// type_id (S,K,T) i8, key (S) "class/id"; S in the order of sorted paths, k the resample. Holds a few
/// batches in memory, however many samples there are. The same bytes for any num_threads.
/// \error as ShapeList::Open and EvalTokens; InvalidArgument for an output that does not end in .npz. Without
/// success there is no file.
absl::StatusOr<DumpTokensResult> DumpTokens(const DumpTokensConfig& config);

}  // namespace manyform
