/// \file
/// A completion measurement's settings as the runs and options they mean, checked before any work starts.
#pragma once

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "data/shape_list.h"
#include "eval/completion_head.h"
#include "eval/completion_run.h"
#include "eval/mesh_evaluation.h"
#include "proto/eval.pb.h"

namespace manyform {

struct CpacPlan {
  CompletionRun test;
  std::optional<CompletionRun> head_run;  ///< absent if there is no head and its shapes are not known
  HeadOptions head;
  bool transductive = false;  ///< the head's shapes are of the measured split
  bool baseline = false;      ///< nn_copy is measured too, or alone
  /// Surfaces: the measured shapes, whose contexts are drawn anew with eval_seed and no queries.
  std::optional<CompletionRun> meshes;
  MeshEvaluationOptions mesh_options;
  int64_t mesh_chunk = 0;  ///< points of a volume that are asked in one sequence
};

/// Whether head_train_split asks for the legacy protocol: "none" or "".
bool IsTransductive(const CpacConfig& config);

/// `head_shapes` is not looked at where the head's shapes are of the measured split; null: no head.
/// \error InvalidArgument naming the field, for a mismatch within a single shape and a split that leaves
/// nothing to measure or to fit on, too.
absl::StatusOr<CpacPlan> PlanCpac(const CpacConfig& config, std::shared_ptr<const ShapeList> shapes,
                                  std::shared_ptr<const ShapeList> head_shapes);

}  // namespace manyform
