#include "base/run_main.h"
#include "eval/report.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::ReportConfig, manyform::ReportResult>(
      argc, argv, "One self-contained page of results: tables, curves, found shapes, completed fields.",
      manyform::MakeReport);
}
