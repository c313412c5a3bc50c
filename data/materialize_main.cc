#include "base/run_main.h"
#include "data/materialize.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::MaterializeConfig, manyform::MaterializeResult>(
      argc, argv, "Makes the view of a split file: links or copies of a cache's shapes, and their manifest.",
      manyform::Materialize);
}
