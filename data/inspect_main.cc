#include "base/run_main.h"
#include "data/inspect.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::InspectConfig, manyform::InspectResult>(
      argc, argv,
      "Shows one cached shape, on the terminal and as a picture, or what a cache's manifest lists.",
      manyform::Inspect);
}
