/// \file
/// Furniture libraries of Sweet Home 3D (.sh3f) as a folder of meshes in the layout build_cache reads.
#pragma once

#include "absl/status/statusor.h"
#include "proto/demo.pb.h"

namespace manyform {

/// Writes <class>/<id>/models/model_normalized.obj for every model below config.out_root, upright (the
/// catalogue's modelRotation applied), with its .mtl (without textures) and, one folder up, the licence text
/// that lay beside it; then catalogue.json. The class is the slug of the category, the id
/// <library>_<file name> as a slug. Models are taken by library name, then catalogue number; the same
/// geometry a second time, and what cannot be read, is left out and listed in `skipped`. Files that are there
/// are kept unless config.overwrite. \error NotFound if there is no library; FailedPrecondition if nothing
/// can be taken from them, or if out_root holds models of another import; InvalidArgument for a library that
/// is no zip file or whose catalogue cannot be read; and as base/files.h says.
absl::StatusOr<ImportFurnitureResult> ImportFurniture(const ImportFurnitureConfig& config);

}  // namespace manyform
