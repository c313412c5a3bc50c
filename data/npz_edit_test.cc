#include "data/npz_edit.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "data/testing/golden_npz.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

std::vector<uint8_t> Bytes(const std::string& text) { return {text.begin(), text.end()}; }

absl::StatusOr<NpzReader> Edited(const std::vector<uint8_t>& file, const std::vector<NamedArray>& arrays) {
  const absl::StatusOr<std::string> bytes = EditNpz("x.npz", file, arrays);
  if (!bytes.ok()) return bytes.status();
  return NpzReader::FromBytes("edited", Bytes(*bytes));
}

// NumPy's own files, deflated and stored without regard to alignment, and one of the published caches.
class Foreign : public testing::TestWithParam<const char*> {};

TEST_P(Foreign, OtherMembersKeepTheirBytes) {
  const std::vector<uint8_t> file = Bytes(OrThrow(ReadFile(GetParam())));
  const NpzReader before = OrThrow(NpzReader::FromBytes("before", file));
  const std::string replaced = before.members()[1].name;
  const NpzReader after = OrThrow(
      Edited(file, {{"added", MakeArray<int32_t>({1, 2, 3}, {3})}, {replaced, MakeArray<float>({7}, {1})}}));
  ASSERT_EQ(after.members().size(), before.members().size() + 1);
  EXPECT_EQ(after.members().back().name, "added");
  EXPECT_EQ(OrThrow(OrThrow(after.Read("added", true)).Values<int32_t>()), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(OrThrow(OrThrow(after.Read(replaced, true)).Values<float>()), std::vector<float>{7});
  for (size_t i = 0; i < before.members().size(); ++i) {
    const NpzMember& was = before.members()[i];
    const NpzMember& is = after.members()[i];
    EXPECT_EQ(is.name, was.name);
    EXPECT_EQ(is.compressed, was.compressed);
    if (was.name == replaced) continue;
    const Array a = OrThrow(before.Read(was.name, true)), b = OrThrow(after.Read(was.name, true));
    EXPECT_EQ(a.shape, b.shape);
    EXPECT_EQ(a.fortran_order, b.fortran_order);
    EXPECT_EQ(a.size() == 0 ? 0 : memcmp(a.data, b.data, a.size() * a.item_size), 0) << was.name;
  }
  for (const NpzMember& member : after.members()) {
    EXPECT_EQ(member.compressed, after.members()[0].compressed);
    // NumPy's headers are multiples of 64 as well.
    if (!member.compressed) {
      EXPECT_EQ(member.offset % 64, 0u) << member.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Files, Foreign,
                         testing::Values("testdata/npz/numpy_stored.npz", "testdata/npz/numpy_deflated.npz",
                                         "testdata/golden/b_shapes/cache/train/class_b/torus.npz"));

TEST(EditNpz, OfOurOwnFileIsTheFileWrittenWithThoseArrays) {
  const std::vector<NamedArray> arrays = {{"a", MakeArray<float>({1, 2}, {2})},
                                          {"longer_name", MakeArray<uint8_t>({3}, {1})}};
  const std::vector<NamedArray> all = {
      arrays[0], {"longer_name", MakeArray<double>({4, 5}, {2})}, {"c", MakeArray<int64_t>({6}, {1})}};
  for (const bool compress : {false, true}) {
    const std::vector<uint8_t> file = Bytes(OrThrow(EncodeNpz(arrays, {.compress = compress})));
    EXPECT_EQ(OrThrow(EditNpz("x", file, std::span(all).subspan(1))),
              OrThrow(EncodeNpz(all, {.compress = compress})));
    // Nothing to change: the same file.
    EXPECT_EQ(Bytes(OrThrow(EditNpz("x", file, {}))), file);
  }
}

TEST(EditNpz, DamageIsNotGivenANewChecksum) {
  const std::vector<NamedArray> arrays = {{"a", MakeArray<float>({1, 2}, {2})},
                                          {"b", MakeArray<float>({3}, {1})}};
  std::vector<uint8_t> file = Bytes(OrThrow(EncodeNpz(arrays)));
  const uint64_t at = OrThrow(NpzReader::FromBytes("x", file)).members()[0].offset;
  file[at] ^= 1;
  const absl::Status status = EditNpz("x.npz", file, std::span(arrays).subspan(1)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(status.message(), "x.npz: member \"a.npy\": checksum differs");
  // What is replaced may be damaged.
  EXPECT_TRUE(Edited(file, arrays).ok());
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_FALSE(EditNpz("x", std::span(file).first(size), arrays).ok()) << size;
  }
}

TEST(EditNpz, NamesThatClashAreRefused) {
  const Array a = MakeArray<float>({1}, {1});
  const std::vector<uint8_t> file = Bytes(OrThrow(EncodeNpz(std::vector<NamedArray>{{"a", a}})));
  EXPECT_FALSE(Edited(file, {{"b", a}, {"b", a}}).ok());
  EXPECT_FALSE(Edited(file, {{"", a}}).ok());
}

}  // namespace
}  // namespace manyform
