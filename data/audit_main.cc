#include "base/run_main.h"
#include "data/audit.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::AuditConfig, manyform::AuditResult>(
      argc, argv,
      "Looks for what would make numbers measured on a cache mean something else: leaks, duplicates, damage.",
      manyform::Audit);
}
