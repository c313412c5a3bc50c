#include "base/run_main.h"
#include "model/inspect_checkpoint.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::InspectCheckpointConfig, manyform::InspectCheckpointResult>(
      argc, argv, "Shows what a checkpoint, any .safetensors or a .pt file holds.",
      manyform::InspectCheckpoint);
}
