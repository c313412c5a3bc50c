/// \file
/// How LibTorch's threads wait for work.
#pragma once

namespace manyform {

/// First thing in main: threads sleep between parallel loops instead of spinning (OMP_WAIT_POLICY=passive),
/// unless the environment already says. Spinning threads wait for one another whenever something else wants
/// the cores: loader threads, a second run. OpenMP reads its environment before main, so the program starts
/// itself once more; it goes on as it is if it cannot.
void SleepBetweenParallelLoops(char** argv);

}  // namespace manyform
