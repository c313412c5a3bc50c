#include "base/run_main.h"
#include "data/bench.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::BenchConfig, manyform::BenchResult>(
      argc, argv,
      "Times every stage of the data engine on twenty furniture models, one thread, as one table.",
      manyform::Bench);
}
