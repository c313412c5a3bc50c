#include "base/run_main.h"
#include "eval/cpac.h"
#include "model/thread_waiting.h"

int main(int argc, char** argv) {
  manyform::SleepBetweenParallelLoops(argv);
  return manyform::RunMain<manyform::CpacConfig, manyform::CpacResult>(
      argc, argv,
      "Completion of a distance field from a few context points, by a linear head on the frozen model.",
      manyform::Cpac);
}
