#include "base/run_main.h"
#include "proto/demo.pb.h"
#include "tools/demo/import_furniture.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::ImportFurnitureConfig, manyform::ImportFurnitureResult>(
      argc, argv, "Turns Sweet Home 3D furniture libraries into a folder of meshes.",
      manyform::ImportFurniture);
}
