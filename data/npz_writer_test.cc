#include "data/npz_writer.h"

#include <cstring>
#include <filesystem>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "data/testing/golden_npz.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

std::vector<float> Ramp(int64_t n) {
  std::vector<float> values(n);
  std::iota(values.begin(), values.end(), 0.5f);
  return values;
}

class NpzWriterTest : public testing::Test {
 protected:
  NpzWriterTest() : path_(absl::StrCat(testing::TempDir(), "/writer/x.npz")) {
    std::filesystem::remove_all(std::filesystem::path(path_).parent_path());
  }
  const std::string path_;
};

TEST_F(NpzWriterTest, PiecesReadBackAsWhole) {
  const std::vector<float> values = Ramp(3 * 5 * 7);
  const NamedArray names = {"key", MakeStringArray({"a/ä", "long name/x"})};
  const auto write = [&](uint64_t piece) {
    NpzWriter writer = OrThrow(NpzWriter::Create(path_));
    EXPECT_TRUE(writer.Begin("feat", DType::kF32, {3, 5, 7}).ok());
    for (uint64_t at = 0, size = values.size() * 4; at < size; at += piece) {
      const auto* bytes = reinterpret_cast<const char*>(values.data());
      EXPECT_TRUE(writer.Append(bytes + at, std::min(piece, size - at)).ok());
    }
    EXPECT_TRUE(writer.Write(names).ok());
    EXPECT_TRUE(writer.Begin("größe", DType::kI64, {0, 4}).ok());
    EXPECT_TRUE(writer.Finish().ok());
    return OrThrow(ReadFile(path_));
  };
  const std::string bytes = write(4);
  EXPECT_EQ(write(97), bytes);
  EXPECT_EQ(write(100000), bytes);

  const NpzReader npz = OrThrow(NpzReader::Open(path_));
  ASSERT_EQ(npz.members().size(), 3u);
  const Array feat = OrThrow(npz.Read("feat", /*verify=*/true));
  EXPECT_EQ(feat.shape, (std::vector<int64_t>{3, 5, 7}));
  EXPECT_EQ(OrThrow(feat.Values<float>()), values);
  EXPECT_EQ(OrThrow(OrThrow(npz.Read("key", true)).Strings()), OrThrow(names.array.Strings()));
  EXPECT_EQ(OrThrow(npz.Read("größe", true)).size(), 0);
  for (const NpzMember& member : npz.members()) EXPECT_EQ(member.offset % 64, 0u) << member.name;
}

TEST_F(NpzWriterTest, NothingRemainsOfWhatIsNotFinished) {
  {
    NpzWriter writer = OrThrow(NpzWriter::Create(path_));
    ASSERT_TRUE(writer.Begin("x", DType::kF32, {2}).ok());
  }
  EXPECT_TRUE(OrThrow(ListDirectory(testing::TempDir() + "/writer")).empty());
}

TEST_F(NpzWriterTest, WrongSizesAndNamesAreRefused) {
  NpzWriter writer = OrThrow(NpzWriter::Create(path_));
  const float x[3] = {1, 2, 3};
  EXPECT_FALSE(writer.Append(x, 4).ok());
  EXPECT_FALSE(writer.Begin("", DType::kF32, {2}).ok());
  EXPECT_FALSE(writer.Begin("x", DType::kF32, {-2}).ok());
  EXPECT_FALSE(writer.Begin("x", DType::kUnicode, {2}).ok());
  ASSERT_TRUE(writer.Begin("x", DType::kF32, {2}).ok());
  EXPECT_FALSE(writer.Append(x, 12).ok());
  ASSERT_TRUE(writer.Append(x, 4).ok());
  EXPECT_FALSE(writer.Begin("y", DType::kF32, {2}).ok());
  EXPECT_FALSE(writer.Finish().ok());
  ASSERT_TRUE(writer.Append(x, 4).ok());
  EXPECT_FALSE(writer.Begin("x", DType::kF32, {2}).ok());
  EXPECT_TRUE(writer.Finish().ok());
}

}  // namespace
}  // namespace manyform
