/// \file
/// One model's way through the cache builder, cut into the stages //data:bench times.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace manyform {

/// What a stage does to one model, and the least it must do.
struct BenchStage {
  std::string name;
  double target_milliseconds = 0, published_milliseconds = 0;  ///< 0: none
  double bytes = 0, operations = 0;
  std::function<absl::Status()> run;
};

/// The stages of the model at `path`, in order; what they share is computed by the call. The names are the
/// same for every model. Files are written below `scratch`. \error as ReadMesh and BuildShapeArrays.
absl::StatusOr<std::vector<BenchStage>> StagesOfModel(const std::string& path, const std::string& scratch);

/// All stages in one: from the mesh file to the cache file with its checksum and layout.
absl::Status BuildShapeFile(const std::string& mesh_path, const std::string& out_path);

}  // namespace manyform
