#include "base/run_main.h"
#include "eval/embed.h"
#include "model/thread_waiting.h"

int main(int argc, char** argv) {
  manyform::SleepBetweenParallelLoops(argv);
  return manyform::RunMain<manyform::EmbedConfig, manyform::EmbedResult>(
      argc, argv,
      "Writes the shapes of a split as vectors of a frozen model, with their classes, to one .npz.",
      manyform::Embed);
}
