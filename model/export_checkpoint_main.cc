#include "base/run_main.h"
#include "model/export_checkpoint.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::ExportCheckpointConfig, manyform::ExportCheckpointResult>(
      argc, argv, "Writes a checkpoint's weights as a plain state_dict under the published names.",
      manyform::ExportCheckpoint);
}
