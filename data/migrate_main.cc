#include "base/run_main.h"
#include "data/migrate.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::MigrateConfig, manyform::MigrateResult>(
      argc, argv,
      "Brings a cache made before up to date in place: adds arrays, indexes it, or packs it anew.",
      manyform::MigrateOrFail);
}
