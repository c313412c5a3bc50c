#include "base/run_main.h"
#include "data/split_unpaired.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::SplitUnpairedConfig, manyform::SplitUnpairedResult>(
      argc, argv,
      "Divides the training shapes of a cache into train_mesh, train_pc and train_udf, so that no shape is\n"
      "seen in two forms; the other split becomes eval.",
      manyform::SplitUnpaired);
}
