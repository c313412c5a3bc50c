#include "data/hdf5_reader.h"

#include <functional>
#include <random>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "data/testing/hdf5_writer.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using Bytes = std::vector<uint8_t>;

std::string WriteTemporary(const std::string& name, const Bytes& bytes) {
  std::string path = absl::StrCat(testing::TempDir(), "/", name);
  EXPECT_TRUE(WriteFileAtomically(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}).ok());
  return path;
}

absl::Status Refusal(const Bytes& bytes) {
  const auto scans = Hdf5Scans::FromBytes("some.h5", bytes);
  if (!scans.ok()) {
    EXPECT_TRUE(absl::StartsWith(scans.status().message(), "some.h5: ")) << scans.status();
  }
  return scans.status();
}

TEST(Hdf5Scans, ReadsWhatH5pyWrites) {
  const auto gzip = Hdf5Scans::Open("testdata/scans/h5py_gzip.h5");
  ASSERT_TRUE(gzip.ok()) << gzip.status();
  ASSERT_EQ((*gzip)->num_scans(), 40);
  ASSERT_EQ((*gzip)->points_per_scan(), 64);
  const auto latest = Hdf5Scans::Open("testdata/scans/h5py_latest.h5");
  ASSERT_TRUE(latest.ok()) << latest.status();
  ASSERT_EQ((*latest)->num_scans(), 5);
  for (Hdf5Scans* scans : {gzip->get(), latest->get()}) {
    for (int64_t row = 0; row < scans->num_scans(); ++row) {
      EXPECT_EQ(scans->labels()[row], row % 15);
      const auto points = scans->Scan(row);
      ASSERT_TRUE(points.ok()) << points.status();
      ASSERT_EQ(points->rows(), scans->points_per_scan());
      for (int j = 0; j < points->rows(); ++j) {
        for (int k = 0; k < 3; ++k) EXPECT_EQ((*points)(j, k), static_cast<float>(row) + j / 64.f - k / 4.f);
      }
    }
  }
}

TEST(Hdf5Scans, AnyOrderAnyThreadAnyStorage) {
  const Hdf5Storage kinds[] = {{}, {{7, 50, 2}, 0, ""}, {{1, 300, 3}, 6, ""}, {{90, 300, 3}, 1, ""}};
  for (const Hdf5Storage& storage : kinds) {
    const std::string path = WriteTemporary("order.h5", CountingHdf5(90, 300, storage));
    const auto scans = Hdf5Scans::Open(path);
    ASSERT_TRUE(scans.ok()) << scans.status();
    const auto read = [&](unsigned seed) {
      std::mt19937 random(seed);
      for (int n = 0; n < 60; ++n) {
        const int64_t row = random() % 90;
        const auto points = (*scans)->Scan(row);
        ASSERT_TRUE(points.ok());
        for (int i = 0; i < 900; i += 37) EXPECT_EQ(points->data()[i], static_cast<float>(row * 900 + i));
      }
    };
    std::thread other(read, 1);
    read(2);
    other.join();
  }
}

TEST(Hdf5Scans, MissingDatasetsAreAKindOfTheirOwn) {
  const auto broken = Hdf5Scans::Open("testdata/golden/b_shapes/scan/h5/main_split/train_broken.h5");
  EXPECT_TRUE(absl::IsFailedPrecondition(broken.status()));
  EXPECT_TRUE(absl::StrContains(broken.status().message(), "train_broken.h5: has no dataset data"));
  Hdf5Writer writer;
  writer.AddFloats("data", {1, 1, 3}, {1, 2, 3});
  const absl::Status status = Refusal(writer.Bytes());
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_TRUE(absl::StrContains(status.message(), "has no dataset label"));
}

struct BadCase {
  const char* name;
  std::function<void(Hdf5Writer&)> write;
  const char* message;
};

TEST(Hdf5Scans, RefusesByName) {
  const auto good_label = [](Hdf5Writer& w) { w.AddInts("label", {2}, {0, 1}); };
  const auto good_data = [](Hdf5Writer& w) { w.AddFloats("data", {2, 1, 3}, {1, 2, 3, 4, 5, 6}); };
  const BadCase cases[] = {
      {"flat data",
       [&](Hdf5Writer& w) {
         w.AddFloats("data", {2, 3}, {1, 2, 3, 4, 5, 6});
         good_label(w);
       },
       "dataset data has shape (2, 3), expected (N, M, 3)"},
      {"two columns",
       [&](Hdf5Writer& w) {
         w.AddFloats("data", {2, 1, 2}, {1, 2, 3, 4});
         good_label(w);
       },
       "dataset data has shape (2, 1, 2)"},
      {"no scans",
       [&](Hdf5Writer& w) {
         w.AddFloats("data", {0, 4, 3}, {});
         good_label(w);
       },
       "dataset data has shape (0, 4, 3)"},
      {"a number",
       [&](Hdf5Writer& w) {
         w.AddFloats("data", {}, {1});
         good_label(w);
       },
       "dataset data is a single number"},
      {"integers",
       [&](Hdf5Writer& w) {
         w.AddInts("data", {2, 1, 3}, {1, 2, 3, 4, 5, 6});
         good_label(w);
       },
       "dataset data is to hold floats"},
      {"labels that are floats",
       [&](Hdf5Writer& w) {
         good_data(w);
         w.AddFloats("label", {2}, {0, 1});
       },
       "dataset label is to hold integers"},
      {"too many labels",
       [&](Hdf5Writer& w) {
         good_data(w);
         w.AddInts("label", {3}, {0, 1, 2});
       },
       "dataset label has shape (3), expected (2) as data is (2, 1, 3)"},
      {"labels by two",
       [&](Hdf5Writer& w) {
         good_data(w);
         w.AddInts("label", {2, 2}, {0, 1, 2, 3});
       },
       "dataset label has shape (2, 2)"},
      {"a negative label",
       [&](Hdf5Writer& w) {
         good_data(w);
         w.AddInts("label", {2}, {0, -1});
       },
       "label of row 1 is -1"},
      {"a group",
       [&](Hdf5Writer& w) {
         H5Gclose(H5Gcreate2(w.file(), "data", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
         good_label(w);
       },
       "some.h5: data: "},
      {"a soft link",
       [&](Hdf5Writer& w) {
         w.AddFloats("other", {2, 1, 3}, {1, 2, 3, 4, 5, 6});
         H5Lcreate_soft("/other", w.file(), "data", H5P_DEFAULT, H5P_DEFAULT);
         good_label(w);
       },
       "data is a link"},
      {"a link into another file",
       [&](Hdf5Writer& w) {
         H5Lcreate_external("/etc/other.h5", "/data", w.file(), "data", H5P_DEFAULT, H5P_DEFAULT);
         good_label(w);
       },
       "data is a link"},
      {"values in another file",
       [&](Hdf5Writer& w) {
         w.Add("data", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {2, 1, 3}, nullptr, {{}, 0, "/etc/hostname"});
         good_label(w);
       },
       "lies in other files"},
      {"no content",
       [&](Hdf5Writer& w) {
         w.Add("data", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {2, 1 << 20, 3}, nullptr, {});
         good_label(w);
       },
       "should have 25165824 bytes, but 0 are stored"},
      {"no content in chunks",
       [&](Hdf5Writer& w) {
         w.Add("data", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {2, hsize_t{1} << 40, 3}, nullptr,
               {{1, 8, 3}, 9, ""});
         good_label(w);
       },
       "bytes, but 0 are stored"},
      {"huge chunks",
       [&](Hdf5Writer& w) {
         const float six[] = {1, 2, 3, 4, 5, 6};
         w.Add("data", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {2, 1, 3}, six, {{2, 1, 3}, 0, ""});
         w.Add("label", H5T_STD_I64LE, H5T_NATIVE_INT64, {2, 1 << 21}, nullptr, {});
       },
       "should have 33554432 bytes"},
  };
  for (const BadCase& bad : cases) {
    SCOPED_TRACE(bad.name);
    Hdf5Writer writer;
    bad.write(writer);
    const absl::Status status = Refusal(writer.Bytes());
    EXPECT_FALSE(status.ok());
    EXPECT_TRUE(absl::StrContains(status.message(), bad.message)) << status;
  }
}

TEST(Hdf5Scans, WhatIsNoHdf5) {
  EXPECT_TRUE(absl::IsNotFound(Hdf5Scans::Open("testdata/scans/none.h5").status()));
  EXPECT_TRUE(absl::IsDataLoss(Refusal({})));
  EXPECT_TRUE(absl::IsDataLoss(Refusal(Bytes(5000, 'x'))));
  const std::string empty = WriteTemporary("empty.h5", {});
  const absl::Status status = Hdf5Scans::Open(empty).status();
  EXPECT_TRUE(absl::StrContains(status.message(), "empty.h5: is no HDF5 file")) << status;
}

// On these the library (1.10.8) writes through a null pointer, or runs out of memory.
TEST(Hdf5Scans, WhatCrashesTheLibraryIsRefused) {
  for (const char* name : {"crashes_library_1", "crashes_library_2"}) {
    const std::string path = absl::StrCat("testdata/fuzz/hdf5/", name);
    const absl::Status status = Hdf5Scans::Open(path).status();
    EXPECT_TRUE(absl::StartsWith(status.message(), absl::StrCat(path, ": "))) << status;
  }
}

// Cut anywhere, a file is refused; nothing is made up.
TEST(Hdf5Scans, Truncated) {
  const Bytes whole = CountingHdf5(4, 50, {{2, 20, 3}, 4, ""});
  ASSERT_TRUE(Hdf5Scans::FromBytes("whole.h5", whole).ok());
  for (size_t size = 0; size + 1 < whole.size(); size += 41) {
    EXPECT_FALSE(Refusal(Bytes(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size))).ok()) << size;
  }
}

TEST(Hdf5Scans, DamagedContentNamesTheRows) {
  const Bytes good = CountingHdf5(4, 2000, {{1, 2000, 3}, 9, ""});
  // The deflated chunks are most of the file.
  int refused = 0;
  for (size_t at = good.size() / 3; at < good.size(); at += good.size() / 9) {
    Bytes bad = good;
    for (size_t i = at; i < std::min(at + 64, bad.size()); ++i) bad[i] ^= 0x5a;
    const auto scans = Hdf5Scans::FromBytes("bad.h5", bad);
    if (!scans.ok()) continue;
    for (int64_t row = 0; row < 4; ++row) {
      const absl::Status status = (*scans)->Scan(row).status();
      if (status.ok()) continue;
      ++refused;
      EXPECT_TRUE(absl::IsDataLoss(status));
      EXPECT_TRUE(absl::StrContains(status.message(), "bad.h5: dataset data, rows from ")) << status;
    }
  }
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace manyform
