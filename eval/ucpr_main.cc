#include "base/run_main.h"
#include "eval/ucpr.h"
#include "model/thread_waiting.h"

int main(int argc, char** argv) {
  manyform::SleepBetweenParallelLoops(argv);
  return manyform::RunMain<manyform::UcprConfig, manyform::UcprResult>(
      argc, argv,
      "Unpaired cross-primitive retrieval: every shape, asked through one backend, is looked for among all "
      "shapes answered by another.",
      manyform::Ucpr);
}
