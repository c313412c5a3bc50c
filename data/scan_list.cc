#include "data/scan_list.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/files.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "data/point_reader.h"

namespace manyform {
namespace {

constexpr int kMaxDepth = 32;  // of folders; a link that leads back ends here

bool IsFolder(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

std::string_view LastPart(std::string_view path) {
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

absl::Status CollectFiles(const std::string& folder, int depth, std::vector<std::string>* files) {
  if (depth > kMaxDepth) {
    return absl::InvalidArgumentError(absl::StrCat(folder, ": more than ", kMaxDepth, " folders deep"));
  }
  MF_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(folder));
  for (const std::string& name : names) {
    if (name[0] == '.') continue;
    std::string path = JoinPath(folder, name);
    if (IsFolder(path)) {
      MF_RETURN_IF_ERROR(CollectFiles(path, depth + 1, files));
    } else if (absl::EndsWithIgnoreCase(name, ".h5")) {
      files->push_back(std::move(path));
    }
  }
  return absl::OkStatus();
}

// Clouds at <folder>/<class>/<id>.*.
absl::Status CollectClouds(const std::string& folder, bool test, std::vector<MeshSource>* clouds) {
  MF_ASSIGN_OR_RETURN(const std::vector<std::string> paths, Glob(folder, "*/*"));
  for (const std::string& path : paths) {
    const std::string_view file = LastPart(path);
    const size_t dot = file.rfind('.');
    if (dot == std::string_view::npos || dot == 0 || !IsPointFormat(file.substr(dot)) || IsFolder(path)) {
      continue;
    }
    const std::string_view parent = LastPart(std::string_view(path).substr(0, path.size() - file.size()));
    clouds->push_back({path, std::string(parent), std::string(file.substr(0, dot)), test});
  }
  return absl::OkStatus();
}

}  // namespace

bool IsOfScanSplit(std::string_view path, bool test) {
  const std::string_view file = LastPart(path);
  const std::string_view folder = LastPart(path.substr(0, path.size() - file.size()));
  const char* split = test ? "test" : "train";
  return absl::StrContains(absl::AsciiStrToLower(ToAbsl(file)), split) ||
         absl::StrContains(absl::AsciiStrToLower(ToAbsl(folder)), split);
}

absl::StatusOr<std::vector<std::string>> FindScanFiles(const std::string& root, bool test) {
  if (!IsFolder(root)) return absl::NotFoundError(absl::StrCat("scan_root ", root, " is no folder"));
  std::vector<std::string> files;
  MF_RETURN_IF_ERROR(CollectFiles(root, 0, &files));
  std::erase_if(files, [test](const std::string& path) {
    if (!IsOfScanSplit(path, test)) return true;
    if (absl::EndsWith(path, ".h5")) return false;
    LogLine(absl::StrCat(path, ": passed over, its name does not end in .h5"));
    return true;
  });
  std::sort(files.begin(), files.end());
  return files;
}

std::string FileStem(std::string_view path) {
  const std::string_view file = LastPart(path);
  const size_t dot = file.rfind('.');
  return std::string(dot == 0 ? file : file.substr(0, dot));
}

absl::Status CheckStemsDiffer(const std::vector<std::string>& files) {
  std::map<std::string, std::vector<std::string>> by_stem;
  for (const std::string& path : files) by_stem[FileStem(path)].push_back(path);
  std::vector<std::string> repeated;
  for (const auto& [stem, paths] : by_stem) {
    if (paths.size() > 1) repeated.push_back(absl::StrCat(stem, " (", absl::StrJoin(paths, ", "), ")"));
  }
  if (repeated.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "HDF5 files of the same name would become the same shapes: ", absl::StrJoin(repeated, "; "),
      "; choose a scan_root with one variant, or set allow_duplicate_stems=true"));
}

absl::StatusOr<std::vector<MeshSource>> FindPointClouds(const std::string& root, double test_ratio,
                                                        int64_t split_seed) {
  if (!IsFolder(root)) return absl::NotFoundError(absl::StrCat("cloud_root ", root, " is no folder"));
  const std::string train = JoinPath(root, "train"), test = JoinPath(root, "test");
  const bool divided = IsFolder(train) || IsFolder(test);
  std::vector<MeshSource> clouds;
  if (divided) {
    MF_ASSIGN_OR_RETURN(const std::vector<std::string> folders, ListDirectory(root));
    for (const std::string& folder : folders) {
      if (folder == "train" || folder == "test" || folder[0] == '.') continue;
      LogLine(absl::StrCat(JoinPath(root, folder), ": passed over, it is neither train nor test"));
    }
    MF_RETURN_IF_ERROR(CollectClouds(test, true, &clouds));
    MF_RETURN_IF_ERROR(CollectClouds(train, false, &clouds));
  } else {
    MF_RETURN_IF_ERROR(CollectClouds(root, false, &clouds));
    DivideTrainTest(test_ratio, split_seed, &clouds);
  }
  if (clouds.empty()) {
    return absl::NotFoundError(absl::StrCat("no point cloud (.ply, .xyz, .txt, .npy, .pts) at ", root,
                                            divided ? "/{train,test}" : "", "/<class>/<id>.*"));
  }
  absl::flat_hash_map<std::string, std::string> seen;
  for (const MeshSource& cloud : clouds) {
    const std::string key =
        absl::StrCat(divided && cloud.test ? "test/" : "", cloud.class_name, "/", cloud.id);
    const auto [it, is_new] = seen.try_emplace(key, cloud.path);
    if (!is_new) {
      return absl::InvalidArgumentError(
          absl::StrCat(it->second, " and ", cloud.path, " would both become shape ", key));
    }
  }
  return clouds;
}

absl::StatusOr<std::vector<std::string>> ReadClassNames(const std::string& path) {
  MF_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::vector<std::string> names;
  absl::flat_hash_set<std::string> seen;
  for (const absl::string_view line : absl::StrSplit(absl::StripTrailingAsciiWhitespace(text), '\n')) {
    std::string name(absl::StripAsciiWhitespace(line));
    const auto error = [&](absl::string_view what) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ":", names.size() + 1, ": class name \"", name, "\" ", what));
    };
    if (name.empty()) return error("is empty");
    if (name[0] == '.' || absl::StrContains(name, '/') || absl::StrContains(name, '\0')) {
      return error("is no name for a folder");
    }
    if (!seen.insert(name).second) return error("is repeated");
    names.push_back(std::move(name));
  }
  return names;
}

}  // namespace manyform
