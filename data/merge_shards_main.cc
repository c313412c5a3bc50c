#include "base/run_main.h"
#include "data/merge_shards.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::MergeShardsConfig, manyform::MergeShardsResult>(
      argc, argv, "Makes one cache of what shards of it were built by several machines.",
      manyform::MergeShards);
}
