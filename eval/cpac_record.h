/// \file
/// A completion measurement's numbers under the published keys.
#pragma once

#include <vector>

#include "data/tokens.h"
#include "eval/completion_head.h"
#include "eval/cpac_plan.h"
#include "model/checkpoint.h"
#include "proto/eval.pb.h"

namespace manyform {

/// Of the measured shapes, query by query. `predicted` as the head says it, in the transformed target's
/// space; empty without a model. `baseline`: empty unless asked for.
struct CompletionFields {
  std::vector<float> truth, predicted, baseline;
};

/// `model` and `head` null: the baseline alone. `meshes`: null unless surfaces were compared.
ResultRecord CpacRecord(const CpacConfig& config, const CpacPlan& plan, const LoadedModel* model,
                        const LayoutOptions& layout, const FittedHead* head, const CompletionFields& fields,
                        const MeshEvaluation* meshes);

}  // namespace manyform
