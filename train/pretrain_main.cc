#include "base/run_main.h"
#include "model/thread_waiting.h"
#include "train/pretrain.h"

int main(int argc, char** argv) {
  manyform::SleepBetweenParallelLoops(argv);
  return manyform::RunMain<manyform::PretrainConfig, manyform::PretrainResult>(
      argc, argv,
      "Pretrains the query/answer transformer without labels on a cache or a mixture of caches. Everything "
      "lands "
      "in save_dir; a killed or interrupted run goes on from there under the same command.",
      manyform::Pretrain);
}
