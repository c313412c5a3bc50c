#include "data/hdf5_reader.h"

#include <hdf5.h>

#include <algorithm>
#include <list>
#include <mutex>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/files.h"
#include "base/status_macros.h"
#include "data/isolated.h"

namespace manyform {
namespace {

// Deflate makes at most 1032 bytes of one; other filters that are built in make fewer.
constexpr uint64_t kMaxExpansion = 1040;
constexpr int64_t kMaxLabel = 999999;
constexpr size_t kBlocksKept = 4;
constexpr int64_t kBlockBytes = 4 << 20;
constexpr double kTrialSeconds = 1800;

// The library keeps global state and locks nothing: calls take turns. One thread may lock again.
class LibraryLock {
 public:
  LibraryLock() {
    if (!alone_) mutex_.lock();
  }
  ~LibraryLock() {
    if (!alone_) mutex_.unlock();
  }
  LibraryLock(const LibraryLock&) = delete;
  LibraryLock& operator=(const LibraryLock&) = delete;

  // From now on there are no other threads: in a fork the mutex still belongs to the parent's.
  static void SetAlone() { alone_ = true; }

 private:
  static inline std::recursive_mutex mutex_;
  static inline bool alone_ = false;
};

// One identifier of the library. \pre made and destroyed under LibraryLock
class Handle {
 public:
  Handle() = default;
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  hid_t get() const { return id_; }
  bool ok() const { return id_ >= 0; }

 private:
  hid_t id_ = -1;
  herr_t (*close_)(hid_t) = nullptr;
};

// What went wrong where it did, not in the calls around it.
std::string LastError() {
  std::string reason;
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned n, const H5E_error2_t* error, void* out) -> herr_t {
        if (n == 0 && error->desc != nullptr) static_cast<std::string*>(out)->assign(error->desc);
        return 0;
      },
      &reason);
  return reason.empty() ? "the library gives no reason" : reason;
}

void PrepareLibrary() {
  static const bool done = [] {
    H5open();
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    // A file cannot make the process load code.
    H5PLset_loading_state(0);
    return true;
  }();
  (void)done;
}

struct Dataset {
  Handle id;
  std::vector<hsize_t> shape;
  int64_t block_rows = 1;  // that are stored together

  uint64_t row_values() const {
    uint64_t n = 1;
    for (size_t k = 1; k < shape.size(); ++k) n *= shape[k];
    return n;
  }
  std::string ShapeText() const { return absl::StrCat("(", absl::StrJoin(shape, ", "), ")"); }
};

}  // namespace

struct Hdf5Scans::File {
  ~File() {
    const LibraryLock lock;
    data.id = Handle();
    file = Handle();
  }
  absl::Status Damaged(absl::string_view what) const {
    return absl::DataLossError(absl::StrCat(path, ": ", what));
  }
  absl::StatusOr<Dataset> OpenDataset(const char* name, H5T_class_t kind) const;
  absl::Status CheckStorage(const char* name, hid_t dataset, uint64_t bytes, Dataset* result) const;

  // Rows next to one another, three columns of each point.
  struct Block {
    int64_t first;
    std::vector<float> values;
  };
  absl::StatusOr<Block> ReadBlock(int64_t first) const;

  std::string path;
  uint64_t size = 0;
  Handle file;
  Dataset data;
  std::list<Block> blocks;  // the most recently used first
};

// Where and how the values lie: nothing is to be allocated that the file cannot fill.
absl::Status Hdf5Scans::File::CheckStorage(const char* name, hid_t dataset, uint64_t bytes,
                                           Dataset* result) const {
  const Handle plan(H5Dget_create_plist(dataset), H5Pclose);
  if (!plan.ok()) return Damaged(absl::StrCat("dataset ", name, ": ", LastError()));
  const H5D_layout_t layout = H5Pget_layout(plan.get());
  if (layout == H5D_VIRTUAL || H5Pget_external_count(plan.get()) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": dataset ", name, " lies in other files, which are not opened"));
  }
  const hsize_t stored = H5Dget_storage_size(dataset);
  const bool filtered = H5Pget_nfilters(plan.get()) > 0;
  if (stored > size || bytes > stored * (filtered ? kMaxExpansion : 1)) {
    return Damaged(absl::StrCat("dataset ", name, " should have ", bytes, " bytes, but ", stored,
                                " are stored in a file of ", size));
  }
  if (layout != H5D_CHUNKED) return absl::OkStatus();
  std::vector<hsize_t> chunk(result->shape.size());
  const int rank = static_cast<int>(chunk.size());
  if (H5Pget_chunk(plan.get(), rank, chunk.data()) != rank) {
    return Damaged(absl::StrCat("dataset ", name, ": ", LastError()));
  }
  const Handle type(H5Dget_type(dataset), H5Tclose);
  uint64_t chunk_bytes = H5Tget_size(type.get());
  for (const hsize_t side : chunk) {
    if (side == 0 || __builtin_mul_overflow(chunk_bytes, side, &chunk_bytes)) chunk_bytes = ~uint64_t{0};
  }
  if (chunk_bytes > size * kMaxExpansion) {
    return Damaged(
        absl::StrCat("dataset ", name, " has chunks of ", chunk_bytes, " bytes in a file of ", size));
  }
  result->block_rows = static_cast<int64_t>(std::min(chunk[0], result->shape[0]));
  return absl::OkStatus();
}

absl::StatusOr<Dataset> Hdf5Scans::File::OpenDataset(const char* name, H5T_class_t kind) const {
  const htri_t exists = H5Lexists(file.get(), name, H5P_DEFAULT);
  if (exists < 0) return Damaged(LastError());
  if (exists == 0) return absl::FailedPreconditionError(absl::StrCat(path, ": has no dataset ", name));
  H5L_info_t link;
  if (H5Lget_info(file.get(), name, &link, H5P_DEFAULT) < 0) return Damaged(LastError());
  if (link.type != H5L_TYPE_HARD) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", name, " is a link, which is not followed"));
  }
  Dataset result;
  result.id = Handle(H5Dopen2(file.get(), name, H5P_DEFAULT), H5Dclose);
  if (!result.id.ok()) return Damaged(absl::StrCat(name, ": ", LastError()));
  const Handle space(H5Dget_space(result.id.get()), H5Sclose), type(H5Dget_type(result.id.get()), H5Tclose);
  const int rank = space.ok() ? H5Sget_simple_extent_ndims(space.get()) : -1;
  if (rank < 0 || !type.ok()) return Damaged(absl::StrCat(name, ": ", LastError()));
  if (H5Tget_class(type.get()) != kind || H5Tget_size(type.get()) > 8) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": dataset ", name, " is to hold ",
                                                   kind == H5T_FLOAT ? "floats" : "integers",
                                                   " of at most 8 bytes"));
  }
  result.shape.resize(rank);
  if (rank > 0 && H5Sget_simple_extent_dims(space.get(), result.shape.data(), nullptr) != rank) {
    return Damaged(absl::StrCat(name, ": ", LastError()));
  }
  uint64_t bytes = H5Tget_size(type.get());
  for (const hsize_t side : result.shape) {
    if (side == 0 || __builtin_mul_overflow(bytes, side, &bytes)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": dataset ", name, " has shape ", result.ShapeText()));
    }
  }
  if (rank == 0) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": dataset ", name, " is a single number"));
  }
  MF_RETURN_IF_ERROR(CheckStorage(name, result.id.get(), bytes, &result));
  return result;
}

absl::StatusOr<Hdf5Scans::File::Block> Hdf5Scans::File::ReadBlock(int64_t first) const {
  const hsize_t from[3] = {static_cast<hsize_t>(first), 0, 0};
  const hsize_t rows = std::min<hsize_t>(data.block_rows, data.shape[0] - from[0]);
  const hsize_t count[3] = {rows, data.shape[1], 3};
  Block block{first, std::vector<float>(rows * data.shape[1] * 3)};
  const Handle source(H5Dget_space(data.id.get()), H5Sclose),
      target(H5Screate_simple(3, count, nullptr), H5Sclose);
  if (!source.ok() || !target.ok() ||
      H5Sselect_hyperslab(source.get(), H5S_SELECT_SET, from, nullptr, count, nullptr) < 0 ||
      H5Dread(data.id.get(), H5T_NATIVE_FLOAT, target.get(), source.get(), H5P_DEFAULT, block.values.data()) <
          0) {
    return Damaged(absl::StrCat("dataset data, rows from ", first, ": ", LastError()));
  }
  return block;
}

absl::StatusOr<std::unique_ptr<Hdf5Scans>> Hdf5Scans::Read(std::unique_ptr<File> file) {
  if (!file->file.ok()) return file->Damaged(absl::StrCat("is no HDF5 file that can be read: ", LastError()));
  std::unique_ptr<Hdf5Scans> scans(new Hdf5Scans);
  MF_ASSIGN_OR_RETURN(file->data, file->OpenDataset("data", H5T_FLOAT));
  MF_ASSIGN_OR_RETURN(const Dataset label, file->OpenDataset("label", H5T_INTEGER));
  Dataset& data = file->data;
  if (data.shape.size() != 3 || data.shape[2] < 3) {
    return absl::InvalidArgumentError(
        absl::StrCat(file->path, ": dataset data has shape ", data.ShapeText(), ", expected (N, M, 3)"));
  }
  if (label.shape[0] != data.shape[0] || label.row_values() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(file->path, ": dataset label has shape ",
                                                   label.ShapeText(), ", expected (", data.shape[0],
                                                   ") as data is ", data.ShapeText()));
  }
  scans->labels_.resize(label.shape[0]);
  if (H5Dread(label.id.get(), H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, scans->labels_.data()) < 0) {
    return file->Damaged(absl::StrCat("dataset label: ", LastError()));
  }
  for (size_t i = 0; i < scans->labels_.size(); ++i) {
    if (scans->labels_[i] < 0 || scans->labels_[i] > kMaxLabel) {
      return absl::InvalidArgumentError(absl::StrCat(file->path, ": label of row ", i, " is ",
                                                     scans->labels_[i], ", expected 0 to ", kMaxLabel));
    }
  }
  scans->points_ = static_cast<int64_t>(data.shape[1]);
  const int64_t row_bytes = static_cast<int64_t>(data.shape[1] * 3 * sizeof(float));
  // A block is what is stored together, or some rows where they lie one after the other.
  data.block_rows = std::max(data.block_rows, kBlockBytes / row_bytes);
  data.block_rows = std::clamp<int64_t>(data.block_rows, 1, static_cast<int64_t>(data.shape[0]));
  scans->file_ = std::move(file);
  return scans;
}

absl::StatusOr<std::unique_ptr<Hdf5Scans>> Hdf5Scans::ReadIfSafe(
    const std::string& name, const std::function<std::unique_ptr<File>()>& open) {
  const LibraryLock lock;
  PrepareLibrary();
  const auto trial = [&]() -> absl::StatusOr<std::string> {
    LibraryLock::SetAlone();
    MF_ASSIGN_OR_RETURN(const std::unique_ptr<Hdf5Scans> scans, Read(open()));
    // Errors are for whoever reads the row.
    for (int64_t row = 0; row < scans->num_scans(); row += scans->file_->data.block_rows) {
      scans->Scan(row).IgnoreError();
    }
    return std::string();
  };
  const absl::Status tried = RunIsolated(trial, {.seconds = kTrialSeconds}).status();
  if (tried.ok()) return Read(open());
  // The reader's own errors name the file.
  if (absl::StartsWith(tried.message(), absl::StrCat(name, ": "))) return tried;
  return absl::DataLossError(absl::StrCat(name, ": reading it in a trial: ", tried.message()));
}

absl::StatusOr<std::unique_ptr<Hdf5Scans>> Hdf5Scans::Open(const std::string& path) {
  uint64_t size = 0;
  {
    // For errno's reasons, and the length.
    MF_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> mapped, MappedFile::Open(path));
    size = mapped->bytes().size();
  }
  return ReadIfSafe(path, [&] {
    auto file = std::make_unique<File>();
    file->path = path;
    file->size = size;
    const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
    // Locks fail on some network file systems, and reading needs none.
    H5Pset_file_locking(access.get(), false, true);
    file->file = Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose);
    return file;
  });
}

absl::StatusOr<std::unique_ptr<Hdf5Scans>> Hdf5Scans::FromBytes(const std::string& name,
                                                                std::span<const uint8_t> bytes) {
  return ReadIfSafe(name, [&] {
    auto file = std::make_unique<File>();
    file->path = name;
    file->size = bytes.size();
    const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
    H5Pset_fapl_core(access.get(), 1 << 16, /*backing_store=*/false);
    // The library copies the bytes, and does not write to what is const.
    H5Pset_file_image(access.get(), const_cast<uint8_t*>(bytes.data()), bytes.size());
    file->file = Handle(H5Fopen(name.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose);
    return file;
  });
}

Hdf5Scans::~Hdf5Scans() = default;

absl::StatusOr<PointsF> Hdf5Scans::Scan(int64_t row) {
  const LibraryLock lock;
  const Dataset& data = file_->data;
  const int64_t row_values = points_ * 3, first = row / data.block_rows * data.block_rows;
  std::list<File::Block>& blocks = file_->blocks;
  auto found =
      std::find_if(blocks.begin(), blocks.end(), [&](const File::Block& b) { return b.first == first; });
  if (found == blocks.end()) {
    MF_ASSIGN_OR_RETURN(File::Block block, file_->ReadBlock(first));
    if (blocks.size() >= kBlocksKept) blocks.pop_back();
    found = blocks.insert(blocks.begin(), std::move(block));
  } else {
    blocks.splice(blocks.begin(), blocks, found);
  }
  return PointsF(Eigen::Map<const PointsF>(found->values.data() + (row - first) * row_values, points_, 3));
}

}  // namespace manyform
