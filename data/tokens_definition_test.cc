// Token by token from the definition, in plain loops, beside what the library makes in one pass.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "data/testing/golden_npz.h"
#include "data/tokens.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using Token = std::array<float, kFeatures>;

struct Item {
  Token query{}, answer{};
  TokenType both, asked, answered;
};

struct Ray {
  Eigen::RowVector3f o, d, n, hit_at;
  float hit, t;
};

std::vector<Ray> RaysOf(const Pools& pools, const Sample& sample) {
  std::vector<Ray> rays;
  for (const int64_t i : sample.rays) {
    Ray ray{pools.ray_o.row(i), pools.ray_d.row(i), pools.ray_n.row(i), {}, pools.ray_hit[i], pools.ray_t[i]};
    sample.augmentation.MovePlace(ray.o.data());
    sample.augmentation.Turn(ray.d.data());
    sample.augmentation.Turn(ray.n.data());
    ray.t *= sample.augmentation.scale();
    ray.hit_at = ray.o + ray.t * ray.d;
    rays.push_back(ray);
  }
  return rays;
}

void AddGradient(const std::vector<Ray>& rays, const GradientOptions& options, Item* point, float distance) {
  const Eigen::RowVector3f at(point->query[0], point->query[1], point->query[2]);
  const Ray* nearest = nullptr;
  for (const Ray& ray : rays) {
    if (ray.hit <= 0.5f) continue;
    if (nearest == nullptr || (ray.hit_at - at).norm() < (nearest->hit_at - at).norm()) nearest = &ray;
  }
  if (nearest == nullptr) return;
  Eigen::RowVector3f g = nearest->n;
  if (options.inverse_distance) g /= std::max<double>(distance, options.eps);
  if (options.clip > 0 && g.norm() > options.clip) g *= options.clip / g.norm();
  if (options.against_ray && g.dot(nearest->d) > 0) g = -g;
  for (int k = 0; k < 3; ++k) point->query[3 + k] = g[k];
  point->query[8] = g.norm();
}

float Uncertainty(const std::vector<Ray>& rays, const Ray& own, int64_t k) {
  std::vector<std::pair<float, const Ray*>> hits;
  for (const Ray& ray : rays) {
    if (ray.hit > 0.5f) hits.emplace_back((ray.hit_at - own.hit_at).squaredNorm(), &ray);
  }
  if (own.hit <= 0.5f || hits.size() < 2) return 0;
  std::stable_sort(hits.begin(), hits.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  hits.resize(std::min<size_t>(hits.size(), k));
  double sum = 0;
  for (const auto& [distance, ray] : hits) sum += std::abs(ray->n.dot(own.n));
  return static_cast<float>(1 - sum / static_cast<double>(hits.size()));
}

std::vector<Item> ItemsOf(const Pools& pools, const Sample& sample, const TokenOptions& options) {
  const std::vector<Ray> rays = RaysOf(pools, sample);
  std::vector<Item> items;
  for (const int64_t i : sample.points) {
    Item item{.both = kPoint, .asked = kQueryPoint, .answered = kAnswerPoint};
    for (int k = 0; k < 3; ++k) item.query[k] = pools.xyz(i, k);
    sample.augmentation.MovePoint(i, item.query.data());
    const float distance = options.ablate_point_dist ? 0 : pools.distance[i] * sample.augmentation.scale();
    item.answer[10] = distance;
    if (options.gradient.include) AddGradient(rays, options.gradient, &item, distance);
    items.push_back(item);
  }
  for (const Ray& ray : rays) {
    Item item{.both = kRay, .asked = kQueryRay, .answered = kAnswerRay};
    if (sample.rays_missing) item.both = item.asked = item.answered = kMissingRay;
    for (int k = 0; k < 3 && !sample.rays_missing; ++k) {
      item.query[3 + k] = ray.o[k];
      item.query[6 + k] = ray.d[k];
      if (ray.hit <= 0.5f) continue;
      item.answer[k] = ray.hit_at[k];
      item.answer[12 + k] = ray.n[k];
    }
    if (!sample.rays_missing) {
      item.answer[9] = ray.t;
      item.answer[11] = ray.hit;
      if (options.uncertainty.include) item.answer[10] = Uncertainty(rays, ray, options.uncertainty.k);
    }
    items.push_back(item);
  }
  return items;
}

struct Sequence {
  std::vector<Token> tokens;
  std::vector<uint8_t> types;
  void Add(const Token& token, TokenType type) {
    tokens.push_back(token);
    types.push_back(type);
  }
};

Sequence LaidOut(const std::vector<Item>& items, const LayoutOptions& layout) {
  Sequence s;
  s.Add({}, kBos);
  for (const Item& item : items) {
    Token both = item.query;
    for (int k = 0; k < kFeatures; ++k) both[k] += item.answer[k];
    if (layout.qa_tokens) {
      s.Add(item.query, item.asked);
    } else {
      s.Add(both, item.both);
    }
    if (layout.qa_tokens && layout.qa_layout == QaLayout::kInterleave) s.Add(item.answer, item.answered);
  }
  for (const Item& item : items) {
    if (layout.qa_tokens && layout.qa_layout == QaLayout::kSplit) s.Add(item.answer, item.answered);
  }
  if (layout.add_eos) s.Add({}, kEos);
  return s;
}

TokenOptions AnyOptions(TrainStream& random) {
  const auto coin = [&random] { return random.Below(2) == 1; };
  TokenOptions o;
  o.n_point = static_cast<int64_t>(random.Below(40));
  o.n_ray = static_cast<int64_t>(random.Below(40));
  o.drop_ray_prob = coin() ? 0.5 : 0;
  o.sampling = static_cast<PointSampling>(random.Below(4));
  o.rfps_m = 50;
  o.ablate_point_dist = coin();
  o.layout = {
      .qa_tokens = coin(), .qa_layout = coin() ? QaLayout::kSplit : QaLayout::kInterleave, .add_eos = coin()};
  o.gradient = {
      .include = coin(), .inverse_distance = coin(), .clip = coin() ? 2.0 : 0.0, .against_ray = coin()};
  o.uncertainty = {.include = coin(), .k = static_cast<int64_t>(1 + random.Below(9))};
  if (coin()) {
    o.augment = {.rotate_z = coin(), .scale_min = 0.5, .scale_max = 2, .translate = coin() ? 0.3 : 0.0};
    o.augment.jitter_sigma = coin() ? 0.05 : 0;
  }
  return o;
}

TEST(Tokens, EqualTheDefinition) {
  TrainStream choices(1, 1, 1);
  for (int trial = 0; trial < 300; ++trial) {
    SCOPED_TRACE(trial);
    const auto backend = static_cast<Backend>(choices.Below(6));
    static constexpr const char* kFiles[] = {"alpha/s0", "alpha/s1", "beta/s2"};
    const std::string file =
        absl::StrCat("testdata/golden/c_tokens/cache/test/", kFiles[choices.Below(3)], ".npz");
    const Pools pools =
        OrThrow(AnswerPools(OrThrow(ShapeFile::Open(file)), {.backend = backend, .voxel_grid = 12}));
    const TokenOptions options = AnyOptions(choices);
    TrainStream one(2, 3, trial), two(2, 3, trial);
    const Sample sample = OrThrow(DrawSample(pools, options, one));
    const Sequence expected = LaidOut(ItemsOf(pools, sample, options), options.layout);
    const int64_t length = SequenceLength(options.n_point, options.n_ray, options.layout);
    ASSERT_EQ(static_cast<size_t>(length), expected.tokens.size());
    std::vector<float> feat(length * kFeatures, NAN);
    std::vector<uint8_t> types(length, 99);
    ASSERT_TRUE(BuildTokens(pools, options, two, feat, types).ok());
    EXPECT_EQ(one.Next(), two.Next());
    EXPECT_EQ(types, expected.types);
    for (int64_t i = 0; i < length * kFeatures; ++i) {
      const float want = expected.tokens[i / kFeatures][i % kFeatures];
      ASSERT_NEAR(feat[i], want, 2e-6 * std::max(1.0f, std::abs(want)))
          << "token " << i / kFeatures << "[" << i % kFeatures << "]";
    }
  }
}

}  // namespace
}  // namespace manyform
