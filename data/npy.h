/// \file
/// NumPy's .npy: a magic, a header that is a Python dictionary, the elements.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "data/npz.h"

namespace manyform {

struct ElementType {
  DType dtype;
  int64_t item_size;
};
/// NumPy's name of a type, with the width for text: "<f4", "<U12".
std::string DescrOf(DType dtype, int64_t item_size);
/// \error Unimplemented for big-endian, structured, object and other types that DType lacks.
absl::StatusOr<ElementType> ParseDescr(std::string_view descr, std::string_view where);
/// Bytes of all elements; nothing for a negative side or more than any file holds.
std::optional<uint64_t> ArrayBytes(int64_t item_size, std::span<const int64_t> shape);

struct NpyHeader {
  DType dtype = DType::kF32;
  int64_t item_size = 4;
  std::vector<int64_t> shape;
  bool fortran_order = false;
  uint64_t header_size = 0;  ///< bytes before the first element
  uint64_t data_size = 0;    ///< bytes of all elements
};

/// Reads the header at the start of `npy` (versions 1.0 to 3.0); the elements need not be there. `where` is
/// for messages.
/// \error DataLoss for what is truncated or malformed or too large to address; Unimplemented as ParseDescr.
absl::StatusOr<NpyHeader> ParseNpyHeader(std::span<const uint8_t> npy, std::string_view where);

/// Version 1.0, its size a multiple of 64, byte for byte as NumPy writes it. \pre at most 32 sides
std::string EncodeNpyHeader(const Array& array);
/// A whole .npy file.
std::string EncodeNpy(const Array& array);

}  // namespace manyform
