/// \file
/// A split file made into a cache of its own: the view.
#pragma once

#include "absl/status/statusor.h"
#include "proto/split.pb.h"

namespace manyform {

/// Makes <out_root>/<split>/<class>/<id>.npz for the records of the chosen splits, _meta/split_source.json
/// and the view's manifest. Links are relative, so that source and view can be moved together. What is there
/// is kept unless `overwrite` (a link to nothing is not there); a record whose source file is missing is
/// counted, and named. Running it again finishes what an interrupted run began.
///
/// The manifest takes a shape's entry from the source's, or opens the file where a kept one differs from it
/// or the source has none; a kept file that is no .npz is listed among the failed. Splits of an earlier run
/// that are not chosen now keep their entries. \error InvalidArgument for an unknown split, a malformed split
/// file, or a view inside its own source; NotFound for the split file or the source root; FailedPrecondition
/// where hard links cannot be made, or while another process writes to the view.
absl::StatusOr<MaterializeResult> Materialize(const MaterializeConfig& config);

}  // namespace manyform
