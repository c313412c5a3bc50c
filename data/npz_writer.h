/// \file
/// An .npz written piece by piece, for arrays too large to hold.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/files.h"
#include "data/npz.h"
#include "data/zip_directory.h"

namespace manyform {

/// Members are stored, 64-byte aligned and of any size (zip64 throughout, like NumPy's own), with their sums
/// in data descriptors after them; equal content is equal bytes. Appears under its name when finished, or not
/// at all.
class NpzWriter {
 public:
  static absl::StatusOr<NpzWriter> Create(const std::string& path);
  NpzWriter(NpzWriter&&) = default;
  ~NpzWriter();
  /// Starts the next array, C order, whose elements follow. \error InvalidArgument for a repeated or empty
  /// name, a kUnicode dtype (see Write) or while elements of the array before are missing.
  absl::Status Begin(const std::string& name, DType dtype, std::vector<int64_t> shape);
  /// Any part of the array's elements, in order. \error InvalidArgument for more than its shape says; as
  /// AtomicFileWriter.
  absl::Status Append(const void* elements, uint64_t bytes);
  /// A whole array, in the order it has: what makes arrays makes them in C order, what copies a file's keeps
  /// theirs (//data:migrate what=repack turns them).
  absl::Status Write(const NamedArray& array);
  absl::Status Finish();
  uint64_t written() const { return file_.written(); }

 private:
  explicit NpzWriter(AtomicFileWriter file);
  absl::Status BeginArray(const std::string& name, const Array& array);
  absl::Status EndArray();
  absl::Status Put(const void* data, uint64_t bytes);

  AtomicFileWriter file_;
  std::vector<ZipMember> members_;
  uint64_t expected_ = 0;  // bytes of the open array still to come
  bool open_ = false;
};

}  // namespace manyform
