#include "base/png_writer.h"

#include <png.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace manyform {
namespace {

constexpr int kMaxSide = 16384;

absl::Status LibraryError(const png_image& png) {
  return absl::InternalError(absl::StrCat("libpng: ", png.message));
}

}  // namespace

absl::StatusOr<std::string> EncodePng(const Image& image) {
  const auto valid = [](int side) { return side >= 1 && side <= kMaxSide; };
  if (!valid(image.width) || !valid(image.height)) {
    return absl::InvalidArgumentError(absl::StrCat("image of ", image.width, " x ", image.height,
                                                   " pixels, expected sides in [1, ", kMaxSide, "]"));
  }
  const size_t expected = size_t{3} * image.width * image.height;
  if (image.rgb.size() != expected) {
    return absl::InvalidArgumentError(absl::StrCat("image of ", image.width, " x ", image.height,
                                                   " pixels has ", image.rgb.size(), " bytes, expected ",
                                                   expected));
  }
  // The simplified interface: it reports errors, where the other one jumps over destructors.
  png_image png = {};
  png.version = PNG_IMAGE_VERSION;
  png.format = PNG_FORMAT_RGB;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
  std::string bytes(size, '\0');
  if (!png_image_write_to_memory(&png, bytes.data(), &size, 0, image.rgb.data(), 0, nullptr)) {
    return LibraryError(png);
  }
  bytes.resize(size);
  return bytes;
}

std::string Base64(const std::string& bytes) { return absl::Base64Escape(bytes); }

}  // namespace manyform
