#include "data/npz_writer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "data/npy.h"
#include "libdeflate.h"

namespace manyform {
namespace {

constexpr uint64_t kAlignment = 64;
constexpr uint32_t kLocal = 0x04034b50, kDescriptor = 0x08074b50, kCentral = 0x02014b50, kEnd64 = 0x06064b50,
                   kLocator64 = 0x07064b50, kEnd = 0x06054b50;
constexpr uint16_t kVersion = 45, kSumsFollow = 1 << 3, kUtf8 = 1 << 11, kDate19800101 = 0x21;
constexpr uint16_t kZip64 = 1, kAlignmentExtra = 0xd935;
constexpr uint64_t kLocalSize = 30, kZip64Size = 20, kAlignmentExtraSize = 6;

class Bytes {
 public:
  Bytes& U16(uint64_t v) { return Add(static_cast<uint16_t>(v)); }
  Bytes& U32(uint64_t v) { return Add(static_cast<uint32_t>(v)); }
  Bytes& U64(uint64_t v) { return Add(v); }
  Bytes& Text(const std::string& text) {
    bytes_ += text;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  template <class T>
  Bytes& Add(T v) {
    bytes_.append(reinterpret_cast<const char*>(&v), sizeof(v));
    return *this;
  }
  std::string bytes_;
};

uint16_t Flags(const ZipMember& member) {
  const bool ascii = std::all_of(member.name.begin(), member.name.end(), [](char c) { return c >= 0; });
  return kSumsFollow | (ascii ? 0 : kUtf8);
}

// Sizes are known beforehand; the sum is not, and stands in the descriptor.
std::string LocalHeader(const ZipMember& member) {
  const uint64_t bare = member.header_offset + kLocalSize + member.name.size() + kZip64Size;
  const uint64_t pad = (kAlignment - (bare + kAlignmentExtraSize) % kAlignment) % kAlignment;
  Bytes header;
  header.U32(kLocal).U16(kVersion).U16(Flags(member)).U16(kZipStored).U16(0).U16(kDate19800101);
  header.U32(0).U32(0xffffffff).U32(0xffffffff).U16(member.name.size());
  header.U16(kZip64Size + kAlignmentExtraSize + pad).Text(member.name);
  header.U16(kZip64).U16(kZip64Size - 4).U64(member.size).U64(member.packed_size);
  header.U16(kAlignmentExtra).U16(2 + pad).U16(kAlignment).Text(std::string(pad, '\0'));
  return header.bytes();
}

std::string Directory(const std::vector<ZipMember>& members, uint64_t start) {
  Bytes out;
  for (const ZipMember& member : members) {
    out.U32(kCentral).U16(3 << 8 | kVersion).U16(kVersion).U16(Flags(member)).U16(kZipStored).U16(0);
    out.U16(kDate19800101).U32(member.crc).U32(0xffffffff).U32(0xffffffff).U16(member.name.size());
    out.U16(4 + 3 * 8).U16(0).U16(0).U16(0).U32(0100644u << 16).U32(0xffffffff).Text(member.name);
    out.U16(kZip64).U16(3 * 8).U64(member.size).U64(member.packed_size).U64(member.header_offset);
  }
  const uint64_t size = out.bytes().size();
  out.U32(kEnd64).U64(44).U16(3 << 8 | kVersion).U16(kVersion).U32(0).U32(0);
  out.U64(members.size()).U64(members.size()).U64(size).U64(start);
  out.U32(kLocator64).U32(0).U64(start + size).U32(1);
  out.U32(kEnd).U16(0).U16(0).U16(0xffff).U16(0xffff).U32(0xffffffff).U32(0xffffffff).U16(0);
  return out.bytes();
}

}  // namespace

NpzWriter::NpzWriter(AtomicFileWriter file) : file_(std::move(file)) {}
NpzWriter::~NpzWriter() = default;

absl::StatusOr<NpzWriter> NpzWriter::Create(const std::string& path) {
  MF_ASSIGN_OR_RETURN(AtomicFileWriter file, AtomicFileWriter::Create(path));
  return NpzWriter(std::move(file));
}

absl::Status NpzWriter::Put(const void* data, uint64_t bytes) { return file_.Append(data, bytes); }

absl::Status NpzWriter::BeginArray(const std::string& name, const Array& array) {
  MF_RETURN_IF_ERROR(EndArray());
  ZipMember member{.name = absl::StrCat(name, ".npy")};
  const bool repeated = std::any_of(members_.begin(), members_.end(),
                                    [&](const ZipMember& m) { return m.name == member.name; });
  if (name.empty() || name.size() > 0xff00 || repeated) {
    return absl::InvalidArgumentError(absl::StrCat("array name \"", name, "\" is empty, long or repeated"));
  }
  const std::optional<uint64_t> bytes = ArrayBytes(array.item_size, array.shape);
  if (!bytes) return absl::InvalidArgumentError(absl::StrCat("array \"", name, "\" is larger than any file"));
  const std::string npy = EncodeNpyHeader(array);
  member.size = member.packed_size = npy.size() + *bytes;
  member.header_offset = file_.written();
  const std::string local = LocalHeader(member);
  member.crc = libdeflate_crc32(0, npy.data(), npy.size());
  MF_RETURN_IF_ERROR(Put(local.data(), local.size()));
  MF_RETURN_IF_ERROR(Put(npy.data(), npy.size()));
  members_.push_back(std::move(member));
  expected_ = *bytes;
  open_ = true;
  return absl::OkStatus();
}

absl::Status NpzWriter::EndArray() {
  if (!open_) return absl::OkStatus();
  const ZipMember& member = members_.back();
  if (expected_ != 0) {
    return absl::InvalidArgumentError(absl::StrCat(member.name, ": ", expected_, " bytes are missing"));
  }
  open_ = false;
  const std::string sums =
      Bytes().U32(kDescriptor).U32(member.crc).U64(member.packed_size).U64(member.size).bytes();
  return Put(sums.data(), sums.size());
}

absl::Status NpzWriter::Begin(const std::string& name, DType dtype, std::vector<int64_t> shape) {
  if (dtype == DType::kUnicode) return absl::InvalidArgumentError("text is written whole");
  return BeginArray(name, Array{.dtype = dtype, .item_size = ItemSize(dtype), .shape = std::move(shape)});
}

absl::Status NpzWriter::Append(const void* elements, uint64_t bytes) {
  if (!open_ || bytes > expected_) {
    return absl::InvalidArgumentError(absl::StrCat(bytes, " bytes are more than the ", open_ ? expected_ : 0,
                                                   " that the array still has room for"));
  }
  if (bytes == 0) return absl::OkStatus();
  members_.back().crc = libdeflate_crc32(members_.back().crc, elements, bytes);
  expected_ -= bytes;
  return Put(elements, bytes);
}

absl::Status NpzWriter::Write(const NamedArray& named) {
  MF_RETURN_IF_ERROR(BeginArray(named.name, named.array));
  return Append(named.array.data, expected_);
}

absl::Status NpzWriter::Finish() {
  MF_RETURN_IF_ERROR(EndArray());
  const std::string directory = Directory(members_, file_.written());
  MF_RETURN_IF_ERROR(Put(directory.data(), directory.size()));
  return file_.Commit();
}

}  // namespace manyform
