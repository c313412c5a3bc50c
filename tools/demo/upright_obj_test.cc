#include "tools/demo/upright_obj.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr absl::string_view kTriangle =
    "# a triangle\nmtllib old.mtl\no part\nv 1 2 3\nv 4.5 5 6\nv 7 8 -9e1\nvt 0 1\nvn 0 0 1\nusemtl red\n"
    "f 1/1/1 2/1/1 3/1/1\n";

/// A quarter turn about x: what lay on its back (z up) stands.
constexpr Rotation kZUp = {1, 0, 0, 0, 0, 1, 0, -1, 0};

std::string Text(absl::string_view obj, const Rotation& rotation, absl::string_view mtllib = "") {
  return MakeUpright(obj, rotation, mtllib).value().text;
}
std::string Hash(absl::string_view obj, const Rotation& rotation = kNoRotation) {
  return MakeUpright(obj, rotation, "").value().geometry_hash;
}

TEST(MakeUpright, WithoutRotationOnlyMaterialsChange) {
  EXPECT_EQ(Text(kTriangle, kNoRotation, "new.mtl"),
            "mtllib new.mtl\n# a triangle\no part\nv 1 2 3\nv 4.5 5 6\nv 7 8 -9e1\nvt 0 1\nvn 0 0 1\nusemtl "
            "red\nf 1/1/1 2/1/1 3/1/1\n");
}

TEST(MakeUpright, PositionsAndNormalsAreRotated) {
  EXPECT_EQ(Text(kTriangle, kZUp),
            "# a triangle\no part\nv 1 3 -2\nv 4.5 6 -5\nv 7 -90 -8\nvt 0 1\nvn 0 1 0\nusemtl red\nf 1/1/1 "
            "2/1/1 3/1/1\n");
}

TEST(MakeUpright, WhatFollowsAPositionStays) {
  EXPECT_EQ(Text("v 1 2 3 0.5 0.25 1\r\n", kZUp), "v 1 3 -2 0.5 0.25 1\n");
}

TEST(MakeUpright, LineEndsThatWereConvertedTwice) {
  EXPECT_EQ(Text("v 1 2 3\r\r\n# end\r\r", kNoRotation), "v 1 2 3\n# end\n");
  EXPECT_EQ(Hash("v 1 2 3\r\r\n"), Hash("v 1 2 3\n"));
}

TEST(MakeUpright, CountsVerticesAndFaces) {
  const UprightObj obj = MakeUpright(kTriangle, kZUp, "").value();
  EXPECT_EQ(obj.vertices, 3);
  EXPECT_EQ(obj.faces, 1);
}

TEST(MakeUpright, HashIsOfGeometryAlone) {
  EXPECT_EQ(Hash(kTriangle), Hash("v 1 2 3\r\nv 4.5 5 6\nv 7 8 -9e1\nusemtl blue\nf 1 2 3"));
  EXPECT_NE(Hash(kTriangle), Hash("v 1 2 3\nv 4.5 5 6\nv 7 8 -9e1\nf 1 3 2"));
  EXPECT_NE(Hash(kTriangle), Hash("v 1 2 3\nv 4.5 5 6\nv 7 8 -9e2\nf 1 2 3"));
  EXPECT_NE(Hash(kTriangle), Hash(kTriangle, kZUp));
}

TEST(MakeUpright, BadNumbersNameTheirLine) {
  for (absl::string_view bad :
       {"o x\nv 1 2\n", "o x\nvn 1 2 three\n", "o x\nv nan 0 0\n", "o x\nv 1 inf 0"}) {
    const absl::Status status = MakeUpright(bad, kNoRotation, "").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(std::string(status.message()), HasSubstr("line 2")) << bad;
  }
}

TEST(ParseRotation, ReadsRowsFirst) {
  EXPECT_THAT(ParseRotation("0 0 1 -1 0 0 0 -1 0").value(), ElementsAre(0, 0, 1, -1, 0, 0, 0, -1, 0));
  EXPECT_EQ(ParseRotation(" ").value(), kNoRotation);
}

TEST(ParseRotation, RefusesWhatIsNoRotation) {
  for (absl::string_view bad :
       {"1 0 0 0 1 0 0 0", "1 0 0 0 1 0 0 0 1 0", "1 0 0 0 1 0 0 0 x", "2 0 0 0 1 0 0 0 1",
        "1 0 0 1 0 0 0 0 1", "1 0 0 0 1 0 0 0 -1", "nan 0 0 0 1 0 0 0 1"}) {
    EXPECT_EQ(ParseRotation(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace manyform
