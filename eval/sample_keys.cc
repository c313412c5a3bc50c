#include "eval/sample_keys.h"

namespace manyform {
namespace {

const char* SamplingName(PointSampling sampling) {
  switch (sampling) {
    case PointSampling::kRandom:
      return "random";
    case PointSampling::kFps:
      return "fps";
    case PointSampling::kRfps:
      return "rfps";
    case PointSampling::kGrid:
      return "grid";
  }
  return "";
}

}  // namespace

void AddSampleKeys(const TokenOptions& tokens, const BackendOptions& backend, RecordBuilder* builder) {
  builder->Protocol("backend", BackendName(backend.backend));
  if (backend.backend == Backend::kVoxel) {
    builder->Protocol("voxel_grid", backend.voxel_grid)
        .Protocol("voxel_dilate", backend.voxel_dilate)
        .Protocol("voxel_max_steps", backend.voxel_max_steps);
  }
  builder->Protocol("n_point", tokens.n_point)
      .Protocol("n_ray", tokens.n_ray)
      .Protocol("force_missing_ray", tokens.force_missing_ray)
      .Protocol("pt_sample_mode", SamplingName(tokens.sampling))
      .Protocol("pt_xyz_key", backend.xyz_key)
      .Protocol("pt_dist_key", backend.dist_key);
  if (tokens.sampling == PointSampling::kRfps) builder->Protocol("pt_rfps_m", tokens.rfps_m);
  if (tokens.sampling == PointSampling::kFps) builder->Protocol("pt_fps_key", backend.fps_key);
  builder->Protocol("ablate_point_dist", tokens.ablate_point_dist);
  const GradientOptions& gradient = tokens.gradient;
  builder->Protocol("include_pt_grad", gradient.include);
  if (gradient.include) {
    builder->Protocol("pt_grad_mode", gradient.inverse_distance ? "log" : "raw")
        .Protocol("pt_grad_eps", gradient.eps)
        .Protocol("pt_grad_clip", gradient.clip)
        .Protocol("pt_grad_orient", gradient.against_ray ? "ray" : "none");
  }
  builder->Protocol("include_ray_unc", tokens.uncertainty.include);
  if (tokens.uncertainty.include) builder->Protocol("ray_unc_k", tokens.uncertainty.k);
  const AugmentOptions& augment = tokens.augment;
  const bool moved = augment.in_eval && augment.Any();
  builder->Protocol("aug_eval", moved);
  if (moved) {
    builder->Protocol("aug_rotate_z", augment.rotate_z)
        .Protocol("aug_scale_min", augment.scale_min)
        .Protocol("aug_scale_max", augment.scale_max)
        .Protocol("aug_translate", augment.translate)
        .Protocol("aug_jitter_sigma", augment.jitter_sigma)
        .Protocol("aug_jitter_clip", augment.jitter_clip);
  }
}

}  // namespace manyform
