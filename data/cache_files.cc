#include "data/cache_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <system_error>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "data/manifest.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;

// As many as the kernel follows.
constexpr int kMaxLinks = 40;

struct Followed {
  std::string path;
  struct stat info;
  std::vector<CacheName> names;
};

class Follower {
 public:
  absl::StatusOr<Followed> Follow(const std::string& typed) {
    Followed found;
    std::string path = typed;
    for (int links = 0; links <= kMaxLinks; ++links) {
      MF_ASSIGN_OR_RETURN(const std::string folder, RealFolder(path));
      const std::string name = fs::path(path).filename();
      found.path = absl::StrCat(folder == "/" ? "" : folder, "/", name);
      if (lstat(found.path.c_str(), &found.info) != 0) return Missing(typed, found.path, errno);
      AddName(found.path, &found.names);
      if (S_ISREG(found.info.st_mode)) return found;
      if (!S_ISLNK(found.info.st_mode)) {
        return absl::InvalidArgumentError(absl::StrCat(typed, ": is no file"));
      }
      std::error_code error;
      const fs::path target = fs::read_symlink(found.path, error);
      if (error) return Missing(typed, found.path, error.value());
      path = target.is_absolute() ? target : fs::path(folder) / target;
    }
    return absl::InvalidArgumentError(absl::StrCat(typed, ": its links go in a circle"));
  }

 private:
  static absl::Status Missing(const std::string& typed, const std::string& path, int error) {
    return absl::ErrnoToStatus(error, path == typed ? typed : absl::StrCat(typed, ": leads to ", path));
  }

  // Files of a class share their folder: it is resolved once.
  absl::StatusOr<std::string> RealFolder(const std::string& path) {
    const std::string folder = fs::path(path).parent_path();
    const auto known = folders_.find(folder);
    if (known != folders_.end()) return known->second;
    std::error_code error;
    const fs::path real = fs::canonical(folder, error);
    if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("leads to ", path));
    return folders_[folder] = real;
  }

  static void AddName(const fs::path& path, std::vector<CacheName>* names) {
    const fs::path class_folder = path.parent_path(), split = class_folder.parent_path();
    if (path.extension() != ".npz" || split.filename().empty()) return;
    names->push_back({split.parent_path(), split.filename(), class_folder.filename(), path.stem()});
  }

  absl::flat_hash_map<std::string, std::string> folders_;
};

bool IsSame(const CacheName& a, const CacheName& b) {
  return std::tie(a.root, a.split, a.class_name, a.id) == std::tie(b.root, b.split, b.class_name, b.id);
}

}  // namespace

CacheFiles FindCacheFiles(const std::string& cache_root, absl::Span<const ShapeEntry> shapes) {
  CacheFiles found;
  found.missing.resize(shapes.size());
  std::map<std::pair<dev_t, ino_t>, size_t> numbers;
  std::error_code ignored;
  const std::string real_root = fs::canonical(cache_root, ignored);
  Follower follower;
  for (size_t i = 0; i < shapes.size(); ++i) {
    absl::StatusOr<Followed> file = follower.Follow(ShapePath(cache_root, shapes[i]));
    if (!file.ok()) {
      found.missing[i] = file.status();
      continue;
    }
    const auto [number, added] =
        numbers.try_emplace({file->info.st_dev, file->info.st_ino}, found.files.size());
    if (added) found.files.emplace_back().outside_links = file->info.st_nlink;
    CacheFile& known = found.files[number->second];
    known.shapes.push_back(static_cast<int64_t>(i));
    known.names.push_back({cache_root, shapes[i].split(), shapes[i].class_name(), shapes[i].id()});
    for (CacheName& name : file->names) {
      if (name.root == real_root) name.root = cache_root;
      if (!IsSame(name, known.names.back())) known.names.push_back(std::move(name));
    }
    if (std::find(known.hard_links.begin(), known.hard_links.end(), file->path) == known.hard_links.end()) {
      known.hard_links.push_back(std::move(file->path));
    }
  }
  for (CacheFile& file : found.files) {
    std::sort(file.hard_links.begin(), file.hard_links.end());
    file.path = file.hard_links[0];
    const uint64_t known = file.hard_links.size();
    file.outside_links = file.outside_links > known ? file.outside_links - known : 0;
  }
  return found;
}

}  // namespace manyform
