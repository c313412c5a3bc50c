#include "data/npz_edit.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "data/zip_directory.h"
#include "libdeflate.h"

namespace manyform {
namespace {

constexpr uint32_t kAlignment = 64;
constexpr size_t kMaxMembers = 0xfffe, kMaxName = 0xff00;
// What the zip's own records of a member take at most, beside its name.
constexpr uint64_t kRecordMargin = 256;

// A member as the new file will hold it.
struct Packed {
  ZipMember zip;
  std::span<const uint8_t> bytes;
};

std::vector<Packed> MembersOf(std::vector<ZipMember> zips, std::span<const uint8_t> file) {
  std::vector<Packed> members;
  members.reserve(zips.size());
  for (ZipMember& zip : zips) {
    const std::span<const uint8_t> bytes = file.subspan(zip.data_offset, zip.packed_size);
    members.push_back({std::move(zip), bytes});
  }
  return members;
}

// Copying would give damaged bytes a right place in a new file.
absl::Status CheckStored(const std::string& path, const Packed& member) {
  const bool right = member.zip.method != kZipStored ||
                     libdeflate_crc32(0, member.bytes.data(), member.bytes.size()) == member.zip.crc;
  if (right) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path, ": member \"", member.zip.name, "\": checksum differs"));
}

absl::Status CheckSizes(const std::string& path, std::span<const Packed> members) {
  uint64_t size = 0;
  bool names_fit = true;
  for (const Packed& member : members) {
    size += member.bytes.size() + 2 * member.zip.name.size() + kRecordMargin;
    names_fit &= member.zip.name.size() <= kMaxName;
  }
  if (names_fit && members.size() <= kMaxMembers && size <= std::numeric_limits<uint32_t>::max()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", members.size(), " members of ", size,
                                                 " bytes are too large for a zip that is written here"));
}

}  // namespace

absl::StatusOr<std::string> EditNpz(const std::string& path, std::span<const uint8_t> file,
                                    std::span<const NamedArray> arrays) {
  MF_ASSIGN_OR_RETURN(std::vector<ZipMember> zips, ReadZipDirectory(file, path));
  const bool deflated = !zips.empty() && std::all_of(zips.begin(), zips.end(), [](const ZipMember& zip) {
    return zip.method == kZipDeflated;
  });
  std::vector<Packed> members = MembersOf(std::move(zips), file);
  MF_ASSIGN_OR_RETURN(const std::string changes, EncodeNpz(arrays, {.compress = deflated}));
  const std::span<const uint8_t> change_bytes(reinterpret_cast<const uint8_t*>(changes.data()),
                                              changes.size());
  MF_ASSIGN_OR_RETURN(std::vector<ZipMember> change_zips, ReadZipDirectory(change_bytes, path));
  const size_t kept = members.size();
  std::vector<bool> replaced(kept, false);
  for (Packed& change : MembersOf(std::move(change_zips), change_bytes)) {
    const auto old = std::find_if(members.begin(), members.begin() + static_cast<int64_t>(kept),
                                  [&](const Packed& m) { return m.zip.name == change.zip.name; });
    if (old == members.begin() + static_cast<int64_t>(kept)) {
      members.push_back(std::move(change));
    } else {
      replaced[old - members.begin()] = true;
      *old = std::move(change);
    }
  }
  for (size_t i = 0; i < kept; ++i) {
    if (!replaced[i]) MF_RETURN_IF_ERROR(CheckStored(path, members[i]));
  }
  MF_RETURN_IF_ERROR(CheckSizes(path, members));

  std::string out;
  out.reserve(file.size() + changes.size() + members.size() * kRecordMargin);
  std::vector<ZipMember> written;
  written.reserve(members.size());
  for (Packed& member : members) {
    AppendZipHeader(&member.zip, member.zip.method == kZipStored ? kAlignment : 1, &out);
    out.append(reinterpret_cast<const char*>(member.bytes.data()), member.bytes.size());
    written.push_back(std::move(member.zip));
  }
  AppendZipDirectory(written, &out);
  return out;
}

}  // namespace manyform
