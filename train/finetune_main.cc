#include "base/run_main.h"
#include "model/thread_waiting.h"
#include "train/finetune.h"

int main(int argc, char** argv) {
  manyform::SleepBetweenParallelLoops(argv);
  return manyform::RunMain<manyform::FinetuneConfig, manyform::FinetuneResult>(
      argc, argv,
      "Fine-tunes a pretrained checkpoint, or a fresh model, to classify shapes, and tests the best "
      "validation "
      "epoch. A sequence is made as the checkpoint's own, its layout included, unless told otherwise.",
      manyform::Finetune);
}
