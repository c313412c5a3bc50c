#include "base/run_main.h"
#include "data/dump_tokens.h"

int main(int argc, char** argv) {
  return manyform::RunMain<manyform::DumpTokensConfig, manyform::DumpTokensResult>(
      argc, argv, "Writes what a model would be fed for the evaluation samples of a split, as one .npz.",
      manyform::DumpTokens);
}
