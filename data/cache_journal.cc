#include "data/cache_journal.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "data/build_lock.h"

namespace manyform {
namespace {

constexpr size_t kFrame = sizeof(uint32_t) + sizeof(uint64_t);

uint64_t ChecksumOf(absl::string_view payload) {
  return Xxh3({reinterpret_cast<const uint8_t*>(payload.data()), payload.size()});
}

// The next whole record of `bytes`, which is moved behind it.
bool TakeRecord(absl::string_view* bytes, CacheManifest* record) {
  if (bytes->size() < kFrame) return false;
  uint32_t size;
  uint64_t checksum;
  memcpy(&size, bytes->data(), sizeof(size));
  memcpy(&checksum, bytes->data() + sizeof(size), sizeof(checksum));
  if (size > bytes->size() - kFrame) return false;
  const absl::string_view payload = bytes->substr(kFrame, size);
  if (ChecksumOf(payload) != checksum || !record->ParseFromArray(payload.data(), static_cast<int>(size))) {
    return false;
  }
  bytes->remove_prefix(kFrame + size);
  return true;
}

// Adds up the whole records at the start of `bytes`; how many bytes they have.
absl::StatusOr<size_t> ParseRecords(absl::string_view bytes, const std::string& path,
                                    CacheManifest* content) {
  absl::string_view rest = bytes;
  CacheManifest record;
  size_t whole = 0;
  while (TakeRecord(&rest, &record)) {
    // A layout comes with or before the first shape that has it.
    const int layouts = content->layouts_size() + record.layouts_size();
    for (const ShapeEntry& shape : record.shapes()) {
      if (shape.layout() < 0 || shape.layout() >= layouts) {
        return absl::DataLossError(absl::StrCat(path, ": shape ", ShapeKey(shape), " has no layout"));
      }
    }
    content->MergeFrom(record);
    whole = bytes.size() - rest.size();
  }
  return whole;
}

absl::Status ErrnoStatus(const std::string& path, absl::string_view what) {
  const int error = errno;
  const std::string text = absl::StrCat(path, ": ", what, ": ", strerror(error));
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return full ? absl::ResourceExhaustedError(text) : absl::InternalError(text);
}

}  // namespace

absl::StatusOr<std::unique_ptr<CacheJournal>> CacheJournal::Open(const std::string& path) {
  MF_ASSIGN_OR_RETURN(const int fd, OpenLocked(path, /*shared=*/false));
  std::unique_ptr<CacheJournal> journal(new CacheJournal(path, fd));
  MF_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  MF_ASSIGN_OR_RETURN(const size_t whole, ParseRecords(bytes, path, &journal->content_));
  MF_RETURN_IF_ERROR(journal->CutTo(static_cast<int64_t>(whole)));
  return journal;
}

absl::StatusOr<CacheManifest> CacheJournal::Read(const std::string& path) {
  CacheManifest content;
  absl::StatusOr<std::string> bytes = ReadFile(path);
  if (absl::IsNotFound(bytes.status())) return content;
  MF_RETURN_IF_ERROR(bytes.status());
  MF_RETURN_IF_ERROR(ParseRecords(*bytes, path, &content).status());
  return content;
}

CacheJournal::~CacheJournal() {
  if (empty()) RemoveLocked(path_);
  close(fd_);
}

absl::Status CacheJournal::CutTo(int64_t size) {
  if (ftruncate(fd_, size) != 0 || lseek(fd_, size, SEEK_SET) < 0)
    return ErrnoStatus(path_, "cannot shorten");
  size_ = size;
  return absl::OkStatus();
}

absl::Status CacheJournal::Start(const CacheManifest& header) {
  MF_RETURN_IF_ERROR(CutTo(0));
  content_ = header;
  return Write(header);
}

absl::Status CacheJournal::Finish() {
  content_.Clear();
  return CutTo(0);
}

absl::Status CacheJournal::Append(ShapeEntry entry, const ArrayLayout& layout) {
  const std::lock_guard lock(mutex_);
  CacheManifest record;
  const int layouts = content_.layouts_size();
  SetLayout(&content_, &entry, layout);
  if (content_.layouts_size() > layouts) *record.add_layouts() = layout;
  *record.add_shapes() = entry;
  *content_.add_shapes() = std::move(entry);
  return Write(record);
}

absl::Status CacheJournal::Write(const CacheManifest& record) {
  const std::string payload = record.SerializeAsString();
  const uint32_t size = static_cast<uint32_t>(payload.size());
  const uint64_t checksum = ChecksumOf(payload);
  std::string frame(kFrame, '\0');
  memcpy(frame.data(), &size, sizeof(size));
  memcpy(frame.data() + sizeof(size), &checksum, sizeof(checksum));
  frame += payload;
  // One write: what a killed process leaves is whole, or torn and last.
  const ssize_t put = write(fd_, frame.data(), frame.size());
  if (put == static_cast<ssize_t>(frame.size())) {
    size_ += put;
    return absl::OkStatus();
  }
  if (put >= 0) errno = ENOSPC;
  absl::Status status = ErrnoStatus(path_, "cannot write");
  CutTo(size_).IgnoreError();
  return status;
}

}  // namespace manyform
