#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "base/files.h"
#include "base/hash.h"
#include "data/cache_journal.h"

namespace {

using manyform::CacheJournal;

// Records of these payloads, framed as the journal frames them: what is behind a checksum that holds. Each
// payload comes with its length in two bytes.
std::string Framed(std::string_view bytes) {
  std::string file;
  while (bytes.size() >= 2) {
    uint16_t length;
    memcpy(&length, bytes.data(), sizeof(length));
    bytes.remove_prefix(sizeof(length));
    const std::string_view payload = bytes.substr(0, length);
    const uint32_t size = static_cast<uint32_t>(payload.size());
    const uint64_t checksum =
        manyform::Xxh3({reinterpret_cast<const uint8_t*>(payload.data()), payload.size()});
    file.append(reinterpret_cast<const char*>(&size), sizeof(size));
    file.append(reinterpret_cast<const char*>(&checksum), sizeof(checksum));
    file.append(payload);
    bytes.remove_prefix(payload.size());
  }
  return file;
}

}  // namespace

// A build that comes upon this journal goes on with it: every shape in it has a layout, the next one is
// appended, and a third build finds them all.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string* const path = [] {
    std::string folder = (std::filesystem::temp_directory_path() / "journal_fuzz_XXXXXX").string();
    if (mkdtemp(folder.data()) == nullptr) abort();
    return new std::string(folder + "/_build/journal");
  }();
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string file = data[0] == 'F' ? Framed(bytes) : std::string(bytes);
  if (!manyform::WriteFileAtomically(*path, file).ok()) abort();
  int shapes = 0;
  {
    const auto journal = CacheJournal::Open(*path);
    if (!journal.ok()) return 0;
    const manyform::CacheManifest& content = (*journal)->content();
    for (const manyform::ShapeEntry& shape : content.shapes()) {
      if (content.layouts(shape.layout()).ByteSizeLong() > file.size()) abort();
    }
    shapes = content.shapes_size();
    manyform::ArrayLayout layout;
    layout.add_arrays()->set_name("pc_xyz");
    if (!(*journal)->Append({}, layout).ok()) abort();
  }
  const auto again = CacheJournal::Open(*path);
  if (!again.ok() || (*again)->content().shapes_size() != shapes + 1) abort();
  if (!(*again)->Finish().ok()) abort();
  return 0;
}
