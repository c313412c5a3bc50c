#include "eval/feature_rows.h"

#include "gtest/gtest.h"

namespace manyform {
namespace {

TEST(RowsOf, PicksInOrder) {
  const EmbeddedShapes shapes = {.embedding = {1, 2, 3, 4, 5, 6}, .features = 2, .labels = {7, 8, 9}};
  const std::vector<int64_t> picked = {2, 0, 2};
  const FeatureRows rows = RowsOf(shapes, picked);
  ASSERT_EQ(rows.rows(), 3);
  EXPECT_EQ(rows(0, 0), 5);
  EXPECT_EQ(rows(1, 1), 2);
  EXPECT_EQ(rows(2, 1), 6);
  EXPECT_EQ(LabelsOf(shapes, picked), (std::vector<int64_t>{9, 7, 9}));
}

TEST(Standardizer, MeanZeroAndDeviationOneWhereThereIsAny) {
  FeatureRows rows(4, 3);
  rows << 1, 0.1, 10, 2, 0.1, 10, 3, 0.1, 30, 6, 0.1, 30;
  const Standardizer standardizer(rows);
  FeatureRows scaled = rows;
  standardizer.Apply(&scaled);
  for (const int f : {0, 2}) {
    EXPECT_NEAR(scaled.col(f).mean(), 0, 1e-12);
    EXPECT_NEAR(scaled.col(f).squaredNorm() / 4, 1, 1e-12);
  }
  EXPECT_NEAR(scaled.col(1).cwiseAbs().maxCoeff(), 0, 1e-12);
  // Others are moved as those it is made of were.
  FeatureRows other(1, 3);
  other << 3, 5.1, 40;
  standardizer.Apply(&other);
  EXPECT_NEAR(other(0, 0), 0, 1e-12);
  EXPECT_NEAR(other(0, 1), 5, 1e-12);
  EXPECT_NEAR(other(0, 2), 2, 1e-12);
}

}  // namespace
}  // namespace manyform
