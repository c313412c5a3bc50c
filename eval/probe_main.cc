#include "base/run_main.h"
#include "eval/probe.h"
#include "model/thread_waiting.h"

int main(int argc, char** argv) {
  manyform::SleepBetweenParallelLoops(argv);
  return manyform::RunMain<manyform::ProbeConfig, manyform::ProbeResult>(
      argc, argv,
      "Fits a linear support vector machine, or asks nearest neighbours, on embeddings of one split and "
      "tests "
      "on another's: on all shapes, on few a class, or in N-way K-shot episodes.\n\nEmbeddings are .npz "
      "files of //eval:embed (train, test), or made on the way (embed.ckpt, embed.cache_root, ...).",
      manyform::Probe);
}
