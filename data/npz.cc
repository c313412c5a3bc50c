#include "data/npz.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "data/npy.h"
#include "data/zip_directory.h"
#include "libdeflate.h"

namespace manyform {
namespace {

constexpr absl::string_view kSuffix = ".npy";
constexpr uint32_t kAlignment = 64;
constexpr int kDeflateLevel = 6;
// What incompressible data can grow by: five bytes in some ten thousand.
constexpr uint64_t kDeflateMargin = 1 << 22;
// Inflated to find a compressed member's header, which is shorter for any array NumPy can have.
constexpr uint64_t kHeaderProbe = 4096;

std::string Where(const std::string& path, const std::string& member) {
  return absl::StrCat(path, ": array \"", member, "\"");
}

libdeflate_result Inflate(std::span<const uint8_t> packed, std::span<uint8_t> out, size_t* written) {
  libdeflate_decompressor* inflater = libdeflate_alloc_decompressor();
  const auto free_inflater = absl::MakeCleanup([inflater] { libdeflate_free_decompressor(inflater); });
  return libdeflate_deflate_decompress(inflater, packed.data(), packed.size(), out.data(), out.size(),
                                       written);
}

absl::StatusOr<std::vector<uint8_t>> InflateMember(std::span<const uint8_t> packed, const ZipMember& zip,
                                                   const std::string& where) {
  // The directory's size was bounded by what `packed` can hold.
  std::vector<uint8_t> bytes(zip.size);
  size_t written = 0;
  if (Inflate(packed, bytes, &written) != LIBDEFLATE_SUCCESS || written != zip.size) {
    return absl::DataLossError(absl::StrCat(where, ": cannot be inflated to ", zip.size, " bytes"));
  }
  if (libdeflate_crc32(0, bytes.data(), bytes.size()) != zip.crc) {
    return absl::DataLossError(absl::StrCat(where, ": checksum differs"));
  }
  return bytes;
}

absl::Status CheckSize(const NpyHeader& header, uint64_t size, const std::string& where) {
  if (header.header_size + header.data_size == size) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(where, ": ", size, " bytes; ", header.header_size, " + ",
                                          header.data_size, " expected from its header"));
}

// The header of a compressed member without inflating all of it. libdeflate stops where the output ends, and
// what it has written by then is right up to the last match; Read looks at the header again.
absl::StatusOr<NpyHeader> ProbeHeader(std::span<const uint8_t> packed, const ZipMember& zip,
                                      const std::string& where) {
  if (zip.size > kHeaderProbe) {
    std::vector<uint8_t> start(kHeaderProbe);
    size_t written = 0;
    if (Inflate(packed, start, &written) == LIBDEFLATE_INSUFFICIENT_SPACE) {
      absl::StatusOr<NpyHeader> header = ParseNpyHeader(start, where);
      if (header.ok() && CheckSize(*header, zip.size, where).ok()) return header;
    }
  }
  MF_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes, InflateMember(packed, zip, where));
  return ParseNpyHeader(bytes, where);
}

int64_t ElementAlignment(const Array& array) {
  return array.dtype == DType::kUnicode ? 4 : std::max<int64_t>(1, array.item_size);
}

}  // namespace

struct NpzReader::Entry {
  ZipMember zip;
};

absl::Status NpzReader::Index() {
  MF_ASSIGN_OR_RETURN(std::vector<ZipMember> zips, ReadZipDirectory(bytes_, path_));
  absl::flat_hash_set<std::string> names;
  for (ZipMember& zip : zips) {
    absl::string_view name = zip.name;
    if (!absl::ConsumeSuffix(&name, kSuffix)) {
      return absl::DataLossError(absl::StrCat(path_, ": member \"", zip.name, "\" is no .npy array"));
    }
    const std::string where = Where(path_, std::string(name));
    if (!names.emplace(name).second) return absl::DataLossError(absl::StrCat(where, ": twice in the file"));
    NpzMember member;
    member.name = std::string(name);
    member.compressed = zip.method == kZipDeflated;
    const std::span<const uint8_t> packed = bytes_.subspan(zip.data_offset, zip.packed_size);
    absl::StatusOr<NpyHeader> header =
        member.compressed ? ProbeHeader(packed, zip, where) : ParseNpyHeader(packed, where);
    MF_RETURN_IF_ERROR(header.status());
    MF_RETURN_IF_ERROR(CheckSize(*header, zip.size, where));
    if (!member.compressed) member.offset = zip.data_offset + header->header_size;
    member.dtype = header->dtype;
    member.item_size = header->item_size;
    member.shape = std::move(header->shape);
    member.fortran_order = header->fortran_order;
    members_.push_back(std::move(member));
    entries_.push_back(std::make_shared<const Entry>(Entry{std::move(zip)}));
  }
  return absl::OkStatus();
}

absl::StatusOr<NpzReader> NpzReader::Open(const std::string& path) {
  MF_ASSIGN_OR_RETURN(std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  return FromFile(path, std::move(file));
}

absl::StatusOr<NpzReader> NpzReader::FromFile(const std::string& path,
                                              std::shared_ptr<const MappedFile> file) {
  NpzReader reader;
  reader.path_ = path;
  reader.bytes_ = file->bytes();
  reader.owner_ = std::move(file);
  MF_RETURN_IF_ERROR(reader.Index());
  return reader;
}

absl::StatusOr<NpzReader> NpzReader::FromBytes(std::string name, std::vector<uint8_t> bytes) {
  auto owner = std::make_shared<const std::vector<uint8_t>>(std::move(bytes));
  NpzReader reader;
  reader.path_ = std::move(name);
  reader.bytes_ = *owner;
  reader.owner_ = std::move(owner);
  MF_RETURN_IF_ERROR(reader.Index());
  return reader;
}

bool NpzReader::Has(std::string_view name) const {
  return std::any_of(members_.begin(), members_.end(), [&](const NpzMember& m) { return m.name == name; });
}

absl::StatusOr<Array> NpzReader::Read(std::string_view name, bool verify) const {
  const auto found = std::find_if(members_.begin(), members_.end(),
                                  [&](const NpzMember& member) { return member.name == name; });
  const std::string where = Where(path_, std::string(name));
  if (found == members_.end()) return absl::NotFoundError(absl::StrCat(where, " is not in the file"));
  const NpzMember& member = *found;
  const Entry& entry = *entries_[found - members_.begin()];
  Array array{member.dtype, member.item_size, member.shape, member.fortran_order, nullptr, owner_};
  const std::span<const uint8_t> packed = bytes_.subspan(entry.zip.data_offset, entry.zip.packed_size);
  if (!member.compressed) {
    if (verify && libdeflate_crc32(0, packed.data(), packed.size()) != entry.zip.crc) {
      return absl::DataLossError(absl::StrCat(where, ": checksum differs"));
    }
    array.data = bytes_.data() + member.offset;
    if (reinterpret_cast<uintptr_t>(array.data) % ElementAlignment(array) == 0) return array;
    auto copy =
        std::make_shared<const std::vector<uint8_t>>(array.data, array.data + array.size() * array.item_size);
    array.data = copy->data();
    array.owner = std::move(copy);
    return array;
  }
  MF_ASSIGN_OR_RETURN(std::vector<uint8_t> bytes, InflateMember(packed, entry.zip, where));
  MF_ASSIGN_OR_RETURN(const NpyHeader header, ParseNpyHeader(bytes, where));
  if (header.dtype != member.dtype || header.item_size != member.item_size || header.shape != member.shape ||
      header.fortran_order != member.fortran_order) {
    return absl::DataLossError(absl::StrCat(where, ": header differs from what was probed"));
  }
  // Headers are a multiple of 16 since NumPy 1.0, of 64 since 1.14; others would leave elements unaligned.
  if (header.header_size % 16 != 0) bytes.erase(bytes.begin(), bytes.begin() + header.header_size);
  const uint64_t skip = header.header_size % 16 != 0 ? 0 : header.header_size;
  auto owner = std::make_shared<const std::vector<uint8_t>>(std::move(bytes));
  array.data = owner->data() + skip;
  array.owner = std::move(owner);
  return array;
}

absl::StatusOr<uint64_t> StoredNpzSize(std::span<const NamedArray> arrays) {
  uint64_t size = 0, name_sizes = 0;
  absl::flat_hash_set<std::string> names;
  for (const auto& [name, array] : arrays) {
    if (name.empty() || name.size() > 0xff00 || !names.insert(name).second) {
      return absl::InvalidArgumentError(absl::StrCat("array name \"", name, "\" is empty, long or repeated"));
    }
    const uint64_t name_size = name.size() + kSuffix.size();
    size += ZipHeaderSize(size, name_size, kAlignment) + EncodeNpyHeader(array).size();
    size += static_cast<uint64_t>(array.size() * array.item_size);
    name_sizes += name_size;
  }
  size += ZipDirectorySize(arrays.size(), name_sizes);
  if (size > std::numeric_limits<uint32_t>::max() - kDeflateMargin || arrays.size() > 0xfffe) {
    return absl::InvalidArgumentError(
        absl::StrCat("an .npz of ", arrays.size(), " arrays and ", size, " bytes is too large for zip"));
  }
  return size;
}

absl::StatusOr<std::string> EncodeNpz(std::span<const NamedArray> arrays, const NpzOptions& options) {
  MF_ASSIGN_OR_RETURN(const uint64_t stored_size, StoredNpzSize(arrays));
  libdeflate_compressor* deflater = options.compress ? libdeflate_alloc_compressor(kDeflateLevel) : nullptr;
  const auto free_deflater = absl::MakeCleanup([deflater] {
    if (deflater != nullptr) libdeflate_free_compressor(deflater);
  });
  std::string out;
  out.reserve(options.compress ? stored_size / 2 : stored_size);
  std::vector<ZipMember> members;
  for (const auto& [name, array] : arrays) {
    const std::string header = EncodeNpyHeader(array);
    const uint64_t data_size = static_cast<uint64_t>(array.size() * array.item_size);
    ZipMember member{.name = absl::StrCat(name, kSuffix)};
    member.size = header.size() + data_size;
    member.crc = libdeflate_crc32(0, header.data(), header.size());
    if (data_size > 0) member.crc = libdeflate_crc32(member.crc, array.data, data_size);
    const absl::string_view data(reinterpret_cast<const char*>(array.data), data_size);
    if (options.compress) {
      const std::string whole = absl::StrCat(header, data);
      std::string packed(libdeflate_deflate_compress_bound(deflater, whole.size()), '\0');
      packed.resize(
          libdeflate_deflate_compress(deflater, whole.data(), whole.size(), packed.data(), packed.size()));
      member.method = kZipDeflated;
      member.packed_size = packed.size();
      AppendZipHeader(&member, 1, &out);
      out.append(packed);
    } else {
      member.packed_size = member.size;
      AppendZipHeader(&member, kAlignment, &out);
      out.append(header).append(data.data(), data.size());
    }
    members.push_back(std::move(member));
  }
  AppendZipDirectory(members, &out);
  return out;
}

absl::Status WriteNpz(const std::string& path, std::span<const NamedArray> arrays,
                      const NpzOptions& options) {
  absl::StatusOr<std::string> bytes = EncodeNpz(arrays, options);
  if (!bytes.ok()) {
    return absl::Status(bytes.status().code(), absl::StrCat(path, ": ", bytes.status().message()));
  }
  return WriteFileAtomically(path, *bytes);
}

}  // namespace manyform
