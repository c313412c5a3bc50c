#include "base/run_main.h"
#include "data/scan_builder.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::BuildScanCacheConfig, manyform::BuildScanCacheResult>(
      argc, argv, "Turns scans, in HDF5 files or as plain point clouds, into a shape cache.",
      manyform::BuildScanCache);
}
