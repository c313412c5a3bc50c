#include "base/run_main.h"
#include "eval/classify.h"
#include "model/thread_waiting.h"

int main(int argc, char** argv) {
  manyform::SleepBetweenParallelLoops(argv);
  return manyform::RunMain<manyform::ClassifyConfig, manyform::ClassifyResult>(
      argc, argv,
      "Tests a classifier that fine-tuning saved on any split through any backend; options that are not "
      "given "
      "are those it was tested with.",
      manyform::Classify);
}
