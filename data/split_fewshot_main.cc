#include "base/run_main.h"
#include "data/split_fewshot.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::SplitFewshotConfig, manyform::SplitFewshotResult>(
      argc, argv,
      "Picks classes, validation shapes and K shots a class as fine-tuning does, and writes the lists.",
      manyform::SplitFewshot);
}
