#include "base/run_main.h"
#include "eval/table.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::TableConfig, manyform::TableResult>(
      argc, argv, "Gathers results of ucpr, cpac and finetune into one table with means over seeds.",
      manyform::MakeTable);
}
