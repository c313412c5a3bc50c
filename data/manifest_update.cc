#include "data/manifest_update.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/status_macros.h"
#include "data/build_lock.h"

namespace manyform {
namespace {

std::string Key(const ShapeEntry& e) { return absl::StrCat(e.split(), "/", ShapeKey(e)); }

auto Names(const ShapeEntry& e) { return std::tie(e.split(), e.class_name(), e.id()); }

// Whether `entry` changes; takes size, checksum and layout.
bool TakeFile(const ShapeEntry& file, int layout, bool same_layout, ShapeEntry* entry) {
  const bool same = entry->file_size() == file.file_size() && same_layout &&
                    entry->has_checksum() == file.has_checksum() && entry->checksum() == file.checksum();
  entry->set_file_size(file.file_size());
  entry->clear_checksum();
  if (file.has_checksum()) entry->set_checksum(file.checksum());
  entry->set_layout(layout);
  return !same;
}

}  // namespace

ManifestUpdate::ManifestUpdate(std::string root, CacheManifest manifest, int64_t written_ns)
    : root_(std::move(root)), manifest_(std::move(manifest)), written_ns_(written_ns) {
  for (const ArrayLayout& layout : manifest_.layouts()) {
    known_layouts_.push_back(layout.SerializeAsString());
  }
}

absl::StatusOr<std::unique_ptr<ManifestUpdate>> ManifestUpdate::Open(const std::string& root) {
  // Looked at before it is read: a file that changes meanwhile is newer.
  const int64_t written = StampOf(JoinPath(root, kManifestName)).modified_ns;
  MF_ASSIGN_OR_RETURN(CacheManifest manifest, ReadManifest(root));
  return std::unique_ptr<ManifestUpdate>(new ManifestUpdate(root, std::move(manifest), written));
}

bool ManifestUpdate::MayBeStale(const ShapeEntry& names, const ShapeEntry& file, const ArrayLayout& layout,
                                FileStamp stamp) const {
  const auto entry =
      std::lower_bound(manifest_.shapes().begin(), manifest_.shapes().end(), names,
                       [](const ShapeEntry& a, const ShapeEntry& b) { return Names(a) < Names(b); });
  if (entry == manifest_.shapes().end() || Names(*entry) != Names(names)) return false;
  // Times are only as fine as the file system's clock.
  return entry->file_size() != file.file_size() ||
         known_layouts_[entry->layout()] != layout.SerializeAsString() || stamp.modified_ns >= written_ns_;
}

void ManifestUpdate::Set(const ShapeEntry& names, const ShapeEntry& file, const ArrayLayout& layout,
                         FileStamp stamp) {
  Change change{.stamp = stamp};
  change.file.set_file_size(file.file_size());
  if (file.has_checksum()) change.file.set_checksum(file.checksum());
  change.file.set_layout(layouts_.Number(layout));
  const std::lock_guard lock(mutex_);
  changes_[Key(names)] = std::move(change);
}

void ManifestUpdate::LookAgain(const ShapeEntry& entry, Change* change) {
  const std::string path = ShapePath(root_, entry);
  if (StampOf(path) == change->stamp) return;
  ShapeEntry now;
  ArrayLayout layout;
  // One that is gone or no shape any more is for its readers to find.
  if (!DescribeNow(path, /*checksum=*/true, &now, &layout).ok()) return;
  now.set_layout(layouts_.Number(layout));
  change->file = std::move(now);
}

absl::StatusOr<ManifestUpdate::Counts> ManifestUpdate::Apply() {
  Counts counts;
  if (changes_.empty()) return counts;
  MF_ASSIGN_OR_RETURN(const std::unique_ptr<ManifestLock> lock, ManifestLock::Take(root_));
  MF_ASSIGN_OR_RETURN(CacheManifest manifest, ReadManifest(root_));
  int64_t known = 0;
  for (const ShapeEntry& entry : manifest.shapes()) {
    const auto change = changes_.find(Key(entry));
    if (change == changes_.end()) continue;
    ++known;
    LookAgain(entry, &change->second);
  }
  std::vector<std::string> bytes;
  for (const ArrayLayout& layout : manifest.layouts()) bytes.push_back(layout.SerializeAsString());
  const int first = manifest.layouts_size();
  for (const ArrayLayout& layout : layouts_.layouts()) {
    bytes.push_back(layout.SerializeAsString());
    *manifest.add_layouts() = layout;
  }
  for (ShapeEntry& entry : *manifest.mutable_shapes()) {
    const auto change = changes_.find(Key(entry));
    if (change == changes_.end()) continue;
    const int layout = first + change->second.file.layout();
    counts.updated += TakeFile(change->second.file, layout, bytes[entry.layout()] == bytes[layout], &entry);
  }
  counts.unknown = static_cast<int64_t>(changes_.size()) - known;
  if (counts.updated > 0) MF_RETURN_IF_ERROR(WriteManifest(root_, std::move(manifest)));
  return counts;
}

absl::StatusOr<std::unique_ptr<ManifestLock>> ManifestLock::Take(const std::string& root) {
  const std::string path = JoinPath(root, "_meta/manifest.lock");
  while (true) {
    const absl::StatusOr<int> fd = OpenLocked(path, /*shared=*/false);
    if (fd.ok()) return std::unique_ptr<ManifestLock>(new ManifestLock(path, *fd));
    if (!absl::IsFailedPrecondition(fd.status())) return fd.status();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

ManifestLock::~ManifestLock() {
  RemoveLocked(path_);
  close(fd_);
}

absl::StatusOr<FileStamp> DescribeNow(const std::string& path, bool checksum, ShapeEntry* entry,
                                      ArrayLayout* layout) {
  while (true) {
    const FileStamp stamp = StampOf(path);
    const absl::Status status = DescribeShapeFile(path, checksum, entry, layout);
    if (StampOf(path) != stamp) continue;
    MF_RETURN_IF_ERROR(status);
    return stamp;
  }
}

FileStamp StampOf(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return {};
  return {info.st_ino, info.st_mtim.tv_sec * int64_t{1000000000} + info.st_mtim.tv_nsec};
}

}  // namespace manyform
