/// \file
/// Query/answer tokens: 15 features each, and a type.
///
/// [0:3] point or hit position, [3:6] ray origin (of a point: its gradient), [6:9] ray direction (of a point:
/// [8] the gradient's norm), [9] t, [10] distance (of a ray: its uncertainty), [11] hit, [12:15] normal.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/numpy_random.h"
#include "data/augment.h"
#include "data/backends.h"
#include "data/point_gradient.h"
#include "data/train_stream.h"

namespace manyform {

inline constexpr int kFeatures = 15;

enum TokenType : uint8_t {
  kBos = 0,
  kPoint = 1,
  kRay = 2,
  kMissingRay = 3,
  kEos = 4,
  kQueryPoint = 5,
  kAnswerPoint = 6,
  kQueryRay = 7,
  kAnswerRay = 8,
};

enum class QaLayout { kInterleave, kSplit };
absl::StatusOr<QaLayout> ParseQaLayout(std::string_view name);

struct LayoutOptions {
  bool qa_tokens = false;
  QaLayout qa_layout = QaLayout::kInterleave;
  bool add_eos = true;
};

/// 1 + points and rays (twice with Q/A tokens) + EOS.
int64_t SequenceLength(int64_t n_point, int64_t n_ray, const LayoutOptions& options);

/// What a sequence is made of, in the order it is to be read.
struct SequenceParts {
  PointsF xyz;                  ///< (n,3)
  std::vector<float> distance;  ///< (n)
  PointsF ray_o, ray_d, ray_n;  ///< (m,3)
  std::vector<float> ray_hit, ray_t;
  bool rays_missing = false;  ///< ray features are zero, their types kMissingRay
  /// Of points, part of their query: (n,3) and (n), or empty.
  PointGradients gradient;
  /// Of rays, part of their answer: (m), or empty.
  std::vector<float> ray_uncertainty;
};

/// Writes (T,15) features and (T) types for T = SequenceLength. \pre the spans have that size
void LayOutTokens(const SequenceParts& parts, const LayoutOptions& options, std::span<float> feat,
                  std::span<uint8_t> type);

enum class PointSampling { kRandom, kFps, kRfps, kGrid };
/// "fixed_grid" is "grid".
absl::StatusOr<PointSampling> ParsePointSampling(std::string_view name);

struct TokenOptions {
  int64_t n_point = 512, n_ray = 512;
  double drop_ray_prob = 0;
  bool force_missing_ray = false;
  PointSampling sampling = PointSampling::kRandom;
  int64_t rfps_m = 4096;
  bool ablate_point_dist = false;  ///< distances are zero, for gradients too
  LayoutOptions layout;
  GradientOptions gradient;
  UncertaintyOptions uncertainty;
  AugmentOptions augment;
};

/// Pool indices of a sample, sorted as read (points by Morton code, rays by azimuth, as they lie after the
/// augmentation), and whether its rays are missing. Draws the augmentation, then points, then rays, then the
/// drop, from `random`.
struct Sample {
  std::vector<int64_t> points, rays;
  bool rays_missing = false;
  Augmentation augmentation;
};
/// \error InvalidArgument if the pool is smaller than n_point or rfps_m is, or there are no rays to draw
/// from.
absl::StatusOr<Sample> DrawSample(const Pools& pools, const TokenOptions& options, NumpyRandomState& random);
absl::StatusOr<Sample> DrawSample(const Pools& pools, const TokenOptions& options, TrainStream& random);
SequenceParts GatherSample(const Pools& pools, const Sample& sample, const TokenOptions& options);

/// DrawSample, GatherSample, LayOutTokens. \pre spans have SequenceLength rows
absl::Status BuildTokens(const Pools& pools, const TokenOptions& options, NumpyRandomState& random,
                         std::span<float> feat, std::span<uint8_t> type);
absl::Status BuildTokens(const Pools& pools, const TokenOptions& options, TrainStream& random,
                         std::span<float> feat, std::span<uint8_t> type);

/// MT seed of a shape in deterministic evaluation: (md5 prefix of its path + eval_seed + 1000003 k) mod 2^32.
uint32_t EvalSeed(std::string_view path, int64_t eval_seed, int64_t k);

}  // namespace manyform
