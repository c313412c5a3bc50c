/// \file
/// A small cache of analytic shapes for tests of training.
#pragma once

#include <string>

namespace manyform {

struct SyntheticCache {
  std::string root;
  int shapes_per_class = 4;
  int points = 96, rays = 48;
  unsigned seed = 1;
};

/// Classes ball, box and pair (two balls) of `split`, sizes and places varied, with every array a backend may
/// ask for and a manifest. Throws on failure, which fails the test.
void WriteSyntheticSplit(const SyntheticCache& cache, const std::string& split);

}  // namespace manyform
