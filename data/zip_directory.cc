#include "data/zip_directory.h"

#include <algorithm>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/string_views.h"

namespace manyform {
namespace {

constexpr uint32_t kLocalSignature = 0x04034b50, kCentralSignature = 0x02014b50, kEndSignature = 0x06054b50;
constexpr uint32_t kEnd64Signature = 0x06064b50, kLocator64Signature = 0x07064b50;
constexpr uint64_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22, kEnd64Size = 56, kLocator64Size = 20;
constexpr uint16_t kEncryptedFlag = 1, kUtf8Flag = 1 << 11;
constexpr uint16_t kZip64Extra = 1;
// Android's zipalign: an extra field that only takes room.
constexpr uint16_t kAlignmentExtra = 0xd935;
constexpr uint64_t kAlignmentExtraSize = 6;
constexpr uint16_t kDate19800101 = 1 << 5 | 1;
// A deflate block can repeat 258 bytes for 2 bits.
constexpr uint64_t kMaxRatio = 1032;

// Little-endian fields of a byte range; out of range reads as an error that sticks.
class Fields {
 public:
  explicit Fields(std::span<const uint8_t> bytes, uint64_t at = 0) : bytes_(bytes), at_(at) {}
  template <class T>
  T Get() {
    T value = 0;
    if (!Need(sizeof(T))) return 0;
    memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }
  uint16_t U16() { return Get<uint16_t>(); }
  uint32_t U32() { return Get<uint32_t>(); }
  uint64_t U64() { return Get<uint64_t>(); }
  void Skip(uint64_t n) {
    if (Need(n)) at_ += n;
  }
  std::span<const uint8_t> Take(uint64_t n) {
    if (!Need(n)) return {};
    at_ += n;
    return bytes_.subspan(at_ - n, n);
  }
  bool ok() const { return ok_; }
  uint64_t at() const { return at_; }
  uint64_t left() const { return ok_ ? bytes_.size() - at_ : 0; }

 private:
  bool Need(uint64_t n) {
    ok_ = ok_ && at_ <= bytes_.size() && n <= bytes_.size() - at_;
    return ok_;
  }
  std::span<const uint8_t> bytes_;
  uint64_t at_;
  bool ok_ = true;
};

struct End {
  uint64_t members = 0, size = 0, offset = 0;
};

absl::Status Damaged(absl::string_view path, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(path, ": ", what));
}

// The end record is the last one that a comment (at most 65535 bytes) can follow.
absl::StatusOr<End> FindEnd(std::span<const uint8_t> file, absl::string_view path) {
  if (file.size() < kEndSize) return Damaged(path, "not a zip file, or truncated");
  const uint64_t last = file.size() - kEndSize;
  const uint64_t first = last - std::min<uint64_t>(last, 0xffff);
  for (uint64_t at = last + 1; at-- > first;) {
    Fields fields(file, at);
    if (fields.U32() != kEndSignature) continue;
    const uint16_t disk = fields.U16(), directory_disk = fields.U16();
    fields.Skip(2);
    End end{fields.U16(), fields.U32(), fields.U32()};
    if (fields.U16() != fields.left()) continue;
    if (disk != 0 || directory_disk != 0) return Damaged(path, "a zip of several volumes");
    if (end.members != 0xffff && end.size != 0xffffffff && end.offset != 0xffffffff) return end;
    if (at < kLocator64Size) return Damaged(path, "zip64 end record missing");
    Fields locator(file, at - kLocator64Size);
    if (locator.U32() != kLocator64Signature) return end;
    locator.Skip(4);
    Fields end64(file, locator.U64());
    if (end64.U32() != kEnd64Signature) return Damaged(path, "zip64 end record missing");
    end64.Skip(kEnd64Size - 4 - 24);
    end.members = end64.U64();
    end.size = end64.U64();
    end.offset = end64.U64();
    if (!end64.ok()) return Damaged(path, "zip64 end record truncated");
    return end;
  }
  return Damaged(path, "not a zip file, or truncated");
}

// Sizes and offset that did not fit 32 bits are in the zip64 field, those only, in this order.
bool ReadZip64Extra(std::span<const uint8_t> extra, ZipMember* member) {
  const bool wanted =
      member->size == 0xffffffff || member->packed_size == 0xffffffff || member->header_offset == 0xffffffff;
  if (!wanted) return true;
  Fields fields(extra);
  while (fields.left() >= 4) {
    const uint16_t id = fields.U16();
    const uint16_t size = fields.U16();
    if (id != kZip64Extra) {
      fields.Skip(size);
      continue;
    }
    Fields values(fields.Take(size));
    if (member->size == 0xffffffff) member->size = values.U64();
    if (member->packed_size == 0xffffffff) member->packed_size = values.U64();
    if (member->header_offset == 0xffffffff) member->header_offset = values.U64();
    return fields.ok() && values.ok();
  }
  return false;
}

// The local header repeats the name; its extra field may be another than the directory's.
absl::Status LocateData(std::span<const uint8_t> file, absl::string_view path, ZipMember* member) {
  const auto damaged = [&](absl::string_view what) {
    return Damaged(path, absl::StrCat("member \"", member->name, "\": ", what));
  };
  Fields local(file, member->header_offset);
  if (local.U32() != kLocalSignature) return damaged("no local header where the directory says");
  local.Skip(22);
  const uint16_t name_size = local.U16();
  const uint16_t extra_size = local.U16();
  const std::span<const uint8_t> name = local.Take(name_size);
  local.Skip(extra_size);
  if (!local.ok()) return damaged("local header truncated");
  if (!std::equal(name.begin(), name.end(), member->name.begin(), member->name.end(),
                  [](uint8_t a, char b) { return a == static_cast<uint8_t>(b); })) {
    return damaged("local header has another name");
  }
  member->data_offset = local.at();
  if (member->packed_size > local.left()) return damaged("truncated");
  return absl::OkStatus();
}

absl::StatusOr<ZipMember> ReadMember(std::span<const uint8_t> file, absl::string_view path,
                                     Fields* directory) {
  if (directory->U32() != kCentralSignature) return Damaged(path, "zip directory truncated or malformed");
  ZipMember member;
  directory->Skip(4);
  const uint16_t flags = directory->U16();
  member.method = directory->U16();
  directory->Skip(4);
  member.crc = directory->U32();
  member.packed_size = directory->U32();
  member.size = directory->U32();
  const uint16_t name_size = directory->U16();
  const uint16_t extra_size = directory->U16();
  const uint16_t comment_size = directory->U16();
  directory->Skip(8);
  member.header_offset = directory->U32();
  const std::span<const uint8_t> name = directory->Take(name_size);
  const std::span<const uint8_t> extra = directory->Take(extra_size);
  directory->Skip(comment_size);
  if (!directory->ok()) return Damaged(path, "zip directory truncated or malformed");
  member.name.assign(name.begin(), name.end());

  const auto damaged = [&](absl::string_view what) {
    return Damaged(path, absl::StrCat("member \"", member.name, "\": ", what));
  };
  if (!ReadZip64Extra(extra, &member)) return damaged("zip64 sizes missing");
  if ((flags & kEncryptedFlag) != 0) return damaged("encrypted");
  if (member.method != kZipStored && member.method != kZipDeflated) {
    return damaged(absl::StrCat("packed by method ", member.method, "; stored or deflated expected"));
  }
  MF_RETURN_IF_ERROR(LocateData(file, path, &member));
  if (member.method == kZipStored && member.size != member.packed_size) return damaged("sizes contradict");
  if (member.size / kMaxRatio > member.packed_size) return damaged("larger than deflate can pack");
  return member;
}

void Put16(uint16_t v, std::string* out) { out->append(reinterpret_cast<const char*>(&v), sizeof(v)); }
void Put32(uint32_t v, std::string* out) { out->append(reinterpret_cast<const char*>(&v), sizeof(v)); }

// What local header and directory say alike, up to the length of the name.
void PutCommon(const ZipMember& member, std::string* out) {
  const bool ascii = std::all_of(member.name.begin(), member.name.end(), [](char c) { return c >= 0; });
  Put16(20, out);  // needs version 2.0
  Put16(ascii ? 0 : kUtf8Flag, out);
  Put16(member.method, out);
  Put16(0, out);
  Put16(kDate19800101, out);
  Put32(member.crc, out);
  Put32(static_cast<uint32_t>(member.packed_size), out);
  Put32(static_cast<uint32_t>(member.size), out);
  Put16(static_cast<uint16_t>(member.name.size()), out);
}

}  // namespace

absl::StatusOr<std::vector<ZipMember>> ReadZipDirectory(std::span<const uint8_t> file,
                                                        std::string_view std_path) {
  const absl::string_view path = ToAbsl(std_path);
  MF_ASSIGN_OR_RETURN(const End end, FindEnd(file, path));
  if (end.offset > file.size() || end.size > file.size() - end.offset) {
    return Damaged(path, "zip directory truncated");
  }
  if (end.members > end.size / kCentralSize) return Damaged(path, "zip directory smaller than its members");
  std::vector<ZipMember> members;
  members.reserve(end.members);
  Fields directory(file.subspan(end.offset, end.size));
  for (uint64_t i = 0; i < end.members; ++i) {
    MF_ASSIGN_OR_RETURN(ZipMember member, ReadMember(file, path, &directory));
    members.push_back(std::move(member));
  }
  return members;
}

uint64_t ZipHeaderSize(uint64_t at, uint64_t name_size, uint32_t alignment) {
  const uint64_t bare = kLocalSize + name_size;
  uint64_t extra = (alignment - (at + bare) % alignment) % alignment;
  while (extra != 0 && extra < kAlignmentExtraSize) extra += alignment;
  return bare + extra;
}

uint64_t ZipDirectorySize(uint64_t members, uint64_t name_sizes) {
  return members * kCentralSize + name_sizes + kEndSize;
}

void AppendZipHeader(ZipMember* member, uint32_t alignment, std::string* out) {
  member->header_offset = out->size();
  const uint64_t extra =
      ZipHeaderSize(out->size(), member->name.size(), alignment) - kLocalSize - member->name.size();
  Put32(kLocalSignature, out);
  PutCommon(*member, out);
  Put16(static_cast<uint16_t>(extra), out);
  out->append(member->name);
  if (extra != 0) {
    Put16(kAlignmentExtra, out);
    Put16(static_cast<uint16_t>(extra - 4), out);
    Put16(static_cast<uint16_t>(alignment), out);
    out->append(extra - kAlignmentExtraSize, '\0');
  }
  member->data_offset = out->size();
}

void AppendZipDirectory(std::span<const ZipMember> members, std::string* out) {
  constexpr uint16_t kUnix = 3 << 8;
  constexpr uint32_t kRegularFile0644 = 0100644u << 16;
  const uint64_t start = out->size();
  for (const ZipMember& member : members) {
    Put32(kCentralSignature, out);
    Put16(kUnix | 20, out);
    PutCommon(member, out);
    Put16(0, out);  // extra, comment, disk, internal attributes
    Put16(0, out);
    Put16(0, out);
    Put16(0, out);
    Put32(kRegularFile0644, out);
    Put32(static_cast<uint32_t>(member.header_offset), out);
    out->append(member.name);
  }
  const uint64_t size = out->size() - start;
  Put32(kEndSignature, out);
  Put16(0, out);  // disks
  Put16(0, out);
  Put16(static_cast<uint16_t>(members.size()), out);
  Put16(static_cast<uint16_t>(members.size()), out);
  Put32(static_cast<uint32_t>(size), out);
  Put32(static_cast<uint32_t>(start), out);
  Put16(0, out);  // comment
}

}  // namespace manyform
