#include "data/manifest.h"

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/hash.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

constexpr char kGolden[] = "testdata/golden/b_shapes/cache";

std::string NewFolder(absl::string_view name) {
  std::string folder = absl::StrCat(testing::TempDir(), "/manifest_", name);
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

std::vector<NamedArray> SomeArrays(float value) {
  return {{"xyz", MakeArray<float>({value, 1, 2, 3, 4, 5}, {2, 3})},
          {"n", MakeArray<int32_t>({7}, {1})},
          {"grid", MakeHalfArray(std::vector<float>{0.5f, value}, {2})}};
}

// A small cache of two splits with and without compression.
std::string WriteCache(absl::string_view name, bool compress) {
  std::string root = NewFolder(name);
  float value = 0;
  for (const char* shape : {"train/chair/b", "train/chair/a", "test/lamp/c", "train/apple/z"}) {
    EXPECT_TRUE(
        WriteNpz(absl::StrCat(root, "/", shape, ".npz"), SomeArrays(value++), {.compress = compress}).ok());
  }
  return root;
}

TEST(IndexCache, FindsGoldenShapesSorted) {
  const auto manifest = IndexCache(kGolden, 2, true);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  std::vector<std::string> keys;
  for (const ShapeEntry& shape : manifest->shapes()) {
    EXPECT_EQ(shape.split(), "train");
    EXPECT_EQ(shape.file_size(), std::filesystem::file_size(ShapePath(kGolden, shape)));
    EXPECT_TRUE(VerifyShapeFile(ShapePath(kGolden, shape), shape).ok());
    keys.push_back(ShapeKey(shape));
  }
  EXPECT_EQ(keys,
            (std::vector<std::string>{"class_a/box", "class_a/sphere", "class_b/capsule", "class_b/torus",
                                      "class_c/lshape", "class_c/two", "class_d/dirty", "class_d/sheet"}));
  // sphere and dirty have the same parameters.
  EXPECT_EQ(manifest->shapes(1).layout(), manifest->shapes(6).layout());
  EXPECT_NE(manifest->shapes(0).layout(), manifest->shapes(1).layout());
}

TEST(IndexCache, SkipsBookkeepingAndNamesDamagedFiles) {
  const std::string root = WriteCache("bookkeeping", false);
  ASSERT_TRUE(WriteFileAtomically(root + "/_meta/x/y.npz", "no shape").ok());
  ASSERT_TRUE(WriteFileAtomically(root + "/train/chair/.d.npz", "unfinished").ok());
  ASSERT_TRUE(WriteFileAtomically(root + "/train/notes.txt", "text").ok());
  EXPECT_EQ(IndexCache(root, 1, false)->shapes_size(), 4);
  ASSERT_TRUE(WriteFileAtomically(root + "/train/chair/d.npz", "no shape").ok());
  const auto status = IndexCache(root, 1, false).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(absl::StrContains(status.message(), root + "/train/chair/d.npz")) << status;
}

TEST(OpenManifest, WithoutOneIndexesAndWithoutFolderFails) {
  EXPECT_EQ(OpenManifest(WriteCache("unindexed", true))->shapes_size(), 4);
  EXPECT_EQ(OpenManifest("no/such/folder").status().code(), absl::StatusCode::kNotFound);
}

class Cache : public testing::TestWithParam<bool> {};

TEST_P(Cache, ShapesReadThroughTheManifestAsWithoutIt) {
  const std::string root = WriteCache(absl::StrCat("read_", GetParam()), GetParam());
  ASSERT_TRUE(WriteManifest(root, *IndexCache(root, 2, true)).ok());
  const auto manifest = ReadManifest(root);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  ASSERT_EQ(manifest->shapes_size(), 4);
  EXPECT_EQ(manifest->layouts_size(), 1);
  EXPECT_EQ(ShapeKey(manifest->shapes(0)), "lamp/c");
  for (const ShapeEntry& entry : manifest->shapes()) {
    const std::string path = ShapePath(root, entry);
    const auto indexed = ShapeFile::Open(path, entry, *manifest), plain = ShapeFile::Open(path);
    ASSERT_TRUE(indexed.ok()) << indexed.status();
    ASSERT_TRUE(plain.ok()) << plain.status();
    for (const char* name : {"xyz", "n", "grid"}) {
      ASSERT_TRUE((*indexed)->Has(name));
      const Array a = *(*indexed)->Get(name), b = *(*plain)->Get(name);
      EXPECT_EQ(a.shape, b.shape);
      EXPECT_EQ(*a.Values<float>(), *b.Values<float>());
    }
    EXPECT_TRUE((*indexed)->Get("xyz")->View<float>().ok());
    EXPECT_EQ((*indexed)->Get("none").status().code(), absl::StatusCode::kNotFound);
    EXPECT_TRUE(absl::StrContains((*indexed)->Get("none").status().message(), path));
    EXPECT_EQ((*indexed)->path(), path);
    // An array asked for twice is the same memory.
    EXPECT_EQ((*indexed)->Get("n")->data, (*indexed)->Get("n")->data);
  }
}

INSTANTIATE_TEST_SUITE_P(Stored, Cache, testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Compressed, Cache, testing::Values(true));

TEST(ShapeFile, UnalignedStoredArraysAreCopied) {
  // NumPy's own stored files pay no heed to alignment.
  const auto shape = ShapeFile::Open("testdata/npz/numpy_stored.npz");
  ASSERT_TRUE(shape.ok()) << shape.status();
  CacheManifest manifest;
  ShapeEntry entry;
  SetLayout(&manifest, &entry, LayoutOf(*NpzReader::Open("testdata/npz/numpy_stored.npz")));
  entry.set_file_size(std::filesystem::file_size("testdata/npz/numpy_stored.npz"));
  const auto indexed = ShapeFile::Open("testdata/npz/numpy_stored.npz", entry, manifest);
  ASSERT_TRUE(indexed.ok()) << indexed.status();
  for (const char* name : {"c_f8", "c_f4", "c_i8", "scalar"}) {
    const auto array = (*indexed)->Get(name);
    ASSERT_TRUE(array.ok()) << array.status();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(array->data) % array->item_size, 0u) << name;
    EXPECT_EQ(*array->Values<double>(), *(*shape)->Get(name)->Values<double>());
  }
  EXPECT_TRUE((*indexed)->Get("f_f4")->fortran_order);
}

TEST(ShapeFile, StaleAndDamagedFilesAreFound) {
  const std::string root = WriteCache("stale", false);
  const CacheManifest manifest = *IndexCache(root, 1, true);
  const ShapeEntry& entry = manifest.shapes(0);
  const std::string path = ShapePath(root, entry);
  std::string bytes = *ReadFile(path);
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(WriteFileAtomically(path, bytes).ok());
  EXPECT_EQ(VerifyShapeFile(path, entry).code(), absl::StatusCode::kDataLoss);
  ASSERT_TRUE(WriteFileAtomically(path, bytes.substr(0, bytes.size() - 1)).ok());
  EXPECT_EQ(ShapeFile::Open(path, entry, manifest).status().code(), absl::StatusCode::kDataLoss);
  std::filesystem::remove(path);
  EXPECT_EQ(ShapeFile::Open(path, entry, manifest).status().code(), absl::StatusCode::kNotFound);
}

TEST(WriteManifest, EqualContentIsEqualBytesWhateverTheOrder) {
  const std::string root = WriteCache("order", false);
  const CacheManifest manifest = *IndexCache(root, 1, true);
  CacheManifest shuffled;
  for (int i = manifest.shapes_size(); i-- > 0;) {
    *shuffled.add_shapes() = manifest.shapes(i);
    shuffled.mutable_shapes()->rbegin()->set_layout(shuffled.layouts_size());
    *shuffled.add_layouts() = manifest.layouts(manifest.shapes(i).layout());
  }
  const std::string a = NewFolder("order_a"), b = NewFolder("order_b");
  ASSERT_TRUE(WriteManifest(a, manifest).ok());
  ASSERT_TRUE(WriteManifest(b, shuffled).ok());
  EXPECT_EQ(*ReadFile(a + "/manifest.binpb"), *ReadFile(b + "/manifest.binpb"));
}

TEST(SetLayout, ReusesEqualOnes) {
  const std::string root = WriteCache("layouts", false);
  CacheManifest manifest;
  ShapeEntry a, b, c;
  const ArrayLayout layout = IndexCache(root, 1, false)->layouts(0);
  ArrayLayout other = layout;
  other.mutable_arrays(0)->set_offset(1 << 20);
  SetLayout(&manifest, &a, layout);
  SetLayout(&manifest, &b, other);
  SetLayout(&manifest, &c, layout);
  EXPECT_EQ(a.layout(), 0);
  EXPECT_EQ(b.layout(), 1);
  EXPECT_EQ(c.layout(), 0);
}

class BadManifest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = WriteCache("bad", false);
    manifest_ = *IndexCache(root_, 1, true);
  }
  // The message for `manifest_` written as it stands.
  std::string Message() {
    EXPECT_TRUE(WriteFileAtomically(root_ + "/manifest.binpb", manifest_.SerializeAsString()).ok());
    const auto read = ReadManifest(root_);
    EXPECT_EQ(read.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_TRUE(absl::StrContains(read.status().message(), root_ + "/manifest.binpb"));
    return std::string(read.status().message());
  }
  std::string root_;
  CacheManifest manifest_;
};

TEST_F(BadManifest, Garbage) {
  ASSERT_TRUE(WriteFileAtomically(root_ + "/manifest.binpb", "\xff\xff no proto").ok());
  EXPECT_EQ(ReadManifest(root_).status().code(), absl::StatusCode::kDataLoss);
}
TEST_F(BadManifest, OtherVersion) {
  manifest_.set_version(3);
  EXPECT_TRUE(absl::StrContains(Message(), "version 3"));
}
TEST_F(BadManifest, WithoutItsChecksum) {
  EXPECT_TRUE(absl::StrContains(Message(), "checksum differs"));
  // Manifests of the first version had none.
  manifest_.set_version(1);
  ASSERT_TRUE(WriteFileAtomically(root_ + "/manifest.binpb", manifest_.SerializeAsString()).ok());
  EXPECT_TRUE(ReadManifest(root_).ok());
}
TEST_F(BadManifest, NamesThatLeaveTheFolder) {
  manifest_.mutable_shapes(0)->set_id("../../etc/passwd");
  EXPECT_TRUE(absl::StrContains(Message(), "no file name"));
}
TEST_F(BadManifest, NoSuchLayout) {
  manifest_.mutable_shapes(2)->set_layout(1);
  EXPECT_TRUE(absl::StrContains(Message(), "has no layout"));
}
TEST_F(BadManifest, ArrayBeyondTheFile) {
  manifest_.mutable_layouts(0)->mutable_arrays(0)->set_offset(1 << 20);
  EXPECT_TRUE(absl::StrContains(Message(), "beyond the end"));
}
TEST_F(BadManifest, OffsetThatOverflows) {
  manifest_.mutable_layouts(0)->mutable_arrays(0)->set_offset(~uint64_t{0});
  EXPECT_TRUE(absl::StrContains(Message(), "impossible offset"));
}
TEST_F(BadManifest, ImpossibleShape) {
  manifest_.mutable_layouts(0)->mutable_arrays(0)->set_shape(0, int64_t{1} << 60);
  EXPECT_TRUE(absl::StrContains(Message(), "impossible shape"));
}
TEST_F(BadManifest, RepeatedShape) {
  *manifest_.add_shapes() = manifest_.shapes(3);
  EXPECT_TRUE(absl::StrContains(Message(), "repeated or not in order"));
}

TEST(SplitFingerprint, SeesContentOfItsSplitOnly) {
  const std::string root = WriteCache("fingerprint", false);
  CacheManifest manifest = *IndexCache(root, 1, true);
  const std::string train = SplitFingerprint(manifest, "train"), test = SplitFingerprint(manifest, "test");
  EXPECT_EQ(train.size(), 64u);
  EXPECT_NE(train, test);
  manifest.mutable_shapes(0)->set_checksum(1);
  EXPECT_EQ(SplitFingerprint(manifest, "train"), train);
  EXPECT_NE(SplitFingerprint(manifest, "test"), test);
}

TEST(ShapePath, IsTheStringThatSeedsHash) {
  ShapeEntry entry;
  entry.set_split("eval");
  entry.set_class_name("02691156");
  entry.set_id("m1");
  EXPECT_EQ(ShapePath("./caches//a", entry), "./caches//a/eval/02691156/m1.npz");
  EXPECT_EQ(ShapeKey(entry), "02691156/m1");
}

}  // namespace
}  // namespace manyform
