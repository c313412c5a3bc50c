/// \file
/// The table //data:bench prints.
#pragma once

#include <string>

#include "proto/bench.pb.h"

namespace manyform {

/// Sets each row's limit from the machine's rates: its bytes or its operations, whichever takes longer.
void SetLimits(BenchResult* result);
/// Aligned columns: stage, CPU and wall ms, target (with "!" where it is missed), least bytes and operations,
/// the limit and how far from it the stage is, the published figure and how many times faster than it.
std::string BenchTable(const BenchResult& result);

}  // namespace manyform
