/// \file
/// The report's parts, each an HTML fragment; empty where there is nothing to show. Everything that comes
/// from files is escaped.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "eval/aggregate.h"
#include "eval/result_files.h"
#include "eval/shape_pictures.h"
#include "proto/demo.pb.h"

namespace manyform {

/// What each step made, how long it took and what memory it needed.
std::string PipelineSection(std::span<const StageSummary> stages, std::span<const MeasuredFile> files);

/// A table per stage with deviations, the best value of each column and the chance level.
std::string ResultSection(const MeasuredTable& table);

/// One run folder: a chart of its losses and, where it has any, one of its accuracies.
/// \error as ReadJsonLines, with the folder; InvalidArgument if the log has no number called loss.
absl::StatusOr<std::string> RunCharts(const std::string& run_dir);
std::string CurveSection(std::span<const std::string> charts);

/// Pictured shapes: their keys are collected for the credits, pictures counted.
struct Pictured {
  std::vector<std::string> keys;
  int pictures = 0;
};

/// Query shapes with what was found nearest. \error as ShapePictures::Picture.
absl::StatusOr<std::string> RetrievalSection(std::span<const MeasuredFile> files, ShapePictures& shapes,
                                             Pictured* pictured);

/// Slices of fields, true, copied and predicted, on one colour scale per shape. \error InvalidArgument naming
/// the file if a slice is not resolution^2 values.
absl::StatusOr<std::string> FieldSection(std::span<const MeasuredFile> files, Pictured* pictured);

/// Name, author and licence of the pictured models that the catalogue knows.
std::string CreditSection(const Catalogue& catalogue, const Pictured& pictured);

/// Commits, machines and every config in full.
std::string FooterSection(std::span<const StageSummary> stages, std::span<const MeasuredFile> files);

}  // namespace manyform
