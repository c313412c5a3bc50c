/// \file
/// Token and backend options under their published names, from any config that has them.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "data/backends.h"
#include "data/tokens.h"
#include "google/protobuf/message.h"

namespace manyform {

/// Sets what `config` has fields for, by name: n_point, n_ray, drop_ray_prob, force_missing_ray, add_eos,
/// qa_tokens, qa_layout, pt_sample_mode, pt_rfps_m, ablate_point_dist, include_pt_grad, pt_grad_mode,
/// pt_grad_eps, pt_grad_clip, pt_grad_orient, include_ray_unc, ray_unc_k, ray_unc_mode, aug_preset,
/// aug_rotate_z, aug_scale_min, aug_scale_max, aug_translate, aug_jitter_sigma, aug_jitter_clip, aug_eval.
/// Each is looked up with `suffix` first ("_train": pt_sample_mode_train). Left as they are: options without
/// a field, unset fields without a default, and numbers that are -1 ("as in the checkpoint").
/// \error InvalidArgument, as base/config.h's BadConfigError, with the field's name.
absl::Status SetTokenOptions(const google::protobuf::Message& config, TokenOptions* options,
                             std::string_view suffix = "");

/// backend (or `prefix` + "backend" where that is set: "query_", "train_"), voxel_grid, voxel_dilate,
/// voxel_max_steps, pt_xyz_key, pt_dist_key, pt_fps_key; as above.
absl::Status SetBackendOptions(const google::protobuf::Message& config, BackendOptions* options,
                               std::string_view prefix = "");

}  // namespace manyform
