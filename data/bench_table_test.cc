#include "data/bench_table.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

BenchResult TwoRows() {
  BenchResult result;
  result.set_bytes_per_second(1e9);
  result.set_operations_per_second(1e10);
  BenchRow& met = *result.add_rows();
  met.set_stage("met");
  met.set_milliseconds(2);
  met.set_wall_milliseconds(2.5);
  met.set_target_milliseconds(4);
  met.set_published_milliseconds(30);
  met.set_bytes(1e6);
  met.set_operations(5e6);
  BenchRow& missed = *result.add_rows();
  missed.set_stage("missed by far");
  missed.set_milliseconds(0.5);
  missed.set_target_milliseconds(0.25);
  missed.set_operations(1e6);
  SetLimits(&result);
  return result;
}

TEST(BenchTable, TheSlowerOfBytesAndOperationsIsTheLimit) {
  const BenchResult result = TwoRows();
  EXPECT_DOUBLE_EQ(result.rows(0).limit_milliseconds(), 1);
  EXPECT_DOUBLE_EQ(result.rows(1).limit_milliseconds(), 0.1);
}

TEST(BenchTable, ColumnsAlignAndMissesShow) {
  EXPECT_EQ(
      BenchTable(TwoRows()),
      "stage          CPU ms  wall ms      target  bytes  ops  limit ms  from limit  published  faster\n"
      "met              2.00     2.50   <= 4.00      1 M  5 M      1.00        2.0x      30.00   15.0x\n"
      "missed by far   0.500        -  <= 0.250 !      -  1 M     0.100        5.0x          -       -\n");
}

TEST(BenchTable, RowsWithoutALimitHaveNone) {
  BenchResult result;
  result.set_bytes_per_second(1e9);
  result.set_operations_per_second(1e9);
  result.add_rows()->set_milliseconds(1234);
  SetLimits(&result);
  EXPECT_FALSE(result.rows(0).has_limit_milliseconds());
  EXPECT_THAT(BenchTable(result), testing::HasSubstr("1234"));
}

}  // namespace
}  // namespace manyform
