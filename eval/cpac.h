/// \file
/// The program that measures completion: one setting, or several in one pass.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "proto/eval.pb.h"

namespace manyform {

/// `config` and what its settings make of it. \error InvalidArgument naming the setting: an override that is
/// none, changes what all share (cache_root, split, ckpt, max_len, batch, num_threads, device) or names no
/// output of its own.
absl::StatusOr<std::vector<CpacConfig>> ExpandSettings(const CpacConfig& config);

/// The program's function: the result of `config` itself; those of its settings are written to their outputs.
/// \error as ShapeList::Open and LoadModel, or of the first shape that fails.
absl::StatusOr<CpacResult> Cpac(const CpacConfig& config);

}  // namespace manyform
