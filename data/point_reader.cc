#include "data/point_reader.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/files.h"
#include "base/status_macros.h"
#include "base/string_views.h"
#include "data/npy.h"
#include "data/npz.h"
#include "data/ply_points.h"
#include "data/text_scanner.h"

namespace manyform {
namespace {

constexpr double kUnitTolerance = 0.01;

std::string Extension(std::string_view name) {
  const size_t slash = name.rfind('/'), dot = name.rfind('.');
  if (dot == std::string_view::npos || (slash != std::string_view::npos && dot < slash)) return "";
  return absl::AsciiStrToLower(ToAbsl(name.substr(dot)));
}

// Numbers by row.
struct Table {
  int64_t rows = 0, columns = 0;
  std::vector<double> values;
  std::vector<int64_t> lines;  // of text: where a row stands
};

std::string Place(const Table& table, const std::string& path, int64_t row) {
  if (!table.lines.empty()) return absl::StrCat(path, ":", table.lines[row]);
  return absl::StrCat(path, ": row ", row);
}

absl::StatusOr<Table> ParseText(std::string text, const std::string& path, bool counted) {
  for (char& c : text) c = c == ',' || c == ';' ? ' ' : c;
  TextScanner scan(text);
  Table table;
  int64_t count = -1;
  std::vector<double> row;
  for (; !scan.AtEnd(); scan.NextLine()) {
    if (scan.AtLineEnd()) continue;
    row.clear();
    double value = 0;
    while (scan.Number(&value)) row.push_back(value);
    if (!scan.AtLineEnd()) {
      return absl::InvalidArgumentError(absl::StrCat(path, ":", scan.line(), ": a number expected, not \"",
                                                     ToAbsl(scan.Word().substr(0, 40)), "\""));
    }
    if (counted && table.rows == 0 && count < 0 && row.size() == 1) {
      if (!(row[0] >= 0 && row[0] <= 1e15) || row[0] != std::floor(row[0])) {
        return absl::InvalidArgumentError(
            absl::StrCat(path, ":", scan.line(), ": ", row[0], " is no number of points"));
      }
      count = static_cast<int64_t>(row[0]);
      continue;
    }
    const int64_t columns = static_cast<int64_t>(row.size());
    if (columns < 3 || (table.rows > 0 && columns != table.columns)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ":", scan.line(), ": ", columns, " numbers, expected ",
                       table.rows > 0 ? absl::StrCat(table.columns, " as before") : "three or more"));
    }
    table.columns = columns;
    ++table.rows;
    table.values.insert(table.values.end(), row.begin(), row.end());
    table.lines.push_back(scan.line());
  }
  if (count >= 0 && count != table.rows) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": has ", table.rows, " points, and a first line that says ", count));
  }
  return table;
}

absl::StatusOr<Table> ParseNpyTable(std::span<const uint8_t> bytes, const std::string& path) {
  MF_ASSIGN_OR_RETURN(NpyHeader header, ParseNpyHeader(bytes, path));
  if (header.shape.size() != 2 || header.shape[1] < 3) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": has shape (", absl::StrJoin(header.shape, ", "),
                                                   "), expected (N, 3) or more columns"));
  }
  const std::span<const uint8_t> content = bytes.subspan(header.header_size);
  if (content.size() < header.data_size) {
    return absl::DataLossError(
        absl::StrCat(path, ": ends after ", content.size(), " of ", header.data_size, " bytes of numbers"));
  }
  const auto aligned = std::make_shared<std::vector<uint8_t>>(
      content.begin(), content.begin() + static_cast<ptrdiff_t>(header.data_size));
  const Array array{header.dtype,         header.item_size, header.shape,
                    header.fortran_order, aligned->data(),  aligned};
  absl::StatusOr<std::vector<double>> values = array.Values<double>();
  if (!values.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", values.status().message()));
  return Table{header.shape[0], header.shape[1], *std::move(values), {}};
}

absl::StatusOr<Table> ParsePlyTable(std::span<const uint8_t> bytes, const std::string& path) {
  MF_ASSIGN_OR_RETURN(PlyVertices vertices, ParsePlyVertices(bytes, path));
  return Table{vertices.count, vertices.has_normals ? 6 : 3, std::move(vertices.values), {}};
}

bool HasNormals(const Table& table) {
  if (table.columns < 6) return false;
  for (int64_t i = 0; i < table.rows; ++i) {
    const double* n = &table.values[static_cast<size_t>(i * table.columns + 3)];
    const double norm = std::sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
    if (!(std::abs(norm - 1) <= kUnitTolerance)) return false;
  }
  return true;
}

absl::StatusOr<PointCloudFile> ToCloud(const Table& table, const std::string& path) {
  if (table.rows == 0) return absl::InvalidArgumentError(absl::StrCat(path, ": has no points"));
  const bool has_normals = HasNormals(table);
  PointCloudFile cloud{PointsD(table.rows, 3), PointsF(has_normals ? table.rows : 0, 3)};
  for (int64_t i = 0; i < table.rows; ++i) {
    const double* row = &table.values[static_cast<size_t>(i * table.columns)];
    for (int k = 0; k < 3; ++k) {
      if (!std::isfinite(row[k])) {
        return absl::InvalidArgumentError(
            absl::StrCat(Place(table, path, i), ": coordinate ", row[k], " is not finite"));
      }
      cloud.xyz(i, k) = row[k];
      if (has_normals) cloud.normals(i, k) = static_cast<float>(row[3 + k]);
    }
  }
  return cloud;
}

}  // namespace

bool IsPointFormat(std::string_view extension) {
  constexpr std::array<const char*, 5> kKnown = {".ply", ".xyz", ".txt", ".npy", ".pts"};
  const std::string lower = absl::AsciiStrToLower(ToAbsl(extension));
  return std::find(kKnown.begin(), kKnown.end(), lower) != kKnown.end();
}

absl::StatusOr<PointCloudFile> ParsePoints(std::span<const uint8_t> bytes, const std::string& name) {
  const std::string extension = Extension(name);
  absl::StatusOr<Table> table =
      absl::UnimplementedError(absl::StrCat(name, ": no point cloud format ends in \"", extension, "\""));
  if (extension == ".ply") table = ParsePlyTable(bytes, name);
  if (extension == ".npy") table = ParseNpyTable(bytes, name);
  if (extension == ".xyz" || extension == ".txt" || extension == ".pts") {
    table = ParseText(std::string(bytes.begin(), bytes.end()), name, extension == ".pts");
  }
  MF_RETURN_IF_ERROR(table.status());
  return ToCloud(*table, name);
}

absl::StatusOr<PointCloudFile> ReadPoints(const std::string& path) {
  MF_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  return ParsePoints(file->bytes(), path);
}

}  // namespace manyform
