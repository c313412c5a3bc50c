/// \file
/// //eval:embed: the shapes of a split as vectors of a frozen model.
#pragma once

#include "absl/status/statusor.h"
#include "eval/embedding_file.h"
#include "model/checkpoint.h"
#include "proto/probe.pb.h"

namespace manyform {

/// config.ckpt on config.device, with config.num_threads set.
absl::StatusOr<LoadedModel> LoadEmbedder(const EmbedConfig& config);

/// Embeds config.split, whatever config.ckpt and output say. Resizes the model's positions if need be.
/// \error as ShapeList::Open and ForEachPooled; of SetTokenOptions and SequenceLayout.
absl::StatusOr<EmbeddedShapes> EmbedSplit(const EmbedConfig& config, LoadedModel* model);

/// The program's function.
absl::StatusOr<EmbedResult> Embed(const EmbedConfig& config);

}  // namespace manyform
