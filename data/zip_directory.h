/// \file
/// What of the zip format an .npz is made of: the directory of a file's members, read with every bound
/// checked, and written reproducibly (APPNOTE.TXT 6.3, zip64 on reading).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace manyform {

inline constexpr uint16_t kZipStored = 0, kZipDeflated = 8;

struct ZipMember {
  std::string name;
  uint16_t method = kZipStored;
  uint32_t crc = 0;
  uint64_t packed_size = 0;    ///< bytes in the file
  uint64_t size = 0;           ///< bytes once inflated
  uint64_t header_offset = 0;  ///< of the local header
  uint64_t data_offset = 0;    ///< of the first packed byte
};

/// Members in the directory's order; each one's bytes lie inside `file`, and it cannot inflate to more than
/// deflate's best ratio allows. `path` is for messages.
/// \error DataLoss with path and member for what is truncated, malformed, encrypted or packed by another
/// method than deflate.
absl::StatusOr<std::vector<ZipMember>> ReadZipDirectory(std::span<const uint8_t> file, std::string_view path);

/// Appends a local header whose data, which the caller appends next, begins at a multiple of `alignment` (1:
/// wherever it falls). Sets the member's two offsets. Times are 1980-01-01, zip's zero.
/// \pre out->size(), sizes and offsets stay below 4 GiB; alignment is a power of two
void AppendZipHeader(ZipMember* member, uint32_t alignment, std::string* out);
/// How many bytes AppendZipHeader appends at offset `at`.
uint64_t ZipHeaderSize(uint64_t at, uint64_t name_size, uint32_t alignment);
/// How many bytes AppendZipDirectory appends; `name_sizes` is the sum of the names' lengths.
uint64_t ZipDirectorySize(uint64_t members, uint64_t name_sizes);
/// Appends the directory of `members` (fewer than 65536) and the end record.
void AppendZipDirectory(std::span<const ZipMember> members, std::string* out);

}  // namespace manyform
