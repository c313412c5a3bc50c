/// \file
/// Scans made up from meshes, for where measured ones cannot be had.
#pragma once

#include "absl/status/statusor.h"
#include "proto/scan.pb.h"

namespace manyform {

/// Each shape of a mesh cache, seen once by a depth camera of random direction: noisy, partial, in the
/// layout, with the arrays and by the normalisation of a scan cache (see scan_arrays.h), so that it opens as
/// one. The manifest, _meta/simulated.txt, the log and the record say that the scans are simulated.
///
/// Shape i of the cache's manifest draws from MT(seed + i): camera, sensor (see simulate_scans_view.h),
/// pools. Built as BuildCollection does: parallel, resumable, in shards. \error NotFound for a cache without
/// shapes; InvalidArgument if it is a scan cache; as OpenManifest and BuildCollection.
absl::StatusOr<SimulateScansResult> SimulateScans(const SimulateScansConfig& config);

}  // namespace manyform
