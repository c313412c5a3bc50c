#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/files.h"
#include "data/manifest.h"
#include "data/merge_shards.h"
#include "data/shard.h"

namespace {

// A folder with one shape, c/a of train, in 100 bytes.
std::string MakeRoot() {
  std::string folder = (std::filesystem::temp_directory_path() / "shard_fuzz_XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) abort();
  if (!manyform::WriteFileAtomically(folder + "/train/c/a.npz", std::string(100, 'x')).ok()) abort();
  return folder;
}

}  // namespace

// The only part of a collection, as a shard on another machine left it, or nearly: if it is merged, the
// manifest that comes out is one, and the part is gone.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string* const root = new std::string(MakeRoot());
  const std::string part = manyform::PartPath(*root, "build_cache", {.index = 0, .count = 1});
  const std::string manifest = *root + "/manifest.binpb";
  std::filesystem::remove(manifest);
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (!manyform::WriteFileAtomically(part, bytes).ok()) abort();
  manyform::MergeShardsConfig config;
  config.set_cache_root(*root);
  config.set_num_threads(1);
  const auto merged = manyform::MergeShards(config);
  if (merged.ok() != std::filesystem::exists(manifest) || merged.ok() == std::filesystem::exists(part))
    abort();
  if (!merged.ok()) return 0;
  const auto read = manyform::ReadManifest(*root);
  if (!read.ok() || read->shapes_size() != merged->shapes()) abort();
  return 0;
}
