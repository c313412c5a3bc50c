#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/zip_archive.h"

// A furniture library of unknown origin: the members the importer asks for, and no more bytes than it allows.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr uint64_t kMostBytes = 1 << 16;
  const int fd = memfd_create("fuzz", MFD_CLOEXEC);
  if (fd < 0 || write(fd, data, size) != static_cast<ssize_t>(size)) abort();
  {
    const auto archive = manyform::ZipArchive::Open("/proc/self/fd/" + std::to_string(fd));
    if (archive.ok()) {
      for (const char* member : {"PluginFurnitureCatalog.properties", "a/chair.obj", "a/LICENSE.TXT"}) {
        const auto bytes = archive->Read(member, kMostBytes);
        if (bytes.ok() && (bytes->size() > kMostBytes || !archive->Contains(member))) abort();
      }
    }
  }
  close(fd);
  return 0;
}
