#include "data/manifest.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "data/npy.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

namespace manyform {
namespace {

constexpr int kVersion = 2, kVersionWithoutChecksum = 1;
// Of a fixed64 with a tag of one byte.
constexpr size_t kChecksumBytes = 9;
constexpr absl::string_view kShapeSuffix = ".npz";

template <class Entry>
auto SortKey(const Entry& e) {
  return std::tie(e.split(), e.class_name(), e.id());
}

std::string DeterministicBytes(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

// Sorted shapes; each layout once, numbered by first use.
void Canonicalize(CacheManifest* manifest) {
  auto* shapes = manifest->mutable_shapes();
  std::sort(shapes->pointer_begin(), shapes->pointer_end(),
            [](const ShapeEntry* a, const ShapeEntry* b) { return SortKey(*a) < SortKey(*b); });
  auto* failed = manifest->mutable_failed();
  std::sort(failed->pointer_begin(), failed->pointer_end(), [](const FailedShape* a, const FailedShape* b) {
    return std::tuple(SortKey(*a), a->source()) < std::tuple(SortKey(*b), b->source());
  });
  std::vector<ArrayLayout> layouts(std::make_move_iterator(manifest->mutable_layouts()->begin()),
                                   std::make_move_iterator(manifest->mutable_layouts()->end()));
  manifest->clear_layouts();
  std::vector<int> renumbered(layouts.size(), -1);
  absl::flat_hash_map<std::string, int> known;
  for (ShapeEntry& shape : *shapes) {
    int& number = renumbered[shape.layout()];
    if (number < 0) {
      const auto [it, added] =
          known.try_emplace(DeterministicBytes(layouts[shape.layout()]), manifest->layouts_size());
      number = it->second;
      if (added) *manifest->add_layouts() = std::move(layouts[shape.layout()]);
    }
    shape.set_layout(number);
  }
}

// Split, class and id become parts of a path: they must each be one name.
bool IsName(absl::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == absl::string_view::npos &&
         name.find('\0') == absl::string_view::npos;
}

// The end of the last stored array; an error says what is wrong with the layout.
absl::StatusOr<uint64_t> LayoutEnd(const ArrayLayout& layout) {
  uint64_t end = 0;
  absl::flat_hash_set<absl::string_view> names;
  for (const ArrayEntry& array : layout.arrays()) {
    const std::string where = absl::StrCat("array \"", array.name(), "\"");
    if (array.name().empty() || !names.insert(array.name()).second) {
      return absl::DataLossError(absl::StrCat(where, " is repeated or has no name"));
    }
    MF_ASSIGN_OR_RETURN(const ElementType type, ParseDescr(array.dtype(), where));
    const std::optional<uint64_t> bytes =
        ArrayBytes(type.item_size, {array.shape().data(), static_cast<size_t>(array.shape_size())});
    if (!bytes) return absl::DataLossError(absl::StrCat(where, " has an impossible shape"));
    if (array.compressed()) continue;
    if (array.offset() > std::numeric_limits<uint64_t>::max() - *bytes) {
      return absl::DataLossError(absl::StrCat(where, " has an impossible offset"));
    }
    end = std::max(end, array.offset() + *bytes);
  }
  return end;
}

absl::Status Validate(const CacheManifest& manifest) {
  if (manifest.version() != kVersion && manifest.version() != kVersionWithoutChecksum) {
    return absl::DataLossError(absl::StrCat("version ", manifest.version(), "; ", kVersion, " expected"));
  }
  std::vector<uint64_t> ends;
  for (const ArrayLayout& layout : manifest.layouts()) {
    MF_ASSIGN_OR_RETURN(const uint64_t end, LayoutEnd(layout));
    ends.push_back(end);
  }
  for (int i = 0; i < manifest.shapes_size(); ++i) {
    const ShapeEntry& shape = manifest.shapes(i);
    const auto wrong = [&](absl::string_view what) {
      return absl::DataLossError(absl::StrCat("shape ", i, " (", shape.split(), "/", shape.class_name(), "/",
                                              shape.id(), ") ", what));
    };
    if (!IsName(shape.split()) || !IsName(shape.class_name()) || !IsName(shape.id())) {
      return wrong("has a name that is no file name");
    }
    if (i > 0 && SortKey(manifest.shapes(i - 1)) >= SortKey(shape))
      return wrong("is repeated or not in order");
    if (shape.layout() < 0 || shape.layout() >= manifest.layouts_size()) return wrong("has no layout");
    if (ends[shape.layout()] > shape.file_size()) return wrong("has arrays beyond the end of its file");
  }
  return absl::OkStatus();
}

// The checksum's own bytes, as the manifest ends.
std::string ChecksumField(std::span<const uint8_t> before) {
  CacheManifest last;
  last.set_checksum(Xxh3(before));
  return last.SerializeAsString();
}

absl::Status CheckChecksum(const CacheManifest& manifest, std::span<const uint8_t> bytes) {
  if (manifest.version() == kVersionWithoutChecksum && !manifest.has_checksum()) return absl::OkStatus();
  const size_t before = bytes.size() - std::min(bytes.size(), kChecksumBytes);
  const std::string expected = ChecksumField(bytes.first(before));
  if (std::equal(bytes.begin() + before, bytes.end(), expected.begin(), expected.end(),
                 [](uint8_t a, char b) { return a == static_cast<uint8_t>(b); })) {
    return absl::OkStatus();
  }
  return absl::DataLossError(
      "its checksum differs: the manifest was damaged; //data:migrate what=manifest makes it anew");
}

}  // namespace

absl::StatusOr<CacheManifest> ReadManifest(const std::string& cache_root) {
  const std::string path = JoinPath(cache_root, kManifestName);
  MF_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  const std::span<const uint8_t> bytes = file->bytes();
  CacheManifest manifest;
  if (bytes.size() > std::numeric_limits<int>::max() ||
      !manifest.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError(absl::StrCat(path, ": not a cache manifest, or truncated"));
  }
  if (absl::Status status = Validate(manifest); !status.ok()) {
    return absl::DataLossError(absl::StrCat(path, ": ", status.message()));
  }
  if (absl::Status status = CheckChecksum(manifest, bytes); !status.ok()) {
    return absl::DataLossError(absl::StrCat(path, ": ", status.message()));
  }
  manifest.clear_checksum();
  return manifest;
}

absl::Status WriteManifest(const std::string& cache_root, CacheManifest manifest) {
  const std::string path = JoinPath(cache_root, kManifestName);
  for (const ShapeEntry& shape : manifest.shapes()) {
    if (shape.layout() < 0 || shape.layout() >= manifest.layouts_size()) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": shape ", ShapeKey(shape), " has no layout"));
    }
  }
  manifest.set_version(kVersion);
  manifest.clear_checksum();
  Canonicalize(&manifest);
  if (absl::Status status = Validate(manifest); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", status.message()));
  }
  std::string bytes = DeterministicBytes(manifest);
  bytes += ChecksumField({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  return WriteFileAtomically(path, bytes);
}

int LayoutTable::Number(const ArrayLayout& layout) {
  std::string bytes = DeterministicBytes(layout);
  const std::lock_guard lock(mutex_);
  const auto [number, added] = numbers_.try_emplace(std::move(bytes), layouts_.size());
  if (added) layouts_.push_back(layout);
  return number->second;
}

CacheManifest MakeManifest(std::vector<ShapeEntry> shapes, std::vector<ArrayLayout> layouts) {
  CacheManifest manifest;
  manifest.set_version(kVersion);
  manifest.mutable_shapes()->Add(std::make_move_iterator(shapes.begin()),
                                 std::make_move_iterator(shapes.end()));
  manifest.mutable_layouts()->Add(std::make_move_iterator(layouts.begin()),
                                  std::make_move_iterator(layouts.end()));
  Canonicalize(&manifest);
  return manifest;
}

void SetLayout(CacheManifest* manifest, ShapeEntry* entry, const ArrayLayout& arrays) {
  const std::string bytes = DeterministicBytes(arrays);
  for (int i = manifest->layouts_size(); i-- > 0;) {
    if (DeterministicBytes(manifest->layouts(i)) == bytes) {
      entry->set_layout(i);
      return;
    }
  }
  entry->set_layout(manifest->layouts_size());
  *manifest->add_layouts() = arrays;
}

ArrayLayout LayoutOf(const NpzReader& npz) {
  ArrayLayout layout;
  for (const NpzMember& member : npz.members()) {
    ArrayEntry* array = layout.add_arrays();
    array->set_name(member.name);
    array->set_dtype(DescrOf(member.dtype, member.item_size));
    array->mutable_shape()->Add(member.shape.begin(), member.shape.end());
    if (member.compressed) {
      array->set_compressed(true);
    } else {
      array->set_offset(member.offset);
    }
    if (member.fortran_order) array->set_fortran_order(true);
  }
  return layout;
}

absl::Status VerifyShapeFile(const std::string& path, const ShapeEntry& entry) {
  MF_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  if (file->bytes().size() != entry.file_size()) {
    return absl::DataLossError(absl::StrCat(path, ": ", file->bytes().size(), " bytes; ", entry.file_size(),
                                            " expected by the manifest"));
  }
  if (entry.has_checksum() && Xxh3(file->bytes()) != entry.checksum()) {
    return absl::DataLossError(absl::StrCat(path, ": checksum differs from the manifest's"));
  }
  return absl::OkStatus();
}

std::string SplitFingerprint(const CacheManifest& manifest, std::string_view split) {
  std::string content;
  for (const ShapeEntry& shape : manifest.shapes()) {
    if (shape.split() != split) continue;
    // Names cannot hold a zero byte, so that the list has one reading.
    absl::StrAppend(&content, shape.class_name(), absl::string_view("\0", 1), shape.id(),
                    absl::string_view("\0", 1), shape.file_size(), absl::string_view("\0", 1),
                    shape.has_checksum() ? absl::StrCat(absl::Hex(shape.checksum(), absl::kZeroPad16)) : "",
                    "\n");
  }
  return Sha256Hex(content);
}

std::string ShapePath(std::string_view cache_root, const ShapeEntry& entry) {
  return absl::StrCat(ToAbsl(cache_root), "/", entry.split(), "/", entry.class_name(), "/", entry.id(),
                      kShapeSuffix);
}

std::string ShapeKey(const ShapeEntry& entry) { return absl::StrCat(entry.class_name(), "/", entry.id()); }

}  // namespace manyform
