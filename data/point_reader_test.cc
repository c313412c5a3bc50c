#include "data/point_reader.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "data/npy.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

absl::StatusOr<PointCloudFile> Parse(const std::string& text, const std::string& name) {
  return ParsePoints({reinterpret_cast<const uint8_t*>(text.data()), text.size()}, name);
}

// Exact in every format.
double Coordinate(int64_t i, int k) {
  const double x = static_cast<double>(i);
  return k == 0 ? x * 0.5 : k == 1 ? -x * 0.25 : x * x * 0.125;
}

void ExpectSeven(const absl::StatusOr<PointCloudFile>& cloud, bool normals = false) {
  ASSERT_TRUE(cloud.ok()) << cloud.status();
  ASSERT_EQ(cloud->xyz.rows(), 7);
  ASSERT_EQ(cloud->normals.rows(), normals ? 7 : 0);
  for (int i = 0; i < 7; ++i) {
    for (int k = 0; k < 3; ++k) {
      EXPECT_EQ(cloud->xyz(i, k), Coordinate(i, k));
      if (normals) {
        EXPECT_EQ(cloud->normals(i, k), i % 3 == k ? 1.f : 0.f);
      }
    }
  }
}

std::string Rows(absl::string_view separator, absl::string_view more = "", bool normals = false) {
  std::string text;
  for (int i = 0; i < 7; ++i) {
    std::vector<double> row = {Coordinate(i, 0), Coordinate(i, 1), Coordinate(i, 2)};
    for (int k = 0; normals && k < 3; ++k) row.push_back(i % 3 == k);
    absl::StrAppend(&text, absl::StrJoin(row, separator), more, "\n");
  }
  return text;
}

template <class T>
void Put(std::string* out, T value, bool big) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  if (big) std::reverse(raw, raw + sizeof(T));
  out->append(raw, sizeof(T));
}

// A camera before the vertices, a list and a colour among their properties, faces after them.
std::string BinaryPly(bool big) {
  std::string ply = absl::StrCat(
      "ply\r\nformat binary_", big ? "big" : "little",
      "_endian 1.0\r\ncomment made by C:\\tool\\\r\nelement camera 1\r\nproperty list uchar short ids\r\n"
      "property double f\r\nelement vertex 7\r\nproperty uchar red\r\nproperty double y\r\nproperty float "
      "x\r\n"
      "property list ushort int tags\r\nproperty short z8\r\nproperty float z\r\nelement face 1\r\n"
      "property list uchar int vertex_indices\r\nend_header\r\n");
  Put<uint8_t>(&ply, 2, big);
  Put<int16_t>(&ply, -1, big);
  Put<int16_t>(&ply, 7, big);
  Put<double>(&ply, 0.5, big);
  for (int i = 0; i < 7; ++i) {
    Put<uint8_t>(&ply, 200, big);
    Put<double>(&ply, Coordinate(i, 1), big);
    Put<float>(&ply, static_cast<float>(Coordinate(i, 0)), big);
    Put<uint16_t>(&ply, static_cast<uint16_t>(i), big);
    for (int t = 0; t < i; ++t) Put<int32_t>(&ply, t, big);
    Put<int16_t>(&ply, -5, big);
    Put<float>(&ply, static_cast<float>(Coordinate(i, 2)), big);
  }
  Put<uint8_t>(&ply, 3, big);
  for (const int v : {0, 1, 2}) Put<int32_t>(&ply, v, big);
  return ply;
}

std::string AsciiPly(absl::string_view properties, const std::string& rows) {
  return absl::StrCat(
      "ply\nformat ascii 1.0\nelement vertex 7\nproperty float x\nproperty float y\nproperty float z\n",
      properties, "end_header\n", rows);
}

TEST(PointReader, Text) {
  for (const char* name : {"a.xyz", "a.TXT", "a.pts"}) {
    ExpectSeven(Parse(Rows(" "), name));
    ExpectSeven(Parse(Rows(", "), name));
    ExpectSeven(Parse(Rows(";"), name));
    ExpectSeven(Parse("# x y z\n\n" + Rows("\t", " # end"), name));
    ExpectSeven(Parse(Rows(" ", " 255 0 7"), name));
    ExpectSeven(Parse(Rows(" ", " 17"), name));
    ExpectSeven(Parse(Rows(",", "", /*normals=*/true), name), /*normals=*/true);
    ExpectSeven(Parse(Rows(",", ",4,9.5", /*normals=*/true), name), /*normals=*/true);
  }
  ExpectSeven(Parse("7\n" + Rows(" "), "a.pts"));
  ExpectSeven(Parse("7\r\n" + Rows(" ", " 120 1 2 3"), "dir.d/a.pts"));
}

TEST(PointReader, Npy) {
  ExpectSeven(ReadPoints("testdata/scans/numpy_f8.npy"));
  ExpectSeven(ReadPoints("testdata/scans/numpy_normals_fortran.npy"), /*normals=*/true);
  std::vector<int16_t> numbers;
  for (int16_t i = 0; i < 12; ++i) numbers.push_back(i);
  const std::string bytes = EncodeNpy(MakeArray<int32_t>({numbers.begin(), numbers.end()}, {3, 4}));
  const auto cloud = Parse(bytes, "ints.npy");
  ASSERT_TRUE(cloud.ok()) << cloud.status();
  EXPECT_EQ(cloud->xyz.row(2), Eigen::RowVector3d(8, 9, 10));
}

TEST(PointReader, Ply) {
  ExpectSeven(Parse(AsciiPly("", Rows(" ")), "a.ply"));
  ExpectSeven(Parse(AsciiPly("property uchar red\n", Rows(" ", " 9")), "a.ply"));
  const std::string normals = "property float nx\nproperty float ny\nproperty float nz\n";
  ExpectSeven(Parse(AsciiPly(normals, Rows(" ", "", true)), "a.PLY"), true);
  // Not of unit length: no normals.
  ExpectSeven(Parse(AsciiPly(normals, Rows(" ", " 0 0 0")), "a.ply"));
  ExpectSeven(Parse(BinaryPly(false), "little.ply"));
  ExpectSeven(Parse(BinaryPly(true), "big.ply"));
}

TEST(PointReader, RefusesByNameAndPlace) {
  const std::string nan = "0 0 0\n1 nan 2\n";
  const std::pair<std::pair<std::string, std::string>, std::string> cases[] = {
      {{"a.xyz", ""}, "a.xyz: has no points"},
      {{"a.xyz", "# nothing\n"}, "a.xyz: has no points"},
      {{"a.xyz", "1 2 3\n4 5\n"}, "a.xyz:2: 2 numbers, expected 3 as before"},
      {{"a.xyz", "1 2\n"}, "a.xyz:1: 2 numbers, expected three or more"},
      {{"a.txt", "1 2 3\n4 five 6\n"}, "a.txt:2: a number expected, not \"five\""},
      {{"a.txt", "3\n1 2 3\n"}, "a.txt:1: 1 numbers"},
      {{"a.txt", "# c\n" + nan}, "a.txt:3: coordinate nan is not finite"},
      {{"a.txt", "1 2 3\n1e999 0 0\n"}, "a.txt:2: coordinate inf is not finite"},
      {{"a.txt", std::string("\x7f"
                             "ELF\0\1\2",
                             7)},
       "a.txt:1: a number expected"},
      {{"a.pts", "3\n1 2 3\n"}, "a.pts: has 1 points, and a first line that says 3"},
      {{"a.pts", "-3\n1 2 3\n"}, "a.pts:1: -3 is no number of points"},
      {{"a.pts", "1.5\n1 2 3\n"}, "a.pts:1: 1.5 is no number of points"},
      {{"a.npy", "not numpy"}, "a.npy: "},
      {{"a.npy", EncodeNpy(MakeArray<float>({1, 2, 3}, {3}))}, "a.npy: has shape (3), expected (N, 3)"},
      {{"a.npy", EncodeNpy(MakeArray<float>({1, 2}, {1, 2}))}, "a.npy: has shape (1, 2)"},
      {{"a.npy", EncodeNpy(MakeArray<float>({}, {0, 3}))}, "a.npy: has no points"},
      {{"a.npy", EncodeNpy(MakeArray<float>({1, 2, 3, 4, NAN, 6}, {2, 3}))},
       "a.npy: row 1: coordinate nan is not finite"},
      {{"a.npy", EncodeNpy(MakeStringArray({"a", "b"}))}, "a.npy: "},
      {{"a.npy", EncodeNpy(MakeArray<float>({1, 2, 3, 4, 5, 6}, {2, 3})).substr(0, 140)},
       "a.npy: ends after 12 of 24 bytes"},
      {{"a.ply", "plx\n"}, "a.ply:1: \"ply\" expected"},
      {{"a.ply", "ply\nformat ascii 1.0\n"}, "a.ply:2: the header does not end"},
      {{"a.ply", "ply\nelement vertex 1\nend_header\n"}, "a.ply:3: the format is missing"},
      {{"a.ply", "ply\nformat utf8 1.0\n"}, "a.ply:2: the format is to be"},
      {{"a.ply", "ply\nproperty float x\n"}, "a.ply:2: a property without element"},
      {{"a.ply", "ply\nelement vertex -1\n"}, "a.ply:2: an element needs a name and a count"},
      {{"a.ply", "ply\nelement vertex 1\nproperty quad x\n"}, "a.ply:3: unknown type \"quad\""},
      {{"a.ply", "ply\nelement vertex 1\nproperty float\n"}, "a.ply:3: a property needs a type and a name"},
      {{"a.ply", "ply\nelephant\n"}, "a.ply:2: unknown keyword \"elephant\""},
      {{"a.ply", "ply\nformat ascii 1.0\nelement face 0\nproperty float x\nend_header\n"},
       "a.ply: has no element vertex"},
      {{"a.ply", "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n1\n"},
       "a.ply: the element vertex has no x, y and z"},
      {{"a.ply", AsciiPly("", "0 0 0\n1 1 1\n2 2\n")}, "a.ply: the file ends, or is damaged, at row"},
      {{"a.ply", AsciiPly("", Rows(" ").replace(0, 1, "nan"))}, "a.ply: row 0: coordinate nan is not finite"},
      {{"a.ply",
        "ply\nformat binary_little_endian 1.0\nelement vertex 4000000000000\nproperty float x\nproperty "
        "float y\nproperty float z\nend_header\nabcdefghijkl"},
       "a.ply: the file ends, or is damaged, at row 0 of 4000000000000"},
      {{"a.ply",
        "ply\nformat binary_little_endian 1.0\nelement empty 4000000000000\nelement vertex 1\nproperty float "
        "x\nproperty float y\nproperty float z\nend_header\nabcdefghijkl"},
       "a.ply: element empty has no properties"},
      {{"a.stl", "solid"}, "a.stl: no point cloud format ends in \".stl\""},
      {{"noname", "1 2 3"}, "noname: no point cloud format ends in \"\""},
  };
  for (const auto& [file, message] : cases) {
    SCOPED_TRACE(message);
    const absl::Status status = Parse(file.second, file.first).status();
    EXPECT_FALSE(status.ok());
    EXPECT_TRUE(absl::StartsWith(status.message(), message)) << status;
  }
  EXPECT_TRUE(absl::IsNotFound(ReadPoints("testdata/scans/none.ply").status()));
}

TEST(PointReader, TruncatedBinaryPlyNamesTheRow) {
  for (const bool big : {false, true}) {
    const std::string whole = BinaryPly(big);
    const size_t header = whole.find("end_header") + 12, faces = whole.size() - 13;
    for (size_t size = header; size < faces; ++size) {
      const absl::Status status = Parse(whole.substr(0, size), "cut.ply").status();
      EXPECT_TRUE(absl::StartsWith(status.message(), "cut.ply: the file ends")) << size << status;
    }
    // What follows the vertices is nobody's concern.
    ExpectSeven(Parse(whole.substr(0, faces), "cut.ply"));
  }
}

}  // namespace
}  // namespace manyform
