// What NumPy and Python's zipfile ask of an .npz, and what NumPy writes, beside ours: no Python needed.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "data/cache_builder.h"
#include "data/npy.h"
#include "data/npz.h"
#include "data/testing/golden_npz.h"
#include "data/zip_directory.h"
#include "gtest/gtest.h"
#include "libdeflate.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;

std::vector<uint8_t> Bytes(const std::string& text) { return {text.begin(), text.end()}; }
std::vector<uint8_t> FileBytes(const std::string& path) { return Bytes(OrThrow(ReadFile(path))); }

uint32_t Number(const std::vector<uint8_t>& file, size_t at, int bytes) {
  uint32_t value = 0;
  memcpy(&value, file.data() + at, bytes);
  return value;
}

// The .npy files in an .npz, whatever wrote it, in the zip's order.
struct NpyFile {
  std::string name, bytes;
};
std::vector<NpyFile> NpyFiles(const std::vector<uint8_t>& file) {
  std::vector<NpyFile> files;
  for (const ZipMember& zip : OrThrow(ReadZipDirectory(file, "x.npz"))) {
    std::string npy(zip.size, '\0');
    if (zip.method == kZipStored) {
      memcpy(npy.data(), file.data() + zip.data_offset, zip.size);
    } else {
      libdeflate_decompressor* inflater = libdeflate_alloc_decompressor();
      EXPECT_EQ(libdeflate_deflate_decompress(inflater, file.data() + zip.data_offset, zip.packed_size,
                                              npy.data(), npy.size(), nullptr),
                LIBDEFLATE_SUCCESS);
      libdeflate_free_decompressor(inflater);
    }
    files.push_back({zip.name, std::move(npy)});
  }
  return files;
}

std::vector<NamedArray> Arrays(const NpzReader& npz) {
  std::vector<NamedArray> arrays;
  for (const NpzMember& member : npz.members()) {
    arrays.push_back({member.name, OrThrow(npz.Read(member.name, true))});
  }
  return arrays;
}

// One entry of the directory, and where it leads.
struct Entry {
  uint32_t at = 0, flags = 0, method = 0, crc = 0, packed = 0, size = 0, local = 0, end = 0;
  std::string name;
};

Entry DirectoryEntry(const std::vector<uint8_t>& file, uint32_t at) {
  Entry entry{.at = at};
  EXPECT_EQ(Number(file, at, 4), 0x02014b50u);
  // zipfile extracts up to version 6.3; 2.0 is deflate's.
  EXPECT_EQ(Number(file, at + 6, 2), 20u);
  entry.flags = Number(file, at + 8, 2);
  entry.method = Number(file, at + 10, 2);
  EXPECT_EQ(entry.flags & ~0x800u, 0u) << "encrypted, patched or streamed";
  EXPECT_TRUE(entry.method == 0 || entry.method == 8);
  // The date is a valid one: 1980-01-01 00:00.
  EXPECT_EQ(Number(file, at + 12, 4), 0x00210000u);
  entry.crc = Number(file, at + 16, 4);
  entry.packed = Number(file, at + 20, 4);
  entry.size = Number(file, at + 24, 4);
  EXPECT_EQ(Number(file, at + 30, 4), 0u) << "extra field and comment";
  entry.local = Number(file, at + 42, 4);
  entry.end = at + 46 + Number(file, at + 28, 2);
  entry.name = std::string(file.begin() + at + 46, file.begin() + entry.end);
  EXPECT_TRUE(absl::EndsWith(entry.name, ".npy"));
  // Names that are not ASCII are read as CP437 unless they are said to be UTF-8.
  const bool ascii = std::all_of(entry.name.begin(), entry.name.end(), [](char c) { return c >= 0; });
  EXPECT_EQ((entry.flags & 0x800u) != 0, !ascii);
  return entry;
}

// The local header says the same as the directory. Where the member's bytes begin.
uint32_t CheckLocalHeader(const std::vector<uint8_t>& file, const Entry& entry) {
  const uint32_t local = entry.local;
  EXPECT_EQ(Number(file, local, 4), 0x04034b50u);
  // Version, flags, method, time, checksum, sizes, length of the name: two bytes later there.
  for (const int field : {4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26}) {
    EXPECT_EQ(Number(file, local + field, 2), Number(file, entry.at + field + 2, 2)) << field;
  }
  const uint32_t extra = Number(file, local + 28, 2);
  const uint32_t name_size = static_cast<uint32_t>(entry.name.size());
  EXPECT_EQ(std::string(file.begin() + local + 30, file.begin() + local + 30 + name_size), entry.name);
  // zipfile walks extra fields: each an id, a size, so many bytes; id 1 would be zip64's.
  for (uint32_t field = 0; field < extra;) {
    EXPECT_LE(field + 4, extra);
    EXPECT_NE(Number(file, local + 30 + name_size + field, 2), 1u);
    field += 4 + Number(file, local + 30 + name_size + field + 2, 2);
    EXPECT_LE(field, extra);
  }
  return local + 30 + name_size + extra;
}

// Magic, version 1.0, the header's length; the header is a dictionary with its keys in sorted order and ends
// in a newline; what comes before the elements is a multiple of 64.
void CheckNpyHeader(const std::string& npy) {
  ASSERT_EQ(npy.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  const size_t header = static_cast<uint8_t>(npy[8]) + size_t{256} * static_cast<uint8_t>(npy[9]);
  EXPECT_EQ((10 + header) % 64, 0u);
  const std::string dict = npy.substr(10, header);
  EXPECT_EQ(dict.back(), '\n');
  const size_t order = dict.find("', 'fortran_order': "), shape = dict.find(", 'shape': (");
  EXPECT_EQ(dict.find("{'descr': '"), 0u) << dict;
  EXPECT_TRUE(order != std::string::npos && shape != std::string::npos && order < shape) << dict;
  EXPECT_EQ(dict.find_first_not_of(' ', dict.find("), }") + 4), dict.size() - 1) << dict;
}

// What zipfile.ZipFile and numpy.lib.format look at when they open a file, field by field.
void ExpectPythonOpens(const std::vector<uint8_t>& file, bool mappable) {
  // The end record is last, so that no comment has to be searched; one disk, no zip64.
  const uint32_t end = static_cast<uint32_t>(file.size()) - 22;
  ASSERT_EQ(Number(file, end, 4), 0x06054b50u);
  EXPECT_EQ(Number(file, end + 4, 4), 0u);
  const uint32_t members = Number(file, end + 8, 2), directory = Number(file, end + 16, 4);
  EXPECT_EQ(Number(file, end + 10, 2), members);
  EXPECT_EQ(Number(file, end + 20, 2), 0u);
  EXPECT_EQ(directory + Number(file, end + 12, 4), end);
  const std::vector<NpyFile> files = NpyFiles(file);
  ASSERT_EQ(files.size(), members);
  std::set<std::string> names;
  uint32_t at = directory, expected_local = 0;
  for (const NpyFile& npy : files) {
    const Entry entry = DirectoryEntry(file, at);
    at = entry.end;
    EXPECT_TRUE(names.insert(entry.name).second);
    EXPECT_EQ(entry.local, expected_local) << "a gap or an overlap, which zipfile refuses since 3.12";
    const uint32_t data = CheckLocalHeader(file, entry);
    expected_local = data + entry.packed;
    if (entry.method == 0) {
      EXPECT_EQ(entry.packed, entry.size);
      EXPECT_TRUE(!mappable || data % 64 == 0);
    }
    EXPECT_EQ(libdeflate_crc32(0, npy.bytes.data(), npy.bytes.size()), entry.crc);
    EXPECT_EQ(npy.bytes.size(), entry.size);
    CheckNpyHeader(npy.bytes);
  }
  EXPECT_EQ(at, end);
  EXPECT_EQ(expected_local, directory);
}

// Same members with the same names, in the same order, each the same .npy file byte for byte.
void ExpectSameNpyFiles(const std::vector<uint8_t>& ours, const std::vector<uint8_t>& numpys) {
  const std::vector<NpyFile> a = NpyFiles(ours), b = NpyFiles(numpys);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].name, b[i].name);
    EXPECT_TRUE(a[i].bytes == b[i].bytes) << a[i].name;
  }
}

class WrittenByNumpy : public testing::TestWithParam<const char*> {};

TEST_P(WrittenByNumpy, WhatWeWriteOfItHoldsTheSameNpyFiles) {
  const std::vector<uint8_t> numpys = FileBytes(GetParam());
  const std::vector<NamedArray> arrays = Arrays(OrThrow(NpzReader::FromBytes("numpy's", numpys)));
  for (const bool compress : {false, true}) {
    const std::vector<uint8_t> ours = Bytes(OrThrow(EncodeNpz(arrays, {.compress = compress})));
    ExpectSameNpyFiles(ours, numpys);
    ExpectPythonOpens(ours, /*mappable=*/true);
  }
}

// Every dtype and order, scalars, empty arrays and text; published caches of meshes, scans and of old.
INSTANTIATE_TEST_SUITE_P(Files, WrittenByNumpy,
                         testing::Values("testdata/npz/numpy_stored.npz", "testdata/npz/numpy_deflated.npz",
                                         "testdata/golden/b_shapes/cache/train/class_b/torus.npz",
                                         "testdata/golden/b_shapes/cache/train/class_d/dirty.npz",
                                         "testdata/golden/c_tokens/cache/test/beta/old.npz",
                                         "testdata/golden/c_tokens/cache/test/beta/scan.npz"));

// The header NumPy would have written of the array in C order, in which ours all are: the published ray
// directions, a transposed product, are in Fortran order.
std::string HeaderInCOrder(const std::string& npy) {
  std::string header = npy.substr(0, 128);
  const size_t order = header.find("True, 'shape': (16, 3), }");
  if (order == std::string::npos) return header;
  header.replace(order, 4, "False");
  header.erase(header.rfind(' '), 1);
  return header;
}

// A cache built here from meshes, beside the one that NumPy wrote of the same meshes (savez_compressed).
class Built : public testing::TestWithParam<bool> {};

TEST_P(Built, OpensInNumpyWithTheHeadersNumpyWrites) {
  const std::string root = absl::StrCat(testing::TempDir(), "/numpy_format_", GetParam());
  fs::remove_all(root);
  BuildCacheConfig config;
  config.set_shapenet_root("testdata/golden/d_splits/tiny/meshes");
  config.set_out_root(root);
  config.set_pc_points(32);
  config.set_pt_pool(24);
  config.set_ray_pool(16);
  config.set_n_views(4);
  config.set_rays_per_view(4);
  config.set_pc_grid(8);
  config.set_df_grid(8);
  config.set_dist_ref_points(40);
  config.set_seed(5);
  config.set_compress(GetParam());
  ASSERT_EQ(OrThrow(BuildCache(config)).failed_size(), 0);
  for (const char* shape : {"train/0100/m00", "train/0200/m11", "test/0100/m02"}) {
    const std::vector<uint8_t> ours = FileBytes(absl::StrCat(root, "/", shape, ".npz"));
    ExpectPythonOpens(ours, !GetParam());
    const std::vector<NpyFile> a = NpyFiles(ours);
    const std::vector<NpyFile> b =
        NpyFiles(FileBytes(absl::StrCat("testdata/golden/d_splits/tiny/all/", shape, ".npz")));
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].name, b[i].name);
      ASSERT_EQ(a[i].bytes.size(), b[i].bytes.size()) << a[i].name;
      EXPECT_EQ(a[i].bytes.substr(0, 128), HeaderInCOrder(b[i].bytes)) << a[i].name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Stored, Built, testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Compressed, Built, testing::Values(true));

TEST(EncodeNpz, NamesThatAreNotAsciiAreSaidToBeUtf8) {
  const std::vector<NamedArray> arrays = {{"gr\xc3\xbc\x6e", MakeArray<float>({1}, {1})},
                                          {"plain", MakeArray<float>({2}, {})}};
  ExpectPythonOpens(Bytes(OrThrow(EncodeNpz(arrays))), true);
}

}  // namespace
}  // namespace manyform
