#include "base/numpy_random.h"

#include <cmath>
#include <numeric>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/testing/npy_for_test.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

constexpr uint32_t kSeeds[] = {0, 1, 42, 12345, 4294967295};

// Every case starts from a fresh RandomState(seed), as the golden set does.
class Golden : public testing::TestWithParam<uint32_t> {
 protected:
  template <class T>
  std::vector<T> Read(absl::string_view name, absl::string_view descr) const {
    static const std::string tar = ReadFile("testdata/golden/a_mt/mt.tar").value();
    return NpyFromTar<T>(tar, absl::StrCat("s", GetParam(), "/", name, ".npy"), descr);
  }
  std::vector<double> Doubles(absl::string_view name) const { return Read<double>(name, "<f8"); }
  std::vector<int64_t> Integers(absl::string_view name) const { return Read<int64_t>(name, "<i8"); }
  // The next raw word after the operation: shows how many words it drew.
  uint32_t Next(absl::string_view name) const {
    return Read<uint32_t>(absl::StrCat(name, "_next"), "<u4")[0];
  }
  NumpyRandomState Fresh() const { return NumpyRandomState(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Seeds, Golden, testing::ValuesIn(kSeeds));

// log and sqrt may differ in the last place between C libraries.
void ExpectClose(const std::vector<double>& got, const std::vector<double>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-15 * std::abs(want[i])) << i;
}

std::vector<int64_t> Iota(int64_t n) {
  std::vector<int64_t> values(n);
  std::iota(values.begin(), values.end(), int64_t{0});
  return values;
}

TEST_P(Golden, RawWords) {
  NumpyRandomState random = Fresh();
  for (const uint32_t want : Read<uint32_t>("raw", "<u4")) ASSERT_EQ(random.Next32(), want);
}

TEST_P(Golden, Uniform) {
  EXPECT_EQ(Fresh().Rand(20), Doubles("rand20"));
  EXPECT_EQ(Fresh().UniformVector(-1, 1, 20), Doubles("uniform_m1_1_20"));
  EXPECT_EQ(Fresh().UniformVector(0.8, 1.25, 10), Doubles("uniform_0.8_1.25"));
  EXPECT_EQ(Fresh().Uniform(0, 2 * M_PI), Doubles("uniform_0_2pi")[0]);
}

TEST_P(Golden, RandInt) {
  for (const int64_t n :
       {1L, 2L, 3L, 7L, 100L, 1000003L, 2147483648L, 4294967296L, 4294967301L, 1099511627776L}) {
    const std::string name = absl::StrCat("randint_", n);
    NumpyRandomState vector = Fresh(), scalar = Fresh();
    EXPECT_EQ(vector.RandIntVector(0, n, 40), Integers(name));
    EXPECT_EQ(vector.Next32(), Next(name)) << n;
    std::vector<int64_t> values(40);
    for (int64_t& value : values) value = scalar.RandInt(0, n);
    EXPECT_EQ(values, Integers(name + "_scalar"));
    EXPECT_EQ(scalar.Next32(), Next(name + "_scalar")) << n;
  }
  EXPECT_EQ(Fresh().RandIntVector(-2, 3, 60), Integers("randint_m2_3_20x3"));
}

TEST_P(Golden, ShuffleAndPermutation) {
  for (const int64_t n : {1, 2, 5, 1000}) {
    const std::string size = absl::StrCat("_", n);
    NumpyRandomState random = Fresh();
    std::vector<int64_t> values = Iota(n);
    random.Shuffle(std::span(values));
    EXPECT_EQ(values, Integers("shuffle" + size));
    EXPECT_EQ(values, Integers("shuffle_list" + size));
    EXPECT_EQ(random.Next32(), Next("shuffle" + size));
    random = Fresh();
    EXPECT_EQ(random.Permutation(n), Integers("permutation" + size));
    EXPECT_EQ(random.Next32(), Next("permutation" + size));
  }
}

TEST_P(Golden, Choice) {
  struct Case {
    int64_t n, k;
    bool replace;
  };
  for (const Case& c : std::vector<Case>{{1, 1, false},
                                         {5, 5, false},
                                         {600, 12, false},
                                         {1000, 999, false},
                                         {20000, 16, false},
                                         {1, 4, true},
                                         {5, 30, true},
                                         {240, 300, true},
                                         {2048, 64, true}}) {
    const std::string name = absl::StrCat("choice_", c.n, "_", c.k, c.replace ? "_rep" : "_norep");
    NumpyRandomState random = Fresh();
    EXPECT_EQ(*random.Choice(c.n, c.k, c.replace), Integers(name)) << name;
    EXPECT_EQ(random.Next32(), Next(name)) << name;
  }
}

// choice(array, 2, replace=False) ten times: indices are drawn, then looked up. The golden set does not say
// the array; these are its seven values in the one order that the indices of all seeds allow.
TEST_P(Golden, ChoiceOfAnArray) {
  constexpr int64_t kArray[] = {3, 8, 11, 200, 7, 5, 91};
  NumpyRandomState random = Fresh();
  std::vector<int64_t> values;
  for (int i = 0; i < 10; ++i) {
    const std::vector<int64_t> indices = *random.Choice(std::size(kArray), 2, false);
    for (const int64_t index : indices) values.push_back(kArray[index]);
  }
  EXPECT_EQ(values, Integers("choice_array_2_norep_x10"));
}

// Draws are made in double and rounded after.
TEST_P(Golden, SinglePrecision) {
  const auto floats = [](const std::vector<double>& values) {
    return std::vector<float>(values.begin(), values.end());
  };
  EXPECT_EQ(floats(Fresh().UniformVector(-1, 1, 15)), Read<float>("uniform_f32_5x3", "<f4"));
  EXPECT_EQ(floats(Fresh().NormalVector(0, 0.02, 21)), Read<float>("normal_scale0.02_7x3_f32", "<f4"));
}

TEST_P(Golden, ChoiceByWeight) {
  // The golden set does not say the weights; these are simple ones that its 300 indices allow.
  const std::vector<double> weights[] = {{1. / 2, 1. / 2}, {.34, .33, .33}, {.1, 0, .65, .25}};
  for (const std::vector<double>& p : weights) {
    const std::string name = absl::StrCat("choice_p", p.size());
    const std::vector<double> cumulative = CumulativeWeights(p).value();
    NumpyRandomState random = Fresh();
    std::vector<int64_t> values(60);
    for (int64_t& value : values) value = random.ChoiceByWeight(cumulative);
    EXPECT_EQ(values, Integers(name + "_scalar60"));
    EXPECT_EQ(random.Next32(), Next(name));
  }
}

TEST_P(Golden, Normals) {
  NumpyRandomState random = Fresh();
  std::vector<double> values = random.NormalVector(0, 1, 11);
  for (const double u : random.Rand(5)) values.push_back(u);
  ExpectClose(values, Doubles("stdnormal11_then_rand5"));
  ExpectClose({random.Normal()}, Doubles("stdnormal11_then_rand5_then_normal1"));
  ExpectClose(Fresh().NormalVector(0, 0.02, 21), Doubles("normal_scale0.02_7x3"));
  ExpectClose(Fresh().NormalVector(1, 3, 9), Doubles("normal_1_3_9"));
  ExpectClose(Fresh().NormalVector(0, 1, 24), Doubles("stdnormal_block_3x4_then_3x4"));
}

// The order of operations is the golden set's mixed_sequence.
TEST_P(Golden, MixedSequence) {
  NumpyRandomState random = Fresh();
  std::vector<double> all;
  const auto integer = [&all](int64_t value) { all.push_back(static_cast<double>(value)); };
  const auto add = [&all](const auto& values) { all.insert(all.end(), values.begin(), values.end()); };
  add(random.Rand(3));
  integer(random.RandInt(0, 10));
  add(random.NormalVector(0, 1, 3));
  add(*random.Choice(30, 4, false));
  add(random.UniformVector(-2, 5, 2));
  all.push_back(random.Normal());
  add(*random.Choice(3, 5, true));
  std::vector<int64_t> six = Iota(6);
  random.Shuffle(std::span(six));
  add(six);
  integer(random.ChoiceByWeight(*CumulativeWeights(std::vector<double>{.2, .5, .3})));
  integer(random.RandInt(0, int64_t{1} << 40));
  integer(random.RandInt(0, 1));
  add(random.NormalVector(0, .5, 2));
  add(random.RandIntVector(-1, 2, 6));
  add(random.Permutation(4));
  add(random.Rand(2));
  ExpectClose(all, Doubles("mixed_sequence"));
  EXPECT_EQ(random.Next32(), Next("mixed_sequence"));
}

TEST(NumpyRandomState, StateContinuesTheStream) {
  NumpyRandomState random(7);
  random.Rand(1000);
  random.Normal();
  NumpyRandomState resumed(0);
  resumed.set_state(random.state());
  EXPECT_EQ(resumed.Normal(), random.Normal());
  EXPECT_EQ(resumed.Rand(700), random.Rand(700));
}

TEST(NumpyRandomState, SeedForgetsTheCachedNormal) {
  NumpyRandomState random(7);
  const double first = random.Normal();
  random.Seed(7);
  EXPECT_EQ(random.Normal(), first);
}

// The loops without branches beside the plain definition.
TEST(NumpyRandomState, ManyDrawsAreTheSingleOnes) {
  NumpyRandomState sizes(11);
  for (int round = 0; round < 300; ++round) {
    const int64_t n = sizes.RandInt(1, 3000);
    NumpyRandomState fast(round), plain(round);
    std::vector<int64_t> want(n);
    std::iota(want.begin(), want.end(), int64_t{0});
    for (int64_t i = n - 1; i > 0; --i) std::swap(want[i], want[plain.Bounded(i)]);
    EXPECT_EQ(fast.Permutation(n), want);
    const int64_t low = sizes.RandInt(-100, 100), high = low + 1 + (int64_t{1} << sizes.RandInt(0, 40)) / 3;
    for (const int64_t value : fast.RandIntVector(low, high, 50)) ASSERT_EQ(value, plain.RandInt(low, high));
    want.resize(n / 2);
    NumpyRandomState again(round);
    EXPECT_EQ(*again.Choice(n, n / 2, false), want);
    EXPECT_EQ(fast.Next32(), plain.Next32());
  }
}

TEST(NumpyRandomState, WholeRangeOfInt64) {
  NumpyRandomState random(3), words(3);
  const uint64_t high = words.Next32();
  const uint64_t word = high << 32 | words.Next32();
  EXPECT_EQ(random.Bounded(~uint64_t{0}), word);
}

TEST(NumpyRandomState, ChoiceRefuses) {
  NumpyRandomState random(3);
  const NumpyRandomState::State before = random.state();
  for (const auto& [n, k, replace] : std::vector<std::tuple<int, int, bool>>{
           {3, 4, false}, {0, 1, true}, {0, 1, false}, {-1, 0, true}, {3, -1, true}}) {
    EXPECT_EQ(random.Choice(n, k, replace).status().code(), absl::StatusCode::kInvalidArgument)
        << n << " " << k;
  }
  EXPECT_TRUE(random.Choice(0, 0, true)->empty());
  EXPECT_TRUE(random.Choice(0, 0, false)->empty());
  EXPECT_EQ(random.state().pos, before.pos);
}

TEST(CumulativeWeights, Refuses) {
  for (const std::vector<double>& bad :
       std::vector<std::vector<double>>{{}, {0, 0}, {1, -1e-9}, {1, NAN}, {1, INFINITY}, {1e308, 1e308}}) {
    EXPECT_EQ(CumulativeWeights(bad).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(CumulativeWeights, EndsAtOne) {
  NumpyRandomState random(5);
  for (int round = 0; round < 100; ++round) {
    const std::vector<double> sums = CumulativeWeights(random.Rand(1 + random.RandInt(0, 50))).value();
    EXPECT_EQ(sums.back(), 1.0);
    EXPECT_TRUE(std::is_sorted(sums.begin(), sums.end()));
  }
}

}  // namespace
}  // namespace manyform
