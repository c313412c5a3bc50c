/// \file
/// What a cache build has finished so far, so that a killed one can go on.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "data/manifest.h"
#include "proto/manifest.pb.h"

namespace manyform {

/// A file of records, each its length (4 bytes), its XXH3 (8 bytes) and a CacheManifest: the first one names
/// the build, each later one holds a shape, and its layout if no earlier one did. Reading stops at the first
/// record that is torn or damaged; opening cuts it off.
class CacheJournal {
 public:
  /// Opens or makes the file, and its folder, and reads what is recorded.
  /// \error FailedPrecondition while another process has it open; otherwise as errno says.
  static absl::StatusOr<std::unique_ptr<CacheJournal>> Open(const std::string& path);
  /// A journal without records is removed, with its folder if that is empty.
  ~CacheJournal();
  CacheJournal(const CacheJournal&) = delete;
  CacheJournal& operator=(const CacheJournal&) = delete;

  /// What is recorded, of a build that may be running; nothing where there is no such file.
  /// \error as ReadFile; DataLoss for a shape without a layout.
  static absl::StatusOr<CacheManifest> Read(const std::string& path);

  /// Everything recorded. \pre no Append runs
  const CacheManifest& content() const { return content_; }
  bool empty() const { return size_ == 0; }

  /// Forgets everything; `header` is the first record of a new build.
  absl::Status Start(const CacheManifest& header);
  /// Records a finished shape. Thread-safe. \error ResourceExhausted when the disk is full.
  absl::Status Append(ShapeEntry entry, const ArrayLayout& layout);
  /// Ends the build: forgets everything, so that the file goes.
  absl::Status Finish();

 private:
  CacheJournal(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  absl::Status CutTo(int64_t size);
  absl::Status Write(const CacheManifest& record);

  const std::string path_;
  const int fd_;
  std::mutex mutex_;
  CacheManifest content_;
  int64_t size_ = 0;  // of the whole records
};

}  // namespace manyform
