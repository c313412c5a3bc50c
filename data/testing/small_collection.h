/// \file
/// Collections of shapes that cost nothing to make, and folders to compare, for tests.
#pragma once

#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "data/collection.h"
#include "proto/cache.pb.h"

namespace manyform {

/// An empty folder of this test program.
std::string NewTestFolder(absl::string_view name);
/// Relative paths of all files below a folder, with their content.
std::map<std::string, std::string> FolderContent(const std::string& folder);

/// Options of SmallCollection; FillDefaults has been called.
BuildCacheConfig SmallConfig();

/// 20 shapes of 3 classes, every fifth in "test". Arrays depend on the seed, their sizes on the class; shapes
/// 4 and 11 fail. `config` outlives it.
Collection SmallCollection(const std::string& out_root, const BuildCacheConfig& config);

}  // namespace manyform
