#include "base/run_main.h"
#include "eval/reconstruct.h"
#include "model/thread_waiting.h"

int main(int argc, char** argv) {
  manyform::SleepBetweenParallelLoops(argv);
  return manyform::RunMain<manyform::ReconstructConfig, manyform::ReconstructResult>(
      argc, argv,
      "Completes shapes to look at: predicted, true and naive surfaces as meshes, volumes, points and a "
      "picture "
      "for each.",
      manyform::Reconstruct);
}
