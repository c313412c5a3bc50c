/// \file
/// What one core of this machine can do at best: the yardstick of //data:bench.
#pragma once

namespace manyform {

struct MachineRates {
  double bytes_per_second = 0;       ///< read and written by a copy larger than the second-level cache
  double operations_per_second = 0;  ///< single-precision additions and multiplications in the widest vectors
};
/// Measured now, in about a tenth of a second.
MachineRates MeasureMachine();

}  // namespace manyform
