#include "base/hash.h"

#include <string>

#include "base/files.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

std::span<const uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// RFC 1321, appendix A.5.
TEST(Md5, PublishedVectors) {
  EXPECT_EQ(Md5Hex(""), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(Md5Hex("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
  EXPECT_EQ(Md5Prefix32("abc"), 0x90015098u);
  EXPECT_EQ(Md5Prefix32("a"), 0x0cc175b9u);
}

// FIPS 180-2, appendix B.
TEST(Sha256, PublishedVectors) {
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Hex(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, OfAFileIsThatOfItsBytes) {
  const std::string path = testing::TempDir() + "/hashed";
  for (const size_t size : {size_t{0}, size_t{3}, size_t{1} << 20, (size_t{2} << 20) + 7}) {
    const std::string bytes(size, 'x');
    ASSERT_TRUE(WriteFileAtomically(path, bytes).ok());
    EXPECT_EQ(*Sha256HexOfFile(path), Sha256Hex(bytes)) << size;
  }
  EXPECT_EQ(Sha256HexOfFile(path + ".none").status().code(), absl::StatusCode::kNotFound);
}

// The empty input's value is listed by the XXH3 specification's sanity tests (seed 0).
TEST(Xxh3, PublishedVector) { EXPECT_EQ(Xxh3({}), 0x2D06800538D394C2u); }

TEST(Xxh3, EveryByteCounts) {
  std::string text(300, 'q');
  const uint64_t before = Xxh3(Bytes(text));
  for (char& c : text) {
    c ^= 1;
    EXPECT_NE(Xxh3(Bytes(text)), before);
    c ^= 1;
  }
  EXPECT_EQ(Xxh3(Bytes(text)), before);
}

}  // namespace
}  // namespace manyform
