#include "base/zip_archive.h"

#include <zip.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"

namespace manyform {
namespace {

constexpr int kFlags = ZIP_RDONLY | ZIP_CHECKCONS;

absl::Status OpenError(const std::string& path, zip_error_t* error) {
  const int code = zip_error_code_zip(error);
  const bool missing = code == ZIP_ER_NOENT || code == ZIP_ER_OPEN;
  return {missing ? absl::StatusCode::kNotFound : absl::StatusCode::kInvalidArgument,
          absl::StrFormat("%s: %s", path, zip_error_strerror(error))};
}

absl::Status MemberError(absl::StatusCode code, const std::string& path, const std::string& member,
                         absl::string_view what) {
  return {code, absl::StrFormat("%s: member %s: %s", path, member, what)};
}

}  // namespace

absl::StatusOr<ZipArchive> ZipArchive::Open(const std::string& path) {
  int code = 0;
  if (zip* archive = zip_open(path.c_str(), kFlags, &code)) return ZipArchive(path, archive);
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  absl::Status status = OpenError(path, &error);
  zip_error_fini(&error);
  return status;
}

absl::StatusOr<ZipArchive> ZipArchive::Parse(const std::string& name, std::span<const uint8_t> bytes) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), /*freep=*/0, &error);
  zip* archive = source == nullptr ? nullptr : zip_open_from_source(source, kFlags, &error);
  absl::Status status = archive == nullptr ? OpenError(name, &error) : absl::OkStatus();
  if (archive == nullptr) zip_source_free(source);
  zip_error_fini(&error);
  if (!status.ok()) return status;
  return ZipArchive(name, archive);
}

ZipArchive::ZipArchive(ZipArchive&& other) noexcept
    : path_(std::move(other.path_)), archive_(std::exchange(other.archive_, nullptr)) {}

ZipArchive::~ZipArchive() {
  if (archive_ != nullptr) zip_discard(archive_);
}

std::vector<std::string> ZipArchive::Names() const {
  std::vector<std::string> names;
  for (zip_int64_t i = 0; i < zip_get_num_entries(archive_, 0); ++i)
    if (const char* name = zip_get_name(archive_, i, 0)) names.emplace_back(name);
  return names;
}

bool ZipArchive::Contains(const std::string& member) const {
  return zip_name_locate(archive_, member.c_str(), 0) >= 0;
}

absl::StatusOr<std::string> ZipArchive::Read(const std::string& member, uint64_t max_bytes) const {
  const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> file(zip_fopen(archive_, member.c_str(), 0),
                                                               zip_fclose);
  if (file == nullptr) {
    const bool missing = zip_error_code_zip(zip_get_error(archive_)) == ZIP_ER_NOENT;
    return MemberError(missing ? absl::StatusCode::kNotFound : absl::StatusCode::kInvalidArgument, path_,
                       member, zip_strerror(archive_));
  }
  std::vector<char> chunk(1 << 20);
  std::string bytes;
  for (;;) {
    const zip_int64_t n = zip_fread(file.get(), chunk.data(), chunk.size());
    if (n < 0) {
      return MemberError(absl::StatusCode::kInvalidArgument, path_, member, zip_file_strerror(file.get()));
    }
    if (n == 0) return bytes;
    if (bytes.size() + n > max_bytes) {
      return MemberError(absl::StatusCode::kResourceExhausted, path_, member,
                         absl::StrFormat("unpacks to more than %d bytes", max_bytes));
    }
    bytes.append(chunk.data(), n);
  }
}

}  // namespace manyform
