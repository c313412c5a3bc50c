#include "base/run_main.h"
#include "tools/pipeline/expand.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::ExpandConfig, manyform::ExpandResult>(
      argc, argv,
      "Turns an experiment's declaration into a config for each run and their dependencies for make.",
      manyform::ExpandExperiment);
}
