#include "base/png_writer.h"

#include <png.h>

#include "absl/strings/match.h"
#include "base/numpy_random.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

Image Noise(int width, int height, uint32_t seed) {
  NumpyRandomState random(seed);
  Image image{width, height, std::vector<uint8_t>(size_t{3} * width * height)};
  for (uint8_t& value : image.rgb) value = static_cast<uint8_t>(random.RandInt(0, 256));
  return image;
}

TEST(EncodePng, TheLibraryReadsItBack) {
  for (const auto& [width, height] : std::vector<std::pair<int, int>>{{1, 1}, {3, 2}, {200, 131}, {1, 400}}) {
    const Image image = Noise(width, height, 5);
    const std::string bytes = EncodePng(image).value();
    png_image png = {};
    png.version = PNG_IMAGE_VERSION;
    ASSERT_TRUE(png_image_begin_read_from_memory(&png, bytes.data(), bytes.size()));
    EXPECT_EQ(static_cast<int>(png.width), width);
    EXPECT_EQ(static_cast<int>(png.height), height);
    EXPECT_EQ(png.format & ~PNG_FORMAT_FLAG_COLORMAP, PNG_FORMAT_RGB);
    png.format = PNG_FORMAT_RGB;
    std::vector<uint8_t> rgb(image.rgb.size());
    ASSERT_TRUE(png_image_finish_read(&png, nullptr, rgb.data(), 0, nullptr));
    EXPECT_EQ(rgb, image.rgb);
  }
}

TEST(EncodePng, SmoothPicturesAreSmall) {
  const Image white{512, 512, std::vector<uint8_t>(size_t{3} * 512 * 512, 255)};
  EXPECT_LT(EncodePng(white)->size(), 8000);
}

TEST(EncodePng, SamePictureSameBytes) {
  EXPECT_EQ(*EncodePng(Noise(64, 64, 1)), *EncodePng(Noise(64, 64, 1)));
}

TEST(EncodePng, Refuses) {
  const Image cases[] = {{0, 1, {}},
                         {-3, 1, {}},
                         {16385, 1, std::vector<uint8_t>(size_t{3} * 16385)},
                         {2, 2, std::vector<uint8_t>(11)}};
  for (const Image& image : cases) {
    const absl::Status status = EncodePng(image).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(absl::StrContains(status.message(), "expected")) << status;
  }
}

// RFC 4648, section 10.
TEST(Base64, PublishedVectors) {
  EXPECT_EQ(Base64(""), "");
  EXPECT_EQ(Base64("f"), "Zg==");
  EXPECT_EQ(Base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(Base64("\xfb\xff"), "+/8=");
}

}  // namespace
}  // namespace manyform
