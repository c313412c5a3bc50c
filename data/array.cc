#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "Eigen/Core"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "data/npz.h"

namespace manyform {
namespace {

template <class T>
constexpr DType DTypeOf() {
  if constexpr (std::is_same_v<T, float>) return DType::kF32;
  if constexpr (std::is_same_v<T, double>) return DType::kF64;
  if constexpr (std::is_same_v<T, uint8_t>) return DType::kU8;
  if constexpr (std::is_same_v<T, int8_t>) return DType::kI8;
  if constexpr (std::is_same_v<T, uint16_t>) return DType::kU16;
  if constexpr (std::is_same_v<T, int16_t>) return DType::kI16;
  if constexpr (std::is_same_v<T, uint32_t>) return DType::kU32;
  if constexpr (std::is_same_v<T, int32_t>) return DType::kI32;
  if constexpr (std::is_same_v<T, uint64_t>) return DType::kU64;
  if constexpr (std::is_same_v<T, int64_t>) return DType::kI64;
}

absl::Status Mismatch(const Array& array, DType wanted, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("array of dtype ", DTypeName(array.dtype), " read as ", DTypeName(wanted), ": ", why));
}

bool IsCOrder(const Array& array) { return !array.fortran_order || array.shape.size() < 2; }

// Copies elements of `item_size` bytes to C order. Inlined, so that constant sizes are moves.
inline void CopyInCOrder(const Array& array, size_t item_size, uint8_t* out) {
  const int64_t n = array.size();
  if (n == 0) return;
  if (IsCOrder(array)) {
    memcpy(out, array.data, n * item_size);
    return;
  }
  // Reads in memory order (first index fastest) and scatters.
  const size_t rank = array.shape.size();
  std::vector<int64_t> stride(rank, 1), index(rank, 0);
  for (size_t d = rank - 1; d-- > 0;) stride[d] = stride[d + 1] * array.shape[d + 1];
  int64_t to = 0;
  for (int64_t from = 0; from < n; ++from) {
    memcpy(out + to * item_size, array.data + from * item_size, item_size);
    for (size_t d = 0; d < rank; ++d) {
      to += stride[d];
      if (++index[d] < array.shape[d]) break;
      to -= stride[d] * array.shape[d];
      index[d] = 0;
    }
  }
}

template <class Element>
std::vector<Element> Elements(const Array& array) {
  std::vector<Element> values(array.size());
  CopyInCOrder(array, sizeof(Element), reinterpret_cast<uint8_t*>(values.data()));
  return values;
}

template <class T, class Element>
absl::StatusOr<std::vector<T>> Convert(const Array& array) {
  std::vector<Element> elements = Elements<Element>(array);
  if constexpr (std::is_same_v<T, Element>) {
    return elements;
  } else if constexpr (std::is_integral_v<T> && !std::is_integral_v<Element>) {
    return Mismatch(array, DTypeOf<T>(), "loses fractions");
  } else {
    std::vector<T> values(elements.size());
    for (size_t i = 0; i < elements.size(); ++i) {
      if constexpr (std::is_integral_v<T>) {
        if (!std::in_range<T>(elements[i])) {
          return Mismatch(array, DTypeOf<T>(), absl::StrCat("element ", i, " is out of range"));
        }
      }
      values[i] = static_cast<T>(elements[i]);
    }
    return values;
  }
}

Array Owning(DType dtype, int64_t item_size, std::vector<int64_t> shape, std::vector<uint8_t> bytes) {
  auto owner = std::make_shared<const std::vector<uint8_t>>(std::move(bytes));
  return {dtype, item_size, std::move(shape), false, owner->data(), owner};
}

void AppendUtf8(uint32_t c, std::string* out) {
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out->append({static_cast<char>(0xc0 | c >> 6), static_cast<char>(0x80 | (c & 0x3f))});
  } else if (c < 0x10000) {
    out->append({static_cast<char>(0xe0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3f)),
                 static_cast<char>(0x80 | (c & 0x3f))});
  } else {
    out->append({static_cast<char>(0xf0 | (c >> 18 & 7)), static_cast<char>(0x80 | (c >> 12 & 0x3f)),
                 static_cast<char>(0x80 | (c >> 6 & 0x3f)), static_cast<char>(0x80 | (c & 0x3f))});
  }
}

// One code point; a byte that is no UTF-8 stands for itself.
uint32_t NextCodePoint(const std::string& text, size_t* at) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : 0u; };
  const uint32_t lead = byte(*at);
  const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
  uint32_t c = more == 0 ? lead : lead & (0x3f >> more);
  for (int k = 1; k <= more; ++k) {
    if ((byte(*at + k) & 0xc0) != 0x80) {
      ++*at;
      return lead;
    }
    c = c << 6 | (byte(*at + k) & 0x3f);
  }
  *at += 1 + more;
  return c;
}

}  // namespace

int64_t Array::size() const {
  int64_t n = 1;
  for (const int64_t side : shape) n *= side;
  return n;
}

template <class T>
absl::StatusOr<std::vector<T>> Array::Values() const {
  switch (dtype) {
    case DType::kF16:
      return Convert<T, Eigen::half>(*this);
    case DType::kF32:
      return Convert<T, float>(*this);
    case DType::kF64:
      return Convert<T, double>(*this);
    case DType::kU8:
    case DType::kBool:
      return Convert<T, uint8_t>(*this);
    case DType::kI8:
      return Convert<T, int8_t>(*this);
    case DType::kI16:
      return Convert<T, int16_t>(*this);
    case DType::kU16:
      return Convert<T, uint16_t>(*this);
    case DType::kI32:
      return Convert<T, int32_t>(*this);
    case DType::kU32:
      return Convert<T, uint32_t>(*this);
    case DType::kI64:
      return Convert<T, int64_t>(*this);
    case DType::kU64:
      return Convert<T, uint64_t>(*this);
    case DType::kUnicode:
      break;
  }
  return Mismatch(*this, DTypeOf<T>(), "text is no number");
}

template <class T>
absl::StatusOr<std::span<const T>> Array::View() const {
  const bool bytes = std::is_same_v<T, uint8_t> && dtype == DType::kBool;
  if (dtype != DTypeOf<T>() && !bytes) return Mismatch(*this, DTypeOf<T>(), "no conversion in place");
  if (fortran_order && shape.size() > 1) return Mismatch(*this, DTypeOf<T>(), "in Fortran order");
  if (reinterpret_cast<uintptr_t>(data) % alignof(T) != 0) {
    return Mismatch(*this, DTypeOf<T>(), "not aligned");
  }
  return std::span<const T>(reinterpret_cast<const T*>(data), size());
}

absl::StatusOr<std::vector<std::string>> Array::Strings() const {
  if (dtype != DType::kUnicode) {
    return absl::InvalidArgumentError(absl::StrCat("array of dtype ", DTypeName(dtype), " read as text"));
  }
  // Characters as a last axis, so that one routine knows the order.
  Array characters = *this;
  characters.dtype = DType::kU32;
  const int64_t width = item_size / 4;
  if (fortran_order && shape.size() > 1) {
    return absl::InvalidArgumentError("array of text in Fortran order");
  }
  characters.shape.push_back(width);
  const std::vector<uint32_t> codes = Elements<uint32_t>(characters);
  std::vector<std::string> texts(size());
  for (size_t i = 0; i < texts.size(); ++i) {
    int64_t length = width;
    while (length > 0 && codes[i * width + length - 1] == 0) --length;
    for (int64_t k = 0; k < length; ++k) AppendUtf8(codes[i * width + k], &texts[i]);
  }
  return texts;
}

template <class T>
Array MakeArray(std::vector<T> values, std::vector<int64_t> shape) {
  auto owner = std::make_shared<const std::vector<T>>(std::move(values));
  return {DTypeOf<T>(), sizeof(T), std::move(shape), false, reinterpret_cast<const uint8_t*>(owner->data()),
          owner};
}

Array MakeHalfArray(std::span<const float> values, std::vector<int64_t> shape) {
  std::vector<uint8_t> bytes(values.size() * sizeof(Eigen::half));
  for (size_t i = 0; i < values.size(); ++i) {
    const Eigen::half half(values[i]);
    memcpy(bytes.data() + i * sizeof(half), &half, sizeof(half));
  }
  return Owning(DType::kF16, sizeof(Eigen::half), std::move(shape), std::move(bytes));
}

Array InCOrder(const Array& array) {
  if (IsCOrder(array)) {
    Array same = array;
    same.fortran_order = false;
    return same;
  }
  std::vector<uint8_t> bytes(array.size() * array.item_size);
  CopyInCOrder(array, array.item_size, bytes.data());
  return Owning(array.dtype, array.item_size, array.shape, std::move(bytes));
}

Array MakeStringArray(const std::vector<std::string>& values) {
  std::vector<std::vector<uint32_t>> codes(values.size());
  size_t width = 1;
  for (size_t i = 0; i < values.size(); ++i) {
    for (size_t at = 0; at < values[i].size();) codes[i].push_back(NextCodePoint(values[i], &at));
    width = std::max(width, codes[i].size());
  }
  std::vector<uint8_t> bytes(values.size() * width * 4);
  for (size_t i = 0; i < codes.size(); ++i) {
    if (!codes[i].empty()) memcpy(bytes.data() + i * width * 4, codes[i].data(), codes[i].size() * 4);
  }
  return Owning(DType::kUnicode, static_cast<int64_t>(width * 4), {static_cast<int64_t>(values.size())},
                std::move(bytes));
}

// NOLINTBEGIN(bugprone-macro-parentheses): a type cannot have them.
#define MF_ARRAY_OF(T)                                                \
  template absl::StatusOr<std::vector<T>> Array::Values<T>() const;   \
  template absl::StatusOr<std::span<const T>> Array::View<T>() const; \
  template Array MakeArray<T>(std::vector<T>, std::vector<int64_t>);
MF_ARRAY_OF(float)
MF_ARRAY_OF(double)
MF_ARRAY_OF(uint8_t)
MF_ARRAY_OF(int8_t)
MF_ARRAY_OF(uint16_t)
MF_ARRAY_OF(int16_t)
MF_ARRAY_OF(uint32_t)
MF_ARRAY_OF(int32_t)
MF_ARRAY_OF(uint64_t)
MF_ARRAY_OF(int64_t)
#undef MF_ARRAY_OF
// NOLINTEND(bugprone-macro-parentheses)

}  // namespace manyform
