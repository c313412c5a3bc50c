#include "base/torch_random.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/testing/npy_for_test.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

class Golden : public testing::TestWithParam<uint64_t> {
 protected:
  template <class T>
  std::vector<T> Read(absl::string_view name, absl::string_view descr) const {
    static const std::string tar = ReadFile("testdata/golden/a_mt/torch_rng.tar").value();
    return NpyFromTar<T>(tar, absl::StrCat("s", GetParam(), "/", name, ".npy"), descr);
  }
};

INSTANTIATE_TEST_SUITE_P(Seeds, Golden, testing::Values(0, 5, 1000003));

TEST_P(Golden, Streams) {
  EXPECT_EQ(TorchCpuRandom(GetParam()).Rand(63), Read<float>("rand_7x9", "<f4"));
  EXPECT_EQ(TorchCpuRandom(GetParam()).RandInt(0, 37, 50), Read<int64_t>("randint_37_50", "<i8"));
  for (const int64_t n : {41, 1000}) {
    EXPECT_EQ(TorchCpuRandom(GetParam()).RandPerm(n), Read<int64_t>(absl::StrCat("randperm_", n), "<i8"));
  }
}

TEST_P(Golden, SeedsCountModulo2To32) {
  EXPECT_EQ(TorchCpuRandom(GetParam() + (uint64_t{3} << 32)).Rand(63), Read<float>("rand_7x9", "<f4"));
}

TEST(TorchCpuRandom, DrawsAreInRangeAndGoOn) {
  TorchCpuRandom random(7), same(7);
  for (const float u : random.Rand(1000)) {
    EXPECT_GE(u, 0);
    EXPECT_LT(u, 1);
    EXPECT_EQ(u, same.Rand());
  }
  for (const int64_t i : random.RandInt(-3, 4, 1000)) {
    EXPECT_GE(i, -3);
    EXPECT_LT(i, 4);
    EXPECT_EQ(i, same.RandInt(-3, 4));
  }
  TorchCpuRandom resumed(random.words());
  EXPECT_EQ(resumed.Rand(5), random.Rand(5));
}

TEST(TorchCpuRandom, PermutationsHoldEveryIndexOnceAndDrawOneWordLess) {
  for (int64_t n = 0; n < 50; ++n) {
    TorchCpuRandom random(n), words(n);
    std::vector<int64_t> order = random.RandPerm(n);
    for (int64_t i = 0; i + 1 < n; ++i) words.Rand();
    EXPECT_EQ(random.Rand(), words.Rand());
    std::sort(order.begin(), order.end());
    for (int64_t i = 0; i < n; ++i) EXPECT_EQ(order[i], i);
    EXPECT_EQ(static_cast<int64_t>(order.size()), n);
  }
}

}  // namespace
}  // namespace manyform
