#include "base/zip_archive.h"

#include "base/files.h"
#include "base/testing/make_zip.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

std::string Path(const std::string& name) { return JoinPath(testing::TempDir(), name); }

TEST(ZipArchive, ReadsWhatWasPacked) {
  const std::string large(3 << 20, 'x');
  MakeZip(Path("two.zip"), {{"a/b.txt", "text"}, {"large", large}});
  const ZipArchive zip = ZipArchive::Open(Path("two.zip")).value();
  EXPECT_TRUE(zip.Contains("a/b.txt"));
  EXPECT_FALSE(zip.Contains("b.txt"));
  EXPECT_EQ(*zip.Read("a/b.txt", 4), "text");
  EXPECT_EQ(*zip.Read("large", large.size()), large);
}

TEST(ZipArchive, BytesInMemoryAreReadAlike) {
  MakeZip(Path("memory.zip"), {{"b", "2"}, {"a/b.txt", "text"}});
  const std::string bytes = ReadFile(Path("memory.zip")).value();
  const std::span<const uint8_t> view(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  const ZipArchive zip = ZipArchive::Parse("some bytes", view).value();
  EXPECT_EQ(zip.Names(), (std::vector<std::string>{"b", "a/b.txt"}));
  EXPECT_EQ(*zip.Read("a/b.txt", 4), "text");
  const absl::Status status = ZipArchive::Parse("some bytes", view.first(20)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(status.message()).find("some bytes: "), 0u) << status;
}

TEST(ZipArchive, TooLargeMembersAreRefused) {
  MakeZip(Path("bomb.zip"), {{"bomb", std::string(3 << 20, '\0')}});
  const ZipArchive zip = ZipArchive::Open(Path("bomb.zip")).value();
  EXPECT_EQ(zip.Read("bomb", (3 << 20) - 1).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(ZipArchive, MissingThingsAreNotFound) {
  EXPECT_EQ(ZipArchive::Open(Path("none.zip")).status().code(), absl::StatusCode::kNotFound);
  MakeZip(Path("one.zip"), {{"a", "1"}});
  const absl::Status status = ZipArchive::Open(Path("one.zip")).value().Read("b", 9).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(std::string(status.message()).find("one.zip: member b:"), std::string::npos) << status;
}

TEST(ZipArchive, DamagedBytesAreRefused) {
  ASSERT_TRUE(WriteFileAtomically(Path("no.zip"), "not a zip file").ok());
  EXPECT_EQ(ZipArchive::Open(Path("no.zip")).status().code(), absl::StatusCode::kInvalidArgument);

  MakeZip(Path("flip.zip"), {{"a", "a sentence that deflate leaves alone, more or less"}});
  std::string bytes = ReadFile(Path("flip.zip")).value();
  bytes[40] ^= 1;
  ASSERT_TRUE(WriteFileAtomically(Path("flip.zip"), bytes).ok());
  const auto zip = ZipArchive::Open(Path("flip.zip"));
  EXPECT_FALSE(zip.ok() && zip->Read("a", 1000).ok());
}

}  // namespace
}  // namespace manyform
