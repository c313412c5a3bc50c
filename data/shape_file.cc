#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "data/manifest.h"
#include "data/npy.h"

namespace manyform {
namespace {

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
    MF_ASSIGN_OR_RETURN(Array array, npz_.Read(name));
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
        array.shape != expected.shape) {
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

}  // namespace

absl::StatusOr<std::shared_ptr<const ShapeFile>> ShapeFile::Open(const std::string& path,
                                                                 const ShapeEntry& entry,
                                                                 const CacheManifest& manifest) {
  MF_ASSIGN_OR_RETURN(std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  if (file->bytes().size() != entry.file_size()) {
    return absl::DataLossError(absl::StrCat(path, ": ", file->bytes().size(), " bytes; ", entry.file_size(),
                                            " expected by the manifest; if the file was changed on purpose, "
                                            "//data:migrate what=manifest renews the manifest"));
  }
  if (entry.layout() < 0 || entry.layout() >= manifest.layouts_size()) {
    return absl::DataLossError(absl::StrCat(path, ": the manifest has no layout ", entry.layout()));
  }
  return std::make_shared<const IndexedShape>(path, std::move(file), manifest.layouts(entry.layout()));
}

absl::StatusOr<std::shared_ptr<const ShapeFile>> ShapeFile::Open(const std::string& path) {
  MF_ASSIGN_OR_RETURN(NpzReader npz, NpzReader::Open(path));
  return std::make_shared<const UnindexedShape>(path, std::move(npz));
}

}  // namespace manyform
