#include <sys/stat.h>

#include <array>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "data/manifest.h"
#include "data/npy.h"

namespace manyform {
namespace {

constexpr absl::string_view kHowToRenew =
    "; if the file was changed on purpose, //data:migrate what=manifest renews the manifest";

absl::Status NoArray(const std::string& path, std::string_view name) {
  return absl::NotFoundError(absl::StrCat(path, ": array \"", ToAbsl(name), "\" is not in the file"));
}

// The zip, with what had to be inflated or copied kept.
class KeptNpz {
 public:
  explicit KeptNpz(NpzReader npz) : npz_(std::move(npz)) {}
  const NpzReader& npz() const { return npz_; }
  absl::StatusOr<Array> Get(std::string_view name) {
    const std::lock_guard lock(mutex_);
    const auto kept = kept_.find(ToAbsl(name));
    if (kept != kept_.end()) return kept->second;
    MF_ASSIGN_OR_RETURN(Array array, npz_.Read(name, /*verify=*/true));
    return kept_.emplace(name, std::move(array)).first->second;
  }

 private:
  const NpzReader npz_;
  std::mutex mutex_;
  absl::flat_hash_map<std::string, Array> kept_;
};

class IndexedShape : public ShapeFile {
 public:
  IndexedShape(std::string path, std::shared_ptr<const MappedFile> file, const ArrayLayout& layout)
      : path_(std::move(path)), file_(std::move(file)), layout_(layout) {}

  bool Has(std::string_view name) const override { return Find(name) != nullptr; }
  const std::string& path() const override { return path_; }

  absl::StatusOr<Array> Get(std::string_view name) const override {
    const ArrayEntry* entry = Find(name);
    if (entry == nullptr) return NoArray(path_, name);
    const std::string where = absl::StrCat(path_, ": array \"", entry->name(), "\"");
    MF_ASSIGN_OR_RETURN(const ElementType type, ParseDescr(entry->dtype(), where));
    Array array{type.dtype, type.item_size, {entry->shape().begin(), entry->shape().end()}};
    array.fortran_order = entry->fortran_order();
    const std::optional<uint64_t> bytes = ArrayBytes(type.item_size, array.shape);
    const uint64_t file_size = file_->bytes().size();
    if (!bytes ||
        (!entry->compressed() && (entry->offset() > file_size || *bytes > file_size - entry->offset()))) {
      return absl::DataLossError(absl::StrCat(where, " leaves the file"));
    }
    const int64_t alignment = type.dtype == DType::kUnicode ? 4 : type.item_size;
    if (entry->compressed() || entry->offset() % alignment != 0) return GetFromZip(name, array);
    array.data = file_->bytes().data() + entry->offset();
    array.owner = file_;
    return array;
  }

 private:
  const ArrayEntry* Find(std::string_view name) const {
    for (const ArrayEntry& entry : layout_.arrays()) {
      if (entry.name() == ToAbsl(name)) return &entry;
    }
    return nullptr;
  }

  absl::StatusOr<Array> GetFromZip(std::string_view name, const Array& expected) const {
    {
      const std::lock_guard lock(mutex_);
      if (zip_ == nullptr) {
        MF_ASSIGN_OR_RETURN(NpzReader npz, NpzReader::Open(path_));
        zip_ = std::make_unique<KeptNpz>(std::move(npz));
      }
    }
    MF_ASSIGN_OR_RETURN(Array array, zip_->Get(name));
    if (array.dtype != expected.dtype || array.item_size != expected.item_size ||
        array.shape != expected.shape || array.fortran_order != expected.fortran_order) {
      return absl::DataLossError(
          absl::StrCat(path_, ": array \"", ToAbsl(name), "\" is not what the manifest says"));
    }
    return array;
  }

  const std::string path_;
  const std::shared_ptr<const MappedFile> file_;
  const ArrayLayout layout_;
  mutable std::mutex mutex_;
  mutable std::unique_ptr<KeptNpz> zip_;
};

class UnindexedShape : public ShapeFile {
 public:
  UnindexedShape(std::string path, NpzReader npz) : path_(std::move(path)), zip_(std::move(npz)) {}
  bool Has(std::string_view name) const override { return zip_.npz().Has(name); }
  const std::string& path() const override { return path_; }
  absl::StatusOr<Array> Get(std::string_view name) const override { return zip_.Get(name); }

 private:
  const std::string path_;
  mutable KeptNpz zip_;
};

// Files whose every byte this process has seen to be right, by what stat says of them: 8 bytes a file.
class VerifiedFiles {
 public:
  bool Contains(uint64_t key) {
    Shard& shard = shards_[key % shards_.size()];
    const std::lock_guard lock(shard.mutex);
    return shard.keys.contains(key);
  }
  void Insert(uint64_t key) {
    Shard& shard = shards_[key % shards_.size()];
    const std::lock_guard lock(shard.mutex);
    shard.keys.insert(key);
  }
  static VerifiedFiles& OfProcess() {
    static VerifiedFiles* const files = new VerifiedFiles;
    return *files;
  }

 private:
  struct Shard {
    std::mutex mutex;
    absl::flat_hash_set<uint64_t> keys;
  };
  std::array<Shard, 16> shards_;
};

std::span<const uint8_t> Bytes(const void* data, size_t size) {
  return {static_cast<const uint8_t*>(data), size};
}

// The file as it is now, and what is expected of it.
uint64_t VerificationKey(const struct stat& info, const ShapeEntry& entry, const ArrayLayout& layout) {
  const std::string expected = entry.has_checksum() ? std::string() : layout.SerializeAsString();
  const std::array<uint64_t, 7> parts = {info.st_dev,
                                         info.st_ino,
                                         static_cast<uint64_t>(info.st_size),
                                         static_cast<uint64_t>(info.st_mtim.tv_sec),
                                         static_cast<uint64_t>(info.st_mtim.tv_nsec),
                                         entry.checksum(),
                                         Xxh3(Bytes(expected.data(), expected.size()))};
  return Xxh3(Bytes(parts.data(), sizeof(parts)));
}

absl::Status Verify(const std::string& path, const MappedFile& file, const ShapeEntry& entry,
                    const ArrayLayout& layout) {
  if (entry.has_checksum()) {
    if (Xxh3(file.bytes()) == entry.checksum()) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat(path, ": checksum differs from the manifest's", kHowToRenew));
  }
  // Deflated members are checked when they are inflated.
  MF_ASSIGN_OR_RETURN(const NpzReader npz, NpzReader::Open(path));
  if (LayoutOf(npz).SerializeAsString() != layout.SerializeAsString()) {
    return absl::DataLossError(
        absl::StrCat(path, ": its arrays or their places are not the manifest's", kHowToRenew));
  }
  for (const NpzMember& member : npz.members()) {
    if (!member.compressed) MF_RETURN_IF_ERROR(npz.Read(member.name, /*verify=*/true).status());
  }
  return absl::OkStatus();
}

absl::Status VerifyOnce(const std::string& path, const MappedFile& file, const ShapeEntry& entry,
                        const ArrayLayout& layout) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return Verify(path, file, entry, layout);
  const uint64_t key = VerificationKey(info, entry, layout);
  if (VerifiedFiles::OfProcess().Contains(key)) return absl::OkStatus();
  MF_RETURN_IF_ERROR(Verify(path, file, entry, layout));
  VerifiedFiles::OfProcess().Insert(key);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const ShapeFile>> ShapeFile::Open(const std::string& path,
                                                                 const ShapeEntry& entry,
                                                                 const CacheManifest& manifest,
                                                                 VerifyShape verify) {
  MF_ASSIGN_OR_RETURN(std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  if (file->bytes().size() != entry.file_size()) {
    return absl::DataLossError(absl::StrCat(path, ": ", file->bytes().size(), " bytes; ", entry.file_size(),
                                            " expected by the manifest", kHowToRenew));
  }
  if (entry.layout() < 0 || entry.layout() >= manifest.layouts_size()) {
    return absl::DataLossError(absl::StrCat(path, ": the manifest has no layout ", entry.layout()));
  }
  const ArrayLayout& layout = manifest.layouts(entry.layout());
  if (verify == VerifyShape::kOnce) MF_RETURN_IF_ERROR(VerifyOnce(path, *file, entry, layout));
  return std::make_shared<const IndexedShape>(path, std::move(file), layout);
}

absl::StatusOr<std::shared_ptr<const ShapeFile>> ShapeFile::Open(const std::string& path) {
  MF_ASSIGN_OR_RETURN(NpzReader npz, NpzReader::Open(path));
  return std::make_shared<const UnindexedShape>(path, std::move(npz));
}

}  // namespace manyform
