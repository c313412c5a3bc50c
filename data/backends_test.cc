#include "data/backends.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "data/testing/golden_npz.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

constexpr std::pair<const char*, const char*> kShapes[] = {
    {"s0", "alpha/s0"}, {"s1", "alpha/s1"}, {"s2", "beta/s2"}, {"old", "beta/old"}, {"scan", "beta/scan"}};

std::vector<float> Flat(std::span<const float> values) { return {values.begin(), values.end()}; }
std::vector<float> Flat(const PointsFMap& points) { return {points.data(), points.data() + points.size()}; }

std::shared_ptr<const ShapeFile> OpenGolden(const std::string& file) {
  return OrThrow(ShapeFile::Open(absl::StrCat("testdata/golden/c_tokens/cache/test/", file, ".npz")));
}

void ExpectGolden(const GoldenNpz& golden, const std::string& file, const std::string& name,
                  const BackendOptions& options) {
  SCOPED_TRACE(name);
  const Pools pools = OrThrow(AnswerPools(OpenGolden(file), options));
  EXPECT_EQ(pools.ray_available, GoldenJson("c_tokens/backends.json")[name]["ray_available"].get<bool>());
  EXPECT_EQ(Flat(pools.distance), golden.Get<float>(name + "/pt_dist_pool"));
  EXPECT_EQ(Flat(pools.ray_hit), golden.Get<float>(name + "/ray_hit_pool"));
  EXPECT_EQ(Flat(pools.ray_t), golden.Get<float>(name + "/ray_t_pool"));
  EXPECT_EQ(Flat(pools.ray_n), golden.Get<float>(name + "/ray_n_pool"));
}

TEST(Backends, AnswerAsPublished) {
  const GoldenNpz golden("c_tokens/backends.npz");
  for (const auto& [shape, file] : kShapes) {
    for (const char* name : {"mesh", "pointcloud", "pointcloud_meshray", "pointcloud_noray", "udfgrid"}) {
      ExpectGolden(golden, file, absl::StrCat(shape, "/", name), {.backend = OrThrow(ParseBackend(name))});
    }
    ExpectGolden(golden, file, absl::StrCat(shape, "/voxel_g16d1m0"),
                 {.backend = Backend::kVoxel, .voxel_grid = 16, .voxel_dilate = 1});
    ExpectGolden(golden, file, absl::StrCat(shape, "/voxel_g20d0m7"),
                 {.backend = Backend::kVoxel, .voxel_grid = 20, .voxel_dilate = 0, .voxel_max_steps = 7});
  }
}

TEST(Backends, NamesRoundTrip) {
  for (const char* name :
       {"mesh", "pointcloud", "pointcloud_meshray", "pointcloud_noray", "voxel", "udfgrid"}) {
    EXPECT_EQ(BackendName(OrThrow(ParseBackend(name))), name);
  }
  EXPECT_EQ(ParseBackend("Mesh").status().code(), absl::StatusCode::kInvalidArgument);
}

// A cache of three points and two rays, whose mesh says 9 everywhere.
class SmallCache : public testing::Test {
 protected:
  void SetUp() override {
    Put("pc_xyz", {0, 0, 0, 0.5f, 0, 0}, {2, 3});
    Put("pc_n", {1, 0, 0, 1, 0, 0}, {2, 3});
    Put("pt_xyz_pool", {0, 0, 0, 1, 0, 0, 0, 1, 0}, {3, 3});
    Put("pt_dist_pool", {9, 9, 9}, {3});
    Put("ray_o_pool", {-2, 0, 0, 0, 0, 2}, {2, 3});
    Put("ray_d_pool", {1, 0, 0, 0, 0, -1}, {2, 3});
    Put("ray_hit_pool", {1, 1}, {2});
    Put("ray_t_pool", {9, 9}, {2});
    Put("ray_n_pool", {0, 0, 9, 0, 0, 9}, {2, 3});
  }
  void Put(const std::string& name, std::vector<float> values, std::vector<int64_t> shape) {
    Put(name, MakeArray(std::move(values), std::move(shape)));
  }
  void Put(const std::string& name, Array array) {
    std::erase_if(arrays_, [&](const NamedArray& a) { return a.name == name; });
    arrays_.push_back({name, std::move(array)});
  }
  absl::StatusOr<Pools> Answer(Backend backend) const {
    return Answer(BackendOptions{.backend = backend, .voxel_grid = 4});
  }
  absl::StatusOr<Pools> Answer(const BackendOptions& options) const {
    const std::string path = testing::TempDir() + "/small.npz";
    if (absl::Status status = WriteNpz(path, arrays_); !status.ok()) return status;
    return AnswerPools(OrThrow(ShapeFile::Open(path)), options);
  }
  std::vector<NamedArray> arrays_;
};

TEST_F(SmallCache, MeshDistancesStandInOnlyWhereNoneOfTheCloudWereStored) {
  EXPECT_EQ(Flat(OrThrow(Answer(Backend::kPointcloud)).distance), (std::vector<float>{9, 9, 9}));
  Put("pt_dist_pc_pool", {0, 0.25f, 3}, {3});
  for (const Backend backend :
       {Backend::kPointcloud, Backend::kPointcloudMeshray, Backend::kPointcloudNoray}) {
    EXPECT_EQ(Flat(OrThrow(Answer(backend)).distance), (std::vector<float>{0, 0.25f, 3}));
  }
  // Minus zero is zero.
  Put("pt_dist_pc_pool", {7, -0.0f, 7}, {3});
  EXPECT_EQ(Flat(OrThrow(Answer(Backend::kPointcloud)).distance), (std::vector<float>{7, 0, 7}));
  // All of them are computed anew, not only those that cannot be distances.
  for (const float bad : {-0.1f, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    Put("pt_dist_pc_pool", {7, bad, 7}, {3});
    EXPECT_EQ(Flat(OrThrow(Answer(Backend::kPointcloud)).distance), (std::vector<float>{0, 0.5f, 1}));
  }
  std::erase_if(arrays_, [](const NamedArray& a) { return a.name == "pc_xyz"; });
  EXPECT_EQ(Answer(Backend::kPointcloud).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(SmallCache, AnOrderThatLeavesThePoolIsIgnored) {
  EXPECT_TRUE(OrThrow(Answer(Backend::kMesh)).fps_order.empty());
  Put("pt_fps_order", MakeArray<int32_t>({2, 0}, {2}));
  EXPECT_EQ(OrThrow(Answer(Backend::kMesh)).fps_order.size(), 2u);
  Put("pt_fps_order", MakeArray<int64_t>({2, 0, 1}, {3}));
  EXPECT_EQ(OrThrow(Answer(Backend::kMesh)).fps_order[0], 2);
  for (const int64_t outside : {int64_t{3}, int64_t{-1}, int64_t{1} << 32}) {
    Put("pt_fps_order", MakeArray<int64_t>({2, outside}, {2}));
    EXPECT_TRUE(OrThrow(Answer(Backend::kMesh)).fps_order.empty());
  }
}

constexpr Backend kOfTheCloud[] = {Backend::kPointcloud, Backend::kPointcloudMeshray,
                                   Backend::kPointcloudNoray};

TEST_F(SmallCache, ObservedPointsAreAskedOfTheCloudAlone) {
  // As many as the pool has, so that its distances would fit, and would be wrong.
  Put("pc_xyz", {0, 0, 0, 0.5f, 0, 0, 0.5f, 0.5f, 0}, {3, 3});
  Put("pc_n", std::vector<float>(9), {3, 3});
  for (const Backend backend : kOfTheCloud) {
    const Pools pools = OrThrow(Answer({.backend = backend, .xyz_key = "pc_xyz"}));
    EXPECT_EQ(pools.xyz(2, 1), 0.5f);
    EXPECT_EQ(Flat(pools.distance), std::vector<float>(3));
  }
  for (const Backend backend : {Backend::kMesh, Backend::kUdfgrid, Backend::kVoxel}) {
    const absl::Status status = Answer({.backend = backend, .voxel_grid = 4, .xyz_key = "pc_xyz"}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find("pt_xyz_key"), std::string::npos) << status;
  }
}

TEST_F(SmallCache, OtherPointsAreAsFarAsTheNearestObserved) {
  Put("my_points", {0, 0, 2, 0.5f, -1, 0}, {2, 3});
  Put("pt_dist_pc_pool", {7, 7, 7}, {3});
  for (const Backend backend : kOfTheCloud) {
    EXPECT_EQ(Flat(OrThrow(Answer({.backend = backend, .xyz_key = "my_points"})).distance),
              (std::vector<float>{2, 1}));
  }
  const absl::Status status = Answer({.backend = Backend::kPointcloud, .xyz_key = "no_points"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(status.message().find("no_points"), std::string::npos) << status;
}

TEST_F(SmallCache, DistancesCanBeNamed) {
  Put("my_distances", {1, 2, 3}, {3});
  Put("pt_dist_pc_pool", {4, 5, 6}, {3});
  for (const Backend backend : {Backend::kMesh, Backend::kPointcloud, Backend::kPointcloudNoray,
                                Backend::kUdfgrid, Backend::kVoxel}) {
    EXPECT_EQ(
        Flat(OrThrow(Answer({.backend = backend, .voxel_grid = 4, .dist_key = "my_distances"})).distance),
        (std::vector<float>{1, 2, 3}));
    EXPECT_EQ(Answer({.backend = backend, .voxel_grid = 4, .dist_key = "none"}).status().code(),
              absl::StatusCode::kNotFound);
    EXPECT_EQ(Answer({.backend = backend, .voxel_grid = 4, .dist_key = "ray_t_pool"}).status().code(),
              absl::StatusCode::kDataLoss);
  }
  // The pool's name is the backend's answer: the mesh's does not leak through it.
  EXPECT_EQ(Flat(OrThrow(Answer({.backend = Backend::kPointcloud, .dist_key = "pt_dist_pool"})).distance),
            (std::vector<float>{4, 5, 6}));
}

TEST_F(SmallCache, OrdersAreFoundByName) {
  const auto first = [this](const std::string& xyz_key, const std::string& fps_key) {
    const Pools pools =
        OrThrow(Answer({.backend = Backend::kPointcloud, .xyz_key = xyz_key, .fps_key = fps_key}));
    return pools.fps_order.empty() ? -1 : pools.fps_order[0];
  };
  EXPECT_EQ(first("pt_xyz_pool", "auto"), -1);
  EXPECT_EQ(first("pc_xyz", "pt_fps_order"), -1);
  EXPECT_EQ(Answer({.fps_key = "pc_fps_order"}).status().code(), absl::StatusCode::kNotFound);
  // Each is found before the one that was there before it.
  Put("pt_fps_order", MakeArray<int32_t>({0}, {1}));
  EXPECT_EQ(first("pt_xyz_pool", "auto"), 0);
  EXPECT_EQ(first("pc_xyz", "auto"), 0);
  Put("pc_fps_order", MakeArray<int32_t>({1}, {1}));
  EXPECT_EQ(first("pt_xyz_pool", "auto"), 0);
  EXPECT_EQ(first("pc_xyz", "auto"), 1);
  EXPECT_EQ(first("pc_xyz", "pt_fps_order"), 0);
  Put("pt_xyz_pool_fps_order", MakeArray<int32_t>({2}, {1}));
  EXPECT_EQ(first("pt_xyz_pool", "auto"), 2);
  // One that leaves the points is found, and not used.
  Put("pc_xyz_fps_order", MakeArray<int32_t>({2}, {1}));
  EXPECT_EQ(first("pc_xyz", "auto"), -1);
}

TEST_F(SmallCache, OtherNumberTypesAreConverted) {
  Put("pt_dist_pool", MakeArray<double>({1, 2, 3}, {3}));
  EXPECT_EQ(Flat(OrThrow(Answer(Backend::kMesh)).distance), (std::vector<float>{1, 2, 3}));
}

TEST_F(SmallCache, WhatIsMissingOrMisshapenIsNamed) {
  const auto expect_error = [this](Backend backend, absl::StatusCode code, const std::string& name) {
    const absl::Status status = Answer(backend).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_NE(status.message().find("small.npz"), std::string::npos) << status;
    EXPECT_NE(status.message().find(name), std::string::npos) << status;
  };
  Put("ray_t_pool", {9}, {1});
  expect_error(Backend::kMesh, absl::StatusCode::kDataLoss, "ray_t_pool");
  Put("pt_xyz_pool", {0, 0, 0, 1}, {2, 2});
  expect_error(Backend::kMesh, absl::StatusCode::kDataLoss, "pt_xyz_pool");
  std::erase_if(arrays_, [](const NamedArray& a) { return a.name == "pt_xyz_pool"; });
  expect_error(Backend::kVoxel, absl::StatusCode::kNotFound, "pt_xyz_pool");
}

TEST_F(SmallCache, VoxelsAreRefusedBeyondWhatTheyCanBe) {
  const std::string path = testing::TempDir() + "/small.npz";
  ASSERT_TRUE(WriteNpz(path, arrays_).ok());
  for (const int grid : {0, -1, 513}) {
    EXPECT_EQ(AnswerPools(OrThrow(ShapeFile::Open(path)), {.backend = Backend::kVoxel, .voxel_grid = grid})
                  .status()
                  .code(),
              absl::StatusCode::kInvalidArgument);
  }
  Put("pc_xyz", {0, 0, 0, std::nanf(""), 0, 0}, {2, 3});
  EXPECT_EQ(Answer(Backend::kVoxel).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace manyform
