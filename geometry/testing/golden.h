/// \file
/// Golden arrays as geometry's types.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/files.h"
#include "base/testing/npy_for_test.h"
#include "geometry/types.h"

namespace manyform {

/// The shapes below testdata/golden/b_shapes/stages and the seeds they were made with.
struct GoldenShape {
  const char* name;
  uint32_t seed;
};
inline constexpr GoldenShape kGoldenShapes[] = {{"sphere", 100},  {"box", 101},    {"torus", 102},
                                                {"capsule", 103}, {"lshape", 104}, {"two", 105},
                                                {"sheet", 106},   {"dirty", 107}};

/// One tar of arrays below testdata/golden. Reading a member that is missing or of another type throws.
class Golden {
 public:
  explicit Golden(absl::string_view name) {
    auto bytes = ReadFile(absl::StrCat("testdata/golden/", name, ".tar"));
    if (!bytes.ok()) throw std::runtime_error(bytes.status().ToString());
    tar_ = *std::move(bytes);
  }
  std::vector<float> Floats(absl::string_view name) const { return Read<float>(name, "<f4"); }
  std::vector<double> Doubles(absl::string_view name) const { return Read<double>(name, "<f8"); }
  std::vector<int32_t> Ints(absl::string_view name) const { return Read<int32_t>(name, "<i4"); }
  std::vector<int64_t> Longs(absl::string_view name) const { return Read<int64_t>(name, "<i8"); }
  std::vector<uint32_t> Words(absl::string_view name) const { return Read<uint32_t>(name, "<u4"); }
  std::vector<uint8_t> Bytes(absl::string_view name) const { return Read<uint8_t>(name, "|u1"); }
  /// numpy.packbits: most significant bit first.
  std::vector<uint8_t> Bits(absl::string_view name, size_t count) const {
    const std::vector<uint8_t> packed = Bytes(name);
    std::vector<uint8_t> bits(count);
    for (size_t i = 0; i < count; ++i) bits[i] = packed.at(i / 8) >> (7 - i % 8) & 1;
    return bits;
  }
  PointsF PointsOf(absl::string_view name) const {
    const std::vector<float> v = Floats(name);
    return Eigen::Map<const PointsF>(v.data(), v.size() / 3, 3);
  }
  TriangleMesh Mesh(absl::string_view vertices, absl::string_view faces) const {
    const std::vector<double> v = Doubles(vertices);
    const std::vector<int32_t> f = Ints(faces);
    return {Eigen::Map<const PointsD>(v.data(), v.size() / 3, 3),
            Eigen::Map<const Faces>(f.data(), f.size() / 3, 3)};
  }

 private:
  template <class T>
  std::vector<T> Read(absl::string_view name, absl::string_view descr) const {
    return NpyFromTar<T>(tar_, absl::StrCat(name, ".npy"), descr);
  }
  std::string tar_;
};

/// Row-major content, for comparing matrices with arrays.
template <class Matrix>
std::vector<typename Matrix::Scalar> Flat(const Matrix& m) {
  return {m.data(), m.data() + m.size()};
}

}  // namespace manyform
