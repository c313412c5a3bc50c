/// \file
/// The most arithmetic a core can do, compiled for each set of instructions.
#pragma once

namespace manyform {

inline constexpr int kMachineValues = 128;
/// `rounds` times a multiplication and an addition of each of kMachineValues numbers.
using Compute = void(int rounds, float* values);
Compute ComputePortable;
Compute ComputeAvx2;
Compute ComputeAvx512;

}  // namespace manyform
