#include <cstdlib>
#include <filesystem>

#include "base/files.h"
#include "data/manifest.h"

// What a reader does with a manifest from elsewhere: check it, then look at every array of a file that is not
// the one described.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string* const root = [] {
    std::string folder = (std::filesystem::temp_directory_path() / "manifest_fuzz_XXXXXX").string();
    if (mkdtemp(folder.data()) == nullptr) abort();
    return new std::string(folder);
  }();
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (!manyform::WriteFileAtomically(*root + "/manifest.binpb", bytes).ok()) abort();
  auto manifest = manyform::ReadManifest(*root);
  if (!manifest.ok()) return 0;
  for (manyform::ShapeEntry& shape : *manifest->mutable_shapes()) {
    shape.set_file_size(size);
    const auto file =
        manyform::ShapeFile::Open(*root + "/manifest.binpb", shape, *manifest, manyform::VerifyShape::kNever);
    if (!file.ok()) continue;
    for (const manyform::ArrayEntry& array : manifest->layouts(shape.layout()).arrays()) {
      const auto read = (*file)->Get(array.name());
      if (read.ok()) (void)read->Values<float>();
    }
  }
  return 0;
}
