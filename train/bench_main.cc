#include "base/run_main.h"
#include "model/thread_waiting.h"
#include "train/bench.h"

int main(int argc, char** argv) {
  manyform::SleepBetweenParallelLoops(argv);
  return manyform::RunMain<manyform::TrainBenchConfig, manyform::TrainBenchResult>(
      argc, argv, "Times pretraining steps, phase by phase, beside the published way of computing them.",
      manyform::TrainBench);
}
