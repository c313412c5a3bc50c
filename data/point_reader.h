/// \file
/// Point clouds from plain files.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "geometry/types.h"

namespace manyform {

struct PointCloudFile {
  PointsD xyz;      ///< (N,3), N >= 1, finite, as in the file
  PointsF normals;  ///< (N,3), or no rows where the file has none
};

/// Whether ReadPoints knows names that end like this (".ply"), in any case of letters.
bool IsPointFormat(std::string_view extension);

/// By the ending of the name:
///   .xyz, .txt  a point a line: three or more numbers between blanks, commas or semicolons; '#' comments
///   .pts        the same; a first line of one integer is the number of points and has to be right
///   .npy        (N,3 or more) numbers
///   .ply        ASCII or binary of either order: x y z of the element `vertex`, and nx ny nz
/// Where there are six columns or more, the fourth to sixth are normals if they have unit length (within a
/// hundredth) in every row. Other columns, faces and the like are passed over.
/// \error NotFound and the like as MappedFile::Open; InvalidArgument with path, and line or row, for what is
/// malformed, not finite, or has no points; DataLoss for a damaged .npy; Unimplemented for an unknown ending
/// or type.
absl::StatusOr<PointCloudFile> ReadPoints(const std::string& path);
/// `name` tells the format, and is for messages.
absl::StatusOr<PointCloudFile> ParsePoints(std::span<const uint8_t> bytes, const std::string& name);

}  // namespace manyform
