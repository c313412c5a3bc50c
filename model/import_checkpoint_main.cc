#include "base/run_main.h"
#include "model/import_checkpoint.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::ImportCheckpointConfig, manyform::ImportCheckpointResult>(
      argc, argv,
      "Turns a published checkpoint (.pt) into one of ours; nothing that the file asks to run is run.",
      manyform::ImportCheckpoint);
}
