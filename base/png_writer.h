/// \file
/// Pictures.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace manyform {

/// Row-major from the top left; 3 bytes (red, green, blue) a pixel.
struct Image {
  int width = 0, height = 0;
  std::vector<uint8_t> rgb;
};

/// PNG bytes. \error InvalidArgument if rgb.size() != 3 * width * height or a side is not in [1, 16384].
absl::StatusOr<std::string> EncodePng(const Image& image);
/// For embedding in HTML.
std::string Base64(const std::string& bytes);

}  // namespace manyform
