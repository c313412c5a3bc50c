/// \file
/// NumPy's .npz: zip files of .npy members. Ours are stored, 64-byte aligned and so can be mapped; compressed
/// and unaligned ones made elsewhere are read too.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/files.h"

namespace manyform {

enum class DType { kF16, kF32, kF64, kU8, kI8, kBool, kI16, kU16, kI32, kU32, kI64, kU64, kUnicode };

/// "<f4" and the like, little-endian or single bytes.
std::string DTypeName(DType dtype);
int64_t ItemSize(DType dtype);  ///< 0 for kUnicode: see Array::item_size

/// A read-only array; C order unless `fortran_order`. Holds on to the memory it lies in.
struct Array {
  DType dtype = DType::kF32;
  int64_t item_size = 4;
  std::vector<int64_t> shape;
  bool fortran_order = false;
  const uint8_t* data = nullptr;
  std::shared_ptr<const void> owner;

  int64_t size() const;  ///< elements
  /// Elements in C order as T, converted when the dtype differs (f16, f64, ints, bool to float; ints to
  /// ints). \error InvalidArgument if the conversion loses meaning (float to int, unicode).
  template <class T>
  absl::StatusOr<std::vector<T>> Values() const;
  /// The elements in place. \error InvalidArgument unless the dtype is T's, C order and aligned.
  template <class T>
  absl::StatusOr<std::span<const T>> View() const;
  /// Of a kUnicode array, in C order, as UTF-8. \error InvalidArgument for other dtypes.
  absl::StatusOr<std::vector<std::string>> Strings() const;
};

/// An array that owns its values, C order.
template <class T>
Array MakeArray(std::vector<T> values, std::vector<int64_t> shape);
/// f32 values rounded to nearest-even f16.
Array MakeHalfArray(std::span<const float> values, std::vector<int64_t> shape);
/// The same array with its elements in C order: itself if they are, else a copy.
Array InCOrder(const Array& array);
/// NumPy unicode ("<U..").
Array MakeStringArray(const std::vector<std::string>& values);

struct NamedArray {
  std::string name;
  Array array;
};

struct NpzMember {
  std::string name;     ///< without ".npy"
  uint64_t offset = 0;  ///< of the first element from the start of the file; 0 when compressed
  bool compressed = false;
  DType dtype;
  int64_t item_size;
  std::vector<int64_t> shape;
  bool fortran_order = false;
};

/// An open .npz. Thread-safe for const use.
class NpzReader {
 public:
  /// Checks the directory and the members' headers, not the content. \error as MappedFile::Open; DataLoss
  /// with path and member for truncated or malformed files.
  static absl::StatusOr<NpzReader> Open(const std::string& path);
  static absl::StatusOr<NpzReader> FromBytes(std::string name, std::vector<uint8_t> bytes);
  /// The same of a file that is mapped already.
  static absl::StatusOr<NpzReader> FromFile(const std::string& path, std::shared_ptr<const MappedFile> file);
  const std::vector<NpzMember>& members() const { return members_; }
  bool Has(std::string_view name) const;
  uint64_t file_size() const { return bytes_.size(); }
  /// Maps a stored member (copies it if its elements are not aligned), inflates a compressed one; checks the
  /// CRC of inflated ones, and of stored ones when `verify`. \error NotFound, DataLoss.
  absl::StatusOr<Array> Read(std::string_view name, bool verify = false) const;

 private:
  struct Entry;
  NpzReader() = default;
  absl::Status Index();
  std::string path_;
  std::shared_ptr<const void> owner_;
  std::span<const uint8_t> bytes_;
  std::vector<NpzMember> members_;
  std::vector<std::shared_ptr<const Entry>> entries_;
};

struct NpzOptions {
  bool compress = false;
};
/// The bytes of an .npz: zip times fixed, members in the order given, so equal content is equal bytes.
/// \error InvalidArgument for a repeated or empty name, or more than 4 GiB.
absl::StatusOr<std::string> EncodeNpz(std::span<const NamedArray> arrays, const NpzOptions& options = {});
/// Exactly the size of what EncodeNpz makes of such arrays without compression; their data is not looked at.
/// \error as EncodeNpz.
absl::StatusOr<uint64_t> StoredNpzSize(std::span<const NamedArray> arrays);
/// EncodeNpz, written atomically.
absl::Status WriteNpz(const std::string& path, std::span<const NamedArray> arrays,
                      const NpzOptions& options = {});

}  // namespace manyform
