/// \file
/// Which options a cache was built with, and whether they are those of now.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "proto/cache.pb.h"
#include "proto/manifest.pb.h"

namespace manyform {

/// Writes the config's text and fingerprint into a manifest: what can change a shape. Output paths and
/// threads are left out, and `split` too: it changes seeds, which each shape has of its own, so that train
/// and test can be built one after the other into one cache.
void SetBuildOptions(const BuildCacheConfig& config, CacheManifest* manifest);

/// \error FailedPrecondition naming the first option that differs, and both values.
absl::Status CheckSameOptions(const CacheManifest& existing, const BuildCacheConfig& config);

}  // namespace manyform
