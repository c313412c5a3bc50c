#include "eval/embed_shapes.h"

#include <vector>

#include "ATen/ATen.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

TEST(NormalizeRows, UnitLengthButZeroStaysZero) {
  at::Tensor rows = at::randn({6, 4}) * 100;
  rows[2].zero_();
  const at::Tensor unit = NormalizeRows(rows);
  for (int64_t i = 0; i < 6; ++i)
    EXPECT_NEAR(at::linalg_vector_norm(unit[i], 2).item<float>(), i == 2 ? 0.0f : 1.0f, 1e-6);
  EXPECT_TRUE(at::isfinite(unit).all().item<bool>());
}

TEST(FirstShapes, AllUnlessFewerAreAskedFor) {
  EXPECT_EQ(FirstShapes(3, 0), (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(FirstShapes(3, 2), (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(FirstShapes(3, 9), (std::vector<int64_t>{0, 1, 2}));
}

}  // namespace
}  // namespace manyform
