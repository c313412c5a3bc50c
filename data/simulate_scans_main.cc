#include "base/run_main.h"
#include "data/simulate_scans.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::SimulateScansConfig, manyform::SimulateScansResult>(
      argc, argv, "Simulates noisy, partial scans of a mesh cache's shapes: nothing is measured.",
      manyform::SimulateScans);
}
