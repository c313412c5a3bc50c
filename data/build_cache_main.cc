#include "base/run_main.h"
#include "data/cache_builder.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::BuildCacheConfig, manyform::BuildCacheResult>(
      argc, argv, "Turns a folder of meshes into a shape cache that samples are drawn from.",
      manyform::BuildCache);
}
