/// \file
/// The file that says a cache's scans were simulated, also where its manifest is lost.
#pragma once

#include <string>

#include "base/files.h"
#include "proto/manifest.pb.h"

namespace manyform {

inline constexpr char kSimulatedMark[] = "_meta/simulated.txt";

inline bool HasSimulatedMark(const std::string& cache_root) {
  return FileExists(JoinPath(cache_root, kSimulatedMark));
}
inline void MarkSimulated(ShapeEntry* entry) { entry->mutable_scan()->set_simulated(true); }

}  // namespace manyform
