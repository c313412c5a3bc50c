#include "base/run_main.h"
#include "eval/status.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::StatusConfig, manyform::StatusResult>(
      argc, argv, "Shows which runs of an experiment are done, running, failed or waiting.",
      manyform::ShowStatus);
}
