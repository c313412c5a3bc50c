#include "data/augment.h"

#include <algorithm>
#include <cmath>

#include "gtest/gtest.h"

namespace manyform {
namespace {

constexpr AugmentOptions kAll = {.rotate_z = true,
                                 .scale_min = 0.7,
                                 .scale_max = 1.3,
                                 .translate = 0.2,
                                 .jitter_sigma = 0.02,
                                 .jitter_clip = 0.05};

TEST(Augment, PresetsFillWhatWasLeft) {
  AugmentOptions options;
  ASSERT_TRUE(ApplyAugmentPreset("none", &options).ok());
  ASSERT_TRUE(ApplyAugmentPreset("", &options).ok());
  EXPECT_FALSE(options.Any());
  options.scale_min = 0.5;
  ASSERT_TRUE(ApplyAugmentPreset("modelnet40", &options).ok());
  EXPECT_EQ(options.scale_min, 0.5);
  EXPECT_EQ(options.scale_max, 1.25);
  EXPECT_EQ(options.translate, 0.1);
  EXPECT_FALSE(options.rotate_z);
  AugmentOptions scans;
  ASSERT_TRUE(ApplyAugmentPreset("scanobjectnn", &scans).ok());
  EXPECT_TRUE(scans.rotate_z);
  EXPECT_EQ(scans.scale_max, 1);
  EXPECT_EQ(ApplyAugmentPreset("ModelNet40", &scans).code(), absl::StatusCode::kInvalidArgument);
}

TEST(Augment, NothingAskedNothingDrawnNothingMoved) {
  NumpyRandomState a(1), b(1);
  const Augmentation still = Augmentation::Draw({}, 10, a);
  EXPECT_EQ(a.Next32(), b.Next32());
  EXPECT_FALSE(still.moves());
  float p[3] = {1, 2, 3};
  still.MovePoint(4, p);
  EXPECT_EQ(p[0], 1);
  EXPECT_EQ(p[2], 3);
}

// Angle, scale, shift, jitter of the whole pool: by hand from the same stream.
TEST(Augment, DrawsInThePublishedOrder) {
  NumpyRandomState random(5), again(5);
  const Augmentation moved = Augmentation::Draw(kAll, 7, random);
  const double angle = again.Uniform(0, 2 * M_PI), scale = again.Uniform(0.7, 1.3);
  const std::vector<double> shift = again.UniformVector(-0.2, 0.2, 3);
  const std::vector<double> jitter = again.NormalVector(0, 0.02, 21);
  EXPECT_EQ(random.Next32(), again.Next32());
  const float p[3] = {0.3f, -0.4f, 0.5f};
  for (int i = 0; i < 7; ++i) {
    float q[3] = {p[0], p[1], p[2]};
    moved.MovePoint(i, q);
    const double turned[3] = {std::cos(angle) * p[0] - std::sin(angle) * p[1],
                              std::sin(angle) * p[0] + std::cos(angle) * p[1], p[2]};
    for (int k = 0; k < 3; ++k) {
      const double expected = turned[k] * scale + shift[k] + std::clamp(jitter[3 * i + k], -0.05, 0.05);
      EXPECT_NEAR(q[k], expected, 1e-6);
    }
  }
  EXPECT_NEAR(moved.scale(), scale, 1e-7);
}

TEST(Augment, RaysKeepTheirLengthAndHaveNoJitter) {
  NumpyRandomState random(6);
  const Augmentation moved = Augmentation::Draw(kAll, 5, random);
  float d[3] = {0.6f, 0, 0.8f}, place[3] = {0.6f, 0, 0.8f}, point[3] = {0.6f, 0, 0.8f};
  moved.Turn(d);
  EXPECT_NEAR(d[0] * d[0] + d[1] * d[1] + d[2] * d[2], 1, 1e-6);
  EXPECT_EQ(d[2], 0.8f);
  moved.MovePlace(place);
  moved.MovePoint(0, point);
  EXPECT_NE(place[0], point[0]);
  EXPECT_LE(std::abs(place[0] - point[0]), 0.05f + 1e-6f);
}

// Under the stream of training a point's jitter is its own, whoever else is moved, and is clipped Gaussian.
TEST(Augment, JitterBelongsToThePoint) {
  AugmentOptions options = {.jitter_sigma = 0.1};
  TrainStream a(1, 2, 3), b(1, 2, 3);
  const Augmentation one = Augmentation::Draw(options, 50000, a), other = Augmentation::Draw(options, 9, b);
  double sum = 0, squares = 0;
  constexpr int kPoints = 20000;
  for (int i = kPoints; i-- > 0;) {
    float p[3] = {0, 0, 0}, q[3] = {0, 0, 0};
    one.MovePoint(i, p);
    other.MovePoint(i, q);
    EXPECT_EQ(p[1], q[1]);
    for (const float v : p) {
      sum += v;
      squares += v * v;
    }
  }
  EXPECT_NEAR(sum / (3 * kPoints), 0, 0.002);
  EXPECT_NEAR(squares / (3 * kPoints), 0.01, 0.0003);
  options.jitter_clip = 0.05;
  TrainStream c(1, 2, 3);
  const Augmentation clipped = Augmentation::Draw(options, 50000, c);
  float largest = 0;
  for (int i = 0; i < 1000; ++i) {
    float p[3] = {0, 0, 0};
    clipped.MovePoint(i, p);
    largest = std::max({largest, std::abs(p[0]), std::abs(p[1]), std::abs(p[2])});
  }
  EXPECT_EQ(largest, 0.05f);
}

}  // namespace
}  // namespace manyform
