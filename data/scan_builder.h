/// \file
/// Scans become a shape cache.
#pragma once

#include "absl/status/statusor.h"
#include "proto/scan.pb.h"

namespace manyform {

/// Scans of HDF5 files (scan_root) or plain clouds (cloud_root) as <out_root>/<split>/<class>/<id>.npz,
/// manifest.binpb and _meta/, built as BuildCollection does: parallel, resumable, in shards. HDF5 scans have
/// the published names and arrays: the row of a file is shape class_<label>/<stem>_<row>, and one stream runs
/// through all scans of a split, by file and row; plain clouds keep their names and have a stream each.
///
/// A file without data or label, and a scan that allow_duplicate_stems leaves out, are logged and listed;
/// they draw nothing. \error InvalidArgument unless exactly one root is given; for files that are damaged or
/// of another kind, and as FindScanFiles, FindPointClouds, CheckStemsDiffer and BuildCollection.
absl::StatusOr<BuildScanCacheResult> BuildScanCache(const BuildScanCacheConfig& config);

}  // namespace manyform
