/// \file
/// Which options a cache was built with, and whether they are those of now.
#pragma once

#include "absl/status/status.h"
#include "data/collection.h"
#include "proto/manifest.pb.h"

namespace manyform {

/// Writes the config's text and fingerprint into a manifest: what can change a shape. Left out, beside output
/// paths and threads, is what the collection says: `split` changes seeds, which each shape has of its own, so
/// that train and test can be built one after the other into one cache.
void SetBuildOptions(const Collection& collection, CacheManifest* manifest);

/// \error FailedPrecondition naming the first option that differs, and both values.
absl::Status CheckSameOptions(const CacheManifest& existing, const Collection& collection);
/// The same for two that exist.
absl::Status CheckSameOptions(const CacheManifest& existing, const CacheManifest& now);

}  // namespace manyform
