/// \file
/// PLY's header and rows, for whoever wants some columns of some elements.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace manyform {

enum class PlyFormat { kAscii, kLittle, kBig };
enum class PlyType { kI8, kU8, kI16, kU16, kI32, kU32, kF32, kF64 };

struct PlyProperty {
  std::string name;
  PlyType type = PlyType::kF32;
  std::optional<PlyType> length;  ///< of a list
  /// Where VisitPlyRows puts a number; -1: nowhere. A list with 0 is handed over.
  int column = -1;
};

struct PlyElement {
  std::string name;
  int64_t count = 0;
  std::vector<PlyProperty> properties;
};

struct PlyHeader {
  PlyFormat format = PlyFormat::kAscii;
  std::vector<PlyElement> elements;
  size_t size = 0;    ///< bytes up to the first row
  int64_t lines = 0;  ///< of it
};

/// \error InvalidArgument "path:line: what".
absl::StatusOr<PlyHeader> ParsePlyHeader(std::string_view text, const std::string& path);

/// At most this many columns.
inline constexpr int kMaxPlyColumns = 8;

/// Reads all rows of one element. `columns` has kMaxPlyColumns numbers, 0 where no property has the column;
/// `list` is that of the property with column 0 among the lists.
using PlyRowVisitor =
    std::function<absl::Status(int64_t row, const double* columns, std::span<const double> list)>;

/// Goes through the elements in order, up to the last one that `visit_element` names a visitor for.
/// \error InvalidArgument naming path and row if the file is shorter than its header says or a row is
/// malformed; what a visitor returns.
absl::Status VisitPlyRows(const PlyHeader& header, std::span<const uint8_t> bytes, const std::string& path,
                          const std::function<PlyRowVisitor(const PlyElement&)>& visit_element);

}  // namespace manyform
