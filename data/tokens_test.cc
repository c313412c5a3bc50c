#include "data/tokens.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

#include "absl/strings/str_cat.h"
#include "data/testing/golden_npz.h"
#include "data/testing/golden_tolerance.h"
#include "geometry/testing/golden.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using Json = nlohmann::json;

TokenOptions OptionsOf(const Json& c) {
  TokenOptions options;
  options.n_point = c["n_point"];
  options.n_ray = c["n_ray"];
  options.drop_ray_prob = c["drop_ray_prob"];
  options.sampling = OrThrow(ParsePointSampling(c["pt_sample_mode"].get<std::string>()));
  options.rfps_m = c["pt_rfps_m"];
  options.layout = {.qa_tokens = c["qa_tokens"],
                    .qa_layout = OrThrow(ParseQaLayout(c["qa_layout"].get<std::string>())),
                    .add_eos = c["add_eos"]};
  options.gradient = {.include = c.value("include_pt_grad", false),
                      .inverse_distance = c.value("pt_grad_mode", "raw") == "log",
                      .eps = c.value("pt_grad_eps", 1e-3),
                      .clip = c.value("pt_grad_clip", 10.0),
                      .against_ray = c.value("pt_grad_orient", "none") == "ray"};
  options.uncertainty = {.include = c.value("include_ray_unc", false), .k = c.value("ray_unc_k", 8)};
  return options;
}

Pools PoolsOf(const Json& c, const Json& shapes) {
  const BackendOptions backend = {.backend = OrThrow(ParseBackend(c["backend"].get<std::string>())),
                                  .voxel_grid = c["voxel"][0],
                                  .voxel_dilate = c["voxel"][1],
                                  .voxel_max_steps = c["voxel"][2]};
  const std::string path = shapes[c["shape"].get<std::string>()];
  Pools pools = OrThrow(AnswerPools(OrThrow(ShapeFile::Open("testdata/golden/c_tokens/" + path)), backend));
  if (c["fps"] == "none") pools.fps_order = {};
  return pools;
}

void ExpectFeatures(const std::vector<float>& got, const std::vector<float>& expected,
                    const std::vector<uint8_t>& type, const TokenOptions& options) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const auto token = static_cast<int64_t>(i) / kFeatures, feature = static_cast<int64_t>(i) % kFeatures;
    ASSERT_LE(std::abs(got[i] - expected[i]), TokenTolerance(type[token], feature, options))
        << "token " << token << "[" << feature << "]";
  }
}

TEST(Tokens, AsPublished) {
  const Json golden = GoldenJson("c_tokens/tokens.json");
  const GoldenNpz arrays("c_tokens/tokens.npz");
  int compared = 0, refused = 0;
  for (const Json& c : golden["cases"]) {
    const std::string key = c["key"];
    SCOPED_TRACE(key);
    const TokenOptions options = OptionsOf(c);
    const int64_t length = SequenceLength(options.n_point, options.n_ray, options.layout);
    std::vector<float> feat(length * kFeatures, NAN);
    std::vector<uint8_t> type(length, 99);
    NumpyRandomState random(c["seed"].get<uint32_t>());
    const absl::Status status = BuildTokens(PoolsOf(c, golden["shapes"]), options, random, feat, type);
    if (c.contains("error")) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      ++refused;
      continue;
    }
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(type, arrays.Get<uint8_t>(key + "/type"));
    ExpectFeatures(feat, arrays.Get<float>(key + "/feat"), type, options);
    EXPECT_EQ(random.Next32(), c["next_u32"].get<uint32_t>());
    ++compared;
  }
  EXPECT_EQ(compared, 91);
  EXPECT_EQ(refused, 1);
}

// What the published program drew, call by call, is what a sample is made of.
TEST(Tokens, EveryDrawIsThePublishedOne) {
  const Json golden = GoldenJson("c_tokens/tokens.json");
  const GoldenNpz arrays("c_tokens/tokens.npz");
  int compared = 0;
  for (const Json& c : golden["cases"]) {
    if (c.contains("error")) continue;
    const std::string key = c["key"];
    SCOPED_TRACE(key);
    const Pools pools = PoolsOf(c, golden["shapes"]);
    const TokenOptions options = OptionsOf(c);
    NumpyRandomState calls(c["seed"].get<uint32_t>()), random(c["seed"].get<uint32_t>());
    const Sample sample = OrThrow(DrawSample(pools, options, random));
    const auto sorted = [](std::vector<int64_t> v) {
      std::sort(v.begin(), v.end());
      return v;
    };
    for (size_t j = 0; j < c["draws"].size(); ++j, ++compared) {
      const std::string call = c["draws"][j], name = absl::StrCat(key, "/draw", j);
      if (call == "rand()") {
        const double drawn = calls.Double();
        EXPECT_EQ(std::vector<double>{drawn}, arrays.Get<double>(name));
        EXPECT_EQ(sample.rays_missing, drawn < options.drop_ray_prob);
        continue;
      }
      // "choice(400, size=12, replace=False)", or from an array, that of the points no order names.
      int n = 0, k = 0;
      char replace[8] = "";
      // NOLINTNEXTLINE(bugprone-unchecked-string-to-number-conversion): the golden file's own small numbers.
      ASSERT_EQ(sscanf(call.c_str() + call.find_first_of("0123456789"), "%d%*[^0-9]%d, replace=%7[A-Za-z]",
                       &n, &k, replace),
                3);
      std::vector<int64_t> drawn = OrThrow(calls.Choice(n, k, replace[0] == 'T'));
      if (call.find("array") != std::string::npos) {
        std::vector<int64_t> unnamed;
        for (int32_t i = 0; i < pools.xyz.rows(); ++i) {
          if (std::count(pools.fps_order.begin(), pools.fps_order.end(), i) == 0) unnamed.push_back(i);
        }
        for (int64_t& i : drawn) i = unnamed[i];
      }
      EXPECT_EQ(drawn, arrays.Get<int64_t>(name));
      const bool of_points = n != pools.ray_o.rows();
      if (!of_points) {
        EXPECT_EQ(sorted(sample.rays), sorted(drawn));
      } else if (options.sampling == PointSampling::kRandom) {
        EXPECT_EQ(sorted(sample.points), sorted(drawn));
      }
    }
    EXPECT_EQ(calls.Next32(), c["next_u32"].get<uint32_t>());
  }
  EXPECT_EQ(compared, 170);
}

TEST(Tokens, NamesAreRefusedOrKnown) {
  EXPECT_EQ(OrThrow(ParsePointSampling("fixed_grid")), PointSampling::kGrid);
  EXPECT_EQ(ParsePointSampling("").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ParseQaLayout("Split").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Tokens, SeedIsTheSumModulo32Bits) {
  const Json golden = GoldenJson("c_tokens/dataset.json")["path_md5_int"];
  for (const auto& [path, md5] : golden.items()) {
    EXPECT_EQ(EvalSeed(path, 0, 0), md5.get<uint32_t>());
    const int64_t sum = md5.get<int64_t>() + (int64_t{1} << 33) + 17 + 3 * 1000003;
    EXPECT_EQ(EvalSeed(path, (int64_t{1} << 33) + 17, 3), static_cast<uint32_t>(sum % (int64_t{1} << 32)));
  }
}

// Points on a line and rays in a fan, whose answers say which they are.
struct Fan {
  Fan(int64_t points, int64_t rays) {
    for (int64_t i = 0; i < points; ++i) {
      xyz.insert(xyz.end(), {2 * (i + 0.5f) / points - 1, 0, 0});
      distance.push_back(i);
    }
    for (int64_t j = 0; j < rays; ++j) {
      const float angle = 6.28f * (j + 0.5f) / rays - 3.14f;
      o.insert(o.end(), {0, 0, 0.25f});
      d.insert(d.end(), {std::cos(angle), std::sin(angle), 0});
      n.insert(n.end(), {0, 0, 1});
      hit.push_back(j % 2);
      t.push_back(j + 1);
    }
    new (&pools.xyz) PointsFMap(xyz.data(), points, 3);
    pools.distance = distance;
    pools.ray_available = true;
    new (&pools.ray_o) PointsFMap(o.data(), rays, 3);
    new (&pools.ray_d) PointsFMap(d.data(), rays, 3);
    new (&pools.ray_n) PointsFMap(n.data(), rays, 3);
    pools.ray_hit = hit;
    pools.ray_t = t;
  }
  std::vector<float> xyz, distance, o, d, n, hit, t;
  Pools pools;
};

TEST(Layout, EveryTokenStandsWhereItIsReadFrom) {
  const Fan fan(2, 2);
  const SequenceParts parts = GatherSample(fan.pools, {{0, 1}, {0, 1}, false}, {});
  const auto lay_out = [&](const LayoutOptions& options) {
    const int64_t length = SequenceLength(2, 2, options);
    std::pair<std::vector<float>, std::vector<uint8_t>> out(length * kFeatures, length);
    LayOutTokens(parts, options, out.first, out.second);
    return out;
  };
  const auto [legacy, legacy_types] = lay_out({});
  EXPECT_EQ(legacy_types, (std::vector<uint8_t>{kBos, kPoint, kPoint, kRay, kRay, kEos}));
  EXPECT_EQ(legacy[15], -0.5f);
  EXPECT_EQ(legacy[2 * 15 + 10], 1);
  // A miss keeps its depth, and has neither position nor normal.
  EXPECT_EQ(legacy[3 * 15 + 9], 1);
  EXPECT_EQ(legacy[3 * 15 + 2], 0);
  EXPECT_EQ(legacy[3 * 15 + 14], 0);
  // The hit lies two along the second ray.
  EXPECT_EQ(legacy[4 * 15], 2 * fan.d[3]);
  EXPECT_EQ(legacy[4 * 15 + 2], 0.25f);
  EXPECT_EQ(legacy[4 * 15 + 14], 1);

  const auto [woven, woven_types] = lay_out({.qa_tokens = true});
  EXPECT_EQ(woven_types, (std::vector<uint8_t>{kBos, kQueryPoint, kAnswerPoint, kQueryPoint, kAnswerPoint,
                                               kQueryRay, kAnswerRay, kQueryRay, kAnswerRay, kEos}));
  const auto [split, split_types] =
      lay_out({.qa_tokens = true, .qa_layout = QaLayout::kSplit, .add_eos = false});
  EXPECT_EQ(split_types, (std::vector<uint8_t>{kBos, kQueryPoint, kQueryPoint, kQueryRay, kQueryRay,
                                               kAnswerPoint, kAnswerPoint, kAnswerRay, kAnswerRay}));
  // The same answer, in its three places; together query and answer are the legacy token.
  for (int k = 0; k < kFeatures; ++k) {
    EXPECT_EQ(woven[8 * 15 + k], split[8 * 15 + k]);
    EXPECT_EQ(woven[7 * 15 + k], split[4 * 15 + k]);
    EXPECT_EQ(woven[7 * 15 + k] + woven[8 * 15 + k], legacy[4 * 15 + k]);
  }
}

TEST(Sampling, RandomFarthestIsThePublishedOne) {
  const Golden golden("b_shapes/functions");
  const PointsF points = golden.PointsOf("fps/uniform_points");
  const std::vector<float> distances(points.rows());
  Pools pools;
  new (&pools.xyz) PointsFMap(points.data(), points.rows(), 3);
  pools.distance = distances;
  for (const int m : {64, 4096}) {
    NumpyRandomState random(3);
    const TokenOptions options{.n_point = 32, .n_ray = 0, .sampling = PointSampling::kRfps, .rfps_m = m};
    std::vector<int64_t> got = OrThrow(DrawSample(pools, options, random)).points;
    std::vector<int32_t> expected = golden.Ints(absl::StrCat("fps/rfps_seed3_m", m, "_k32"));
    // They are read in another order.
    std::sort(got.begin(), got.end());
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(got, std::vector<int64_t>(expected.begin(), expected.end())) << m;
  }
}

TEST(Sampling, ForcedMissingRaysDrawNoChance) {
  const Fan fan(50, 20);
  TokenOptions options{.n_point = 5, .n_ray = 4, .drop_ray_prob = 0.5, .force_missing_ray = true};
  NumpyRandomState a(3), b(3);
  EXPECT_TRUE(OrThrow(DrawSample(fan.pools, options, a)).rays_missing);
  options.drop_ray_prob = 0;
  OrThrow(DrawSample(fan.pools, options, b));
  EXPECT_EQ(a.Next32(), b.Next32());
}

TEST(Sampling, TooSmallPoolsAreErrors) {
  const Fan fan(10, 0);
  NumpyRandomState random(0);
  for (const PointSampling mode :
       {PointSampling::kRandom, PointSampling::kFps, PointSampling::kRfps, PointSampling::kGrid}) {
    const TokenOptions options{.n_point = 11, .n_ray = 0, .sampling = mode};
    EXPECT_EQ(DrawSample(fan.pools, options, random).status().code(), absl::StatusCode::kInvalidArgument);
  }
  TokenOptions options{.n_point = 5, .n_ray = 0, .sampling = PointSampling::kRfps, .rfps_m = 4};
  EXPECT_EQ(DrawSample(fan.pools, options, random).status().code(), absl::StatusCode::kInvalidArgument);
  options = {.n_point = 5, .n_ray = 1};
  EXPECT_EQ(DrawSample(fan.pools, options, random).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Sampling, ChoicesThatTakeLongAreKept) {
  Fan fan(60, 0);
  NumpyRandomState random(0);
  const std::vector<int64_t> sizes = {5, 40, 12, 12, 60};
  for (const PointSampling mode : {PointSampling::kFps, PointSampling::kGrid}) {
    const auto points = [&](int64_t k) {
      return OrThrow(DrawSample(fan.pools, {.n_point = k, .n_ray = 0, .sampling = mode}, random)).points;
    };
    std::vector<std::vector<int64_t>> fresh;
    fan.pools.computed = nullptr;
    fresh.reserve(sizes.size());
    for (const int64_t k : sizes) fresh.push_back(points(k));
    fan.pools.computed = std::make_shared<ComputedPicks>();
    size_t most = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      EXPECT_EQ(points(sizes[i]), fresh[i]);
      most = std::max<size_t>(most, sizes[i]);
      EXPECT_EQ(fan.pools.computed->farthest.size(), mode == PointSampling::kFps ? most : 0);
      EXPECT_EQ(fan.pools.computed->lattice.size(), mode == PointSampling::kGrid ? sizes[i] : 0);
    }
    // Moved points have others.
    const TokenOptions moved = {
        .n_point = 5, .n_ray = 0, .sampling = mode, .augment = {.translate = 0.5, .jitter_sigma = 1}};
    EXPECT_NE(OrThrow(DrawSample(fan.pools, moved, random)).points, fresh[0]);
  }
}

// Every mode, under either stream, gives k points of the pool in Morton order; distinct but on the lattice.
TEST(Sampling, SamplesAreSortedPartsOfThePool) {
  const Fan fan(200, 30);
  const std::vector<int32_t> order = {5, 6, 7};
  for (const bool stored : {false, true}) {
    Pools pools = fan.pools;
    if (stored) pools.fps_order = order;
    for (const PointSampling mode :
         {PointSampling::kRandom, PointSampling::kFps, PointSampling::kRfps, PointSampling::kGrid}) {
      const TokenOptions options{.n_point = 20, .n_ray = 40, .sampling = mode, .rfps_m = 50};
      NumpyRandomState numpy(1);
      TrainStream stream(1, 2, 3);
      for (const Sample& s :
           {OrThrow(DrawSample(pools, options, numpy)), OrThrow(DrawSample(pools, options, stream))}) {
        EXPECT_TRUE(std::is_sorted(s.points.begin(), s.points.end()));
        EXPECT_TRUE(std::is_sorted(s.rays.begin(), s.rays.end()));
        EXPECT_EQ(s.rays.size(), 40u);
        ASSERT_EQ(s.points.size(), 20u);
        const std::set<int64_t> distinct(s.points.begin(), s.points.end());
        EXPECT_EQ(distinct.size(), mode == PointSampling::kGrid ? distinct.size() : 20u);
        EXPECT_GE(*distinct.begin(), 0);
        EXPECT_LT(*distinct.rbegin(), 200);
        if (mode == PointSampling::kFps && stored) {
          EXPECT_TRUE(distinct.contains(5) && distinct.contains(6) && distinct.contains(7));
        }
      }
    }
  }
}

}  // namespace
}  // namespace manyform
