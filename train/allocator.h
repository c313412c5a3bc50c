/// \file
/// Memory between steps.
#pragma once

namespace manyform {

/// From now on memory that is freed stays with the process, for the next step's tensors to take. By default
/// glibc maps every large tensor anew, and the kernel clears each of its pages again: a fifth of a step.
void KeepFreedMemory();

}  // namespace manyform
