/// \file
/// Labelled point clouds in HDF5 files, as ScanObjectNN is published.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "geometry/types.h"

namespace manyform {

/// An open file with a dataset `data` of floats (N,M,3 or more columns, of which three are read) and one
/// `label` of integers (N or N,1) >= 0. Thread-safe: the library is not, so that its calls take turns.
///
/// What a file can make the library do is limited: no external or virtual storage, no links but hard ones, no
/// filters but those built in, no size that the file's length could not hold. What damage makes it do in
/// spite of that, it does to a child process that first reads the whole file.
class Hdf5Scans {
 public:
  /// Reads the labels, not the points. \error NotFound and the like as MappedFile::Open; DataLoss, with the
  /// path, for what is no HDF5 file or a damaged one; FailedPrecondition if it has no `data` or no `label`;
  /// InvalidArgument for other types or shapes.
  static absl::StatusOr<std::unique_ptr<Hdf5Scans>> Open(const std::string& path);
  static absl::StatusOr<std::unique_ptr<Hdf5Scans>> FromBytes(const std::string& name,
                                                              std::span<const uint8_t> bytes);
  ~Hdf5Scans();
  Hdf5Scans(const Hdf5Scans&) = delete;
  Hdf5Scans& operator=(const Hdf5Scans&) = delete;

  int64_t num_scans() const { return static_cast<int64_t>(labels_.size()); }
  int64_t points_per_scan() const { return points_; }
  const std::vector<int64_t>& labels() const { return labels_; }

  /// (M,3), rounded to single precision. Neighbouring scans are read at once and kept for the next call.
  /// \error DataLoss with path and row if the content cannot be read. \pre 0 <= row < num_scans()
  absl::StatusOr<PointsF> Scan(int64_t row);

 private:
  struct File;
  Hdf5Scans() = default;
  static absl::StatusOr<std::unique_ptr<Hdf5Scans>> Read(std::unique_ptr<File> file);
  static absl::StatusOr<std::unique_ptr<Hdf5Scans>> ReadIfSafe(
      const std::string& name, const std::function<std::unique_ptr<File>()>& open);

  std::unique_ptr<File> file_;
  std::vector<int64_t> labels_;
  int64_t points_ = 0;
};

}  // namespace manyform
