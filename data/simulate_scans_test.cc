#include "data/simulate_scans.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "Eigen/Cholesky"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/files.h"
#include "data/backends.h"
#include "data/cache_builder.h"
#include "data/inspect.h"
#include "data/manifest.h"
#include "data/migrate.h"
#include "data/shape_list.h"
#include "data/simulate_scans_view.h"
#include "data/testing/golden_npz.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;

// Of radius 1, finely divided.
TriangleMesh Sphere(int rings, double radius = 1) {
  TriangleMesh mesh;
  const int around = 2 * rings;
  mesh.vertices.resize((rings + 1) * around, 3);
  for (int i = 0; i <= rings; ++i) {
    for (int j = 0; j < around; ++j) {
      const double polar = M_PI * i / rings, azimuth = 2 * M_PI * j / around;
      mesh.vertices.row(i * around + j) << radius * std::sin(polar) * std::cos(azimuth),
          radius * std::sin(polar) * std::sin(azimuth), radius * std::cos(polar);
    }
  }
  mesh.faces.resize(2 * rings * around, 3);
  for (int i = 0; i < rings; ++i) {
    for (int j = 0; j < around; ++j) {
      const int a = i * around + j, b = i * around + (j + 1) % around;
      mesh.faces.row(2 * (i * around + j)) << a, a + around, b;
      mesh.faces.row(2 * (i * around + j) + 1) << b, a + around, b + around;
    }
  }
  return mesh;
}

TEST(RandomCamera, UniformOnTheSphere) {
  NumpyRandomState random(3);
  Eigen::Vector3d mean = Eigen::Vector3d::Zero();
  Eigen::Matrix3d second = Eigen::Matrix3d::Zero();
  constexpr int kDraws = 20000;
  for (int i = 0; i < kDraws; ++i) {
    const Eigen::Vector3d camera = RandomCamera(2.5, random);
    EXPECT_NEAR(camera.norm(), 2.5, 1e-12);
    mean += camera / 2.5 / kDraws;
    second += camera * camera.transpose() / 6.25 / kDraws;
  }
  EXPECT_LT(mean.norm(), 0.02);
  EXPECT_LT((second - Eigen::Matrix3d::Identity() / 3).cwiseAbs().maxCoeff(), 0.01);
}

// Of a unit sphere a camera at distance r sees what lies beyond the plane p . camera = 1.
TEST(SeeMesh, TheNearCapOfASphere) {
  const TriangleScene scene = *TriangleScene::Create(Sphere(90));
  NumpyRandomState random(1);
  for (int n = 0; n < 5; ++n) {
    const Eigen::Vector3d camera = RandomCamera(2.2, random);
    const PointsD seen = SeeMesh(scene, camera, 5000);
    ASSERT_GE(seen.rows(), 5000);
    double lowest = 10;
    for (int i = 0; i < seen.rows(); ++i) {
      EXPECT_NEAR(seen.row(i).norm(), 1, 2e-3);
      lowest = std::min(lowest, seen.row(i).dot(camera));
    }
    EXPECT_GT(lowest, 1 - 0.03);
    // The rim is reached.
    EXPECT_LT(lowest, 1.1);
  }
}

TEST(SeeMesh, ASmallThingEndsAtTheFinestImage) {
  const TriangleScene scene = *TriangleScene::Create(Sphere(8, 0.01));
  const PointsD seen = SeeMesh(scene, Eigen::Vector3d(0, 2, 0), 4000);
  EXPECT_GT(seen.rows(), 30);
  EXPECT_LT(seen.rows(), 4000);
}

TEST(SeePoints, HidesTheFarSideOfASphere) {
  NumpyRandomState random(2);
  PointsD points(6000, 3);
  for (int i = 0; i < 6000; ++i) points.row(i) = RandomCamera(1, random);
  const Eigen::Vector3d camera = RandomCamera(2.2, random);
  const SurfaceDiscs discs =
      OrThrow(MakeDiscs(points.topRows(2000).cast<float>(), -points.topRows(2000).cast<float>()));
  const PointsD seen = SeePoints(points, discs, camera);
  int behind = 0, visible = 0;
  for (int i = 0; i < 6000; ++i) visible += points.row(i).dot(camera) > 1;
  for (int i = 0; i < seen.rows(); ++i) behind += seen.row(i).dot(camera) < 0.5;
  EXPECT_EQ(behind, 0);
  EXPECT_GT(static_cast<double>(seen.rows()), 0.95 * visible);
  EXPECT_LT(static_cast<double>(seen.rows()), 1.2 * visible);
}

TEST(Sense, CropsDropsAndMovesAlongTheRays) {
  const Eigen::Vector3d camera(0, 0, 3);
  NumpyRandomState draw(4);
  PointsD visible(1000, 3);
  for (int i = 0; i < 1000; ++i) visible.row(i) << draw.Uniform(-1, 1), draw.Uniform(-1, 1), 0;

  NumpyRandomState random(5);
  const SimulatedScan plain = Sense(visible, camera, {1000, 0, 0, 0}, random);
  EXPECT_EQ(plain.num_observed, 1000);
  EXPECT_EQ(plain.points, visible.cast<float>());

  const SimulatedScan cropped = Sense(visible, camera, {600, 0, 0.4, 0}, random);
  EXPECT_EQ(cropped.num_observed, 600);
  std::set<std::array<float, 2>> kept;
  for (int i = 0; i < 600; ++i) kept.insert({cropped.points(i, 0), cropped.points(i, 1)});
  ASSERT_EQ(kept.size(), 600);
  // A line parts what stayed from what went: in its direction their means lie far apart.
  Eigen::Vector2d stayed = Eigen::Vector2d::Zero(), gone = Eigen::Vector2d::Zero();
  std::vector<Eigen::Vector2d> in, out;
  for (int i = 0; i < 1000; ++i) {
    const Eigen::Vector2d p = visible.row(i).head<2>();
    const bool is_in = kept.contains({static_cast<float>(p[0]), static_cast<float>(p[1])});
    (is_in ? in : out).push_back(p);
    (is_in ? stayed : gone) += p / (is_in ? 600 : 400);
  }
  const Eigen::Vector2d direction = (gone - stayed).normalized();
  int mixed = 0;
  double edge = 10;
  for (const Eigen::Vector2d& p : out) edge = std::min(edge, p.dot(direction));
  for (const Eigen::Vector2d& p : in) mixed += p.dot(direction) > edge + 0.2;
  EXPECT_LT(mixed, 60);

  const SimulatedScan dropped = Sense(visible, camera, {2048, 0.02, 0.1, 0.5}, random);
  EXPECT_EQ(dropped.num_observed, 450);
  ASSERT_EQ(dropped.points.rows(), 2048);
  double sum = 0, squares = 0;
  for (int i = 0; i < 2048; ++i) {
    // Back along the ray to the plane.
    const Eigen::Vector3d p = dropped.points.row(i).cast<double>().transpose();
    const Eigen::Vector3d ray = (p - camera).normalized();
    const Eigen::Vector3d hit = camera + ray * (-camera[2] / ray[2]);
    const double depth = (p - hit).dot(ray);
    sum += depth;
    squares += depth * depth;
    if (i < 450) {
      double nearest = 10;
      for (int j = 0; j < 1000; ++j) nearest = std::min(nearest, (visible.row(j) - hit.transpose()).norm());
      EXPECT_LT(nearest, 1e-5);
    }
  }
  EXPECT_NEAR(sum / 2048, 0, 0.002);
  EXPECT_NEAR(std::sqrt(squares / 2048), 0.02, 0.002);

  const SimulatedScan one = Sense(visible, camera, {3, 0, 0.99, 0.99}, random);
  EXPECT_EQ(one.num_observed, 1);  // 10, less 99 in 100: one stays
  EXPECT_EQ(one.points.row(0), one.points.row(2));
}

std::string NewFolder(absl::string_view name) {
  std::string folder = absl::StrCat(testing::TempDir(), "/simulate_", name);
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

std::map<std::string, std::string> Tree(const std::string& folder) {
  std::map<std::string, std::string> tree;
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    if (file.is_regular_file()) tree[fs::relative(file.path(), folder)] = *ReadFile(file.path());
  }
  return tree;
}

// Meshes and the cache made of them.
struct MeshCache {
  std::string meshes, root;
};
MeshCache BuildMeshes(absl::string_view name) {
  MeshCache cache{NewFolder(absl::StrCat(name, "_meshes")), NewFolder(absl::StrCat(name, "_cache"))};
  fs::copy("testdata/golden/d_splits/tiny/meshes", cache.meshes, fs::copy_options::recursive);
  for (const auto& file : fs::recursive_directory_iterator(cache.meshes)) {
    fs::permissions(file, fs::perms::owner_all);
  }
  BuildCacheConfig config;
  config.set_shapenet_root(cache.meshes);
  config.set_out_root(cache.root);
  config.set_pc_points(600);
  config.set_pt_pool(50);
  config.set_ray_pool(800);
  config.set_pc_grid(8);
  config.set_df_grid(8);
  config.set_num_threads(2);
  const auto built = BuildCache(config);
  EXPECT_TRUE(built.ok()) << built.status();
  return cache;
}

SimulateScansConfig Config(const std::string& cache, const std::string& out) {
  SimulateScansConfig config;
  config.set_cache_root(cache);
  config.set_out_root(out);
  config.set_n_points(300);
  config.set_pt_pool(60);
  config.set_ray_pool(8);
  config.set_num_threads(2);
  return config;
}

TEST(SimulateScans, AScanCacheOfTheSameShapes) {
  const MeshCache cache = BuildMeshes("same");
  const std::string out = NewFolder("same_out");
  const auto result = SimulateScans(Config(cache.root, out));
  ASSERT_TRUE(result.ok()) << result.status();
  const CacheManifest meshes = OrThrow(ReadManifest(cache.root)), scans = OrThrow(ReadManifest(out));
  ASSERT_GT(meshes.shapes_size(), 0);
  ASSERT_EQ(scans.shapes_size(), meshes.shapes_size());
  EXPECT_EQ(result->from_mesh(), meshes.shapes_size());
  EXPECT_TRUE(result->simulated());
  EXPECT_TRUE(absl::StartsWith(*ReadFile(out + "/_meta/simulated.txt"), "simulated\n"));
  for (int i = 0; i < scans.shapes_size(); ++i) {
    const ShapeEntry& scan = scans.shapes(i);
    EXPECT_EQ(scan.split(), meshes.shapes(i).split());
    EXPECT_EQ(ShapeKey(scan), ShapeKey(meshes.shapes(i)));
    EXPECT_EQ(scan.source(), meshes.shapes(i).source());
    EXPECT_EQ(scan.seed(), i);
    EXPECT_TRUE(scan.scan().simulated());
    EXPECT_FALSE(scan.scan().resampled());
    const auto shape = OrThrow(ShapeFile::Open(ShapePath(out, scan), scan, scans));
    EXPECT_EQ(OrThrow(shape->Get("pc_xyz")).shape, (std::vector<int64_t>{300, 3}));
    const Pools pools = OrThrow(AnswerPools(shape, {.backend = Backend::kPointcloudNoray}));
    EXPECT_EQ(pools.xyz.rows(), 60);
    EXPECT_FALSE(pools.ray_available);
  }
}

// Centre and radius of the sphere that fits best: |p|^2 = 2 p.c + (r^2 - |c|^2) in least squares.
std::pair<Eigen::Vector3d, double> FitSphere(const std::vector<float>& points) {
  const auto n = static_cast<Eigen::Index>(points.size() / 3);
  Eigen::MatrixXd a(n, 4);
  Eigen::VectorXd b(n);
  for (Eigen::Index i = 0; i < n; ++i) {
    const Eigen::Vector3d p(points[3 * i], points[3 * i + 1], points[3 * i + 2]);
    a.row(i) << 2 * p.transpose(), 1;
    b[i] = p.squaredNorm();
  }
  const Eigen::Vector4d x = (a.transpose() * a).ldlt().solve(a.transpose() * b);
  return {x.head<3>(), std::sqrt(x[3] + x.head<3>().squaredNorm())};
}

std::string SphereCache(const std::string& meshes, const std::string& root) {
  const TriangleMesh sphere = Sphere(60);
  for (int m = 0; m < 4; ++m) {
    const std::string folder = absl::StrCat(meshes, "/ball/m", m, "/models");
    fs::create_directories(folder);
    std::ofstream obj(folder + "/model_normalized.obj");
    for (const auto& v : sphere.vertices.rowwise()) obj << "v " << v << "\n";
    for (const auto& f : sphere.faces.rowwise()) {
      obj << "f " << f[0] + 1 << " " << f[1] + 1 << " " << f[2] + 1 << "\n";
    }
  }
  BuildCacheConfig config;
  config.set_shapenet_root(meshes);
  config.set_out_root(root);
  config.set_pt_pool(50);
  config.set_pc_grid(8);
  config.set_df_grid(8);
  const auto built = BuildCache(config);
  EXPECT_TRUE(built.ok()) << built.status();
  return root;
}

// A scan of a sphere lies on a sphere, and only on the camera's side of it: seen as a mesh, and as what the
// cache keeps of a mesh that is gone.
TEST(SimulateScans, ASphereFromOneSide) {
  const std::string meshes = NewFolder("ball_meshes"), out = NewFolder("ball_out");
  const std::string cache = SphereCache(meshes, NewFolder("ball_cache"));
  for (const bool gone : {false, true}) {
    if (gone) fs::remove_all(meshes);
    for (const double sigma : {0.0, 0.01}) {
      SimulateScansConfig config = Config(cache, out);
      config.set_overwrite(true);
      config.set_n_points(700);
      config.set_noise_sigma(sigma);
      const auto result = SimulateScans(config);
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_EQ(gone ? result->from_points() : result->from_mesh(), 4);
      const CacheManifest scans = OrThrow(ReadManifest(out));
      for (const ShapeEntry& scan : scans.shapes()) {
        SCOPED_TRACE(absl::StrCat(scan.id(), gone ? " gone" : "", " sigma ", sigma));
        NumpyRandomState random(scan.seed());
        const Eigen::Vector3d side = RandomCamera(1, random);
        const std::vector<float> points =
            OrThrow(OrThrow(OrThrow(ShapeFile::Open(ShapePath(out, scan)))->Get("pc_xyz")).Values<float>());
        ASSERT_EQ(points.size(), 3 * 700);
        const auto [centre, radius] = FitSphere(points);
        double lowest = 10, squares = 0;
        for (size_t i = 0; i < points.size(); i += 3) {
          const Eigen::Vector3d p = Eigen::Vector3d(points[i], points[i + 1], points[i + 2]) - centre;
          const double off = p.norm() / radius - 1;
          EXPECT_LT(std::abs(off), 0.003 + 5 * sigma);
          squares += off * off / 700;
          lowest = std::min(lowest, p.dot(side) / radius);
        }
        // Depth counts less where the surface is seen at a slant.
        EXPECT_LT(std::sqrt(squares), sigma + 0.002);
        EXPECT_GT(std::sqrt(squares), 0.35 * sigma);
        EXPECT_GT(lowest, 1 / 2.2 - (gone ? 0.2 : 0.02) - 5 * sigma);
      }
    }
  }
}

TEST(SimulateScans, ResumedAndByOneThread) {
  const MeshCache cache = BuildMeshes("resume");
  const std::string whole = NewFolder("resume_whole"), out = NewFolder("resume_out");
  ASSERT_TRUE(SimulateScans(Config(cache.root, whole)).ok());
  SimulateScansConfig config = Config(cache.root, out);
  config.set_num_threads(1);
  ASSERT_TRUE(SimulateScans(config).ok());
  const auto expected = Tree(whole);
  EXPECT_TRUE(Tree(out) == expected);
  int removed = 0;
  for (const auto& [name, content] : expected) {
    if (name.ends_with(".npz") && removed++ % 2 == 0) fs::remove(absl::StrCat(out, "/", name));
  }
  const auto again = SimulateScans(config);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->built(), (removed + 1) / 2);
  EXPECT_TRUE(Tree(out) == expected);

  // A mesh that is gone is another source: not to be mixed with what is there.
  fs::remove_all(cache.meshes);
  EXPECT_TRUE(absl::IsFailedPrecondition(SimulateScans(config).status()));
}

TEST(SimulateScans, TheMarkOutlivesTheManifest) {
  const MeshCache cache = BuildMeshes("mark");
  const std::string out = NewFolder("mark_out");
  ASSERT_TRUE(SimulateScans(Config(cache.root, out)).ok());
  const auto all_simulated = [](const CacheManifest& manifest) {
    EXPECT_GT(manifest.shapes_size(), 0);
    return std::all_of(manifest.shapes().begin(), manifest.shapes().end(),
                       [](const ShapeEntry& shape) { return shape.scan().simulated(); });
  };
  fs::remove(out + "/manifest.binpb");
  EXPECT_TRUE(all_simulated(OrThrow(OpenManifest(out))));
  EXPECT_TRUE(OrThrow(ShapeList::Open(out, OrThrow(OpenManifest(out)).shapes(0).split())).AnySimulated());
  MigrateConfig config;
  config.set_what("manifest");
  config.set_cache_root(out);
  ASSERT_TRUE(Migrate(config).ok());
  EXPECT_TRUE(all_simulated(OrThrow(ReadManifest(out))));
  InspectConfig inspect;
  inspect.set_cache_root(out);
  EXPECT_EQ(OrThrow(Inspect(inspect)).simulated(), OrThrow(ReadManifest(out)).shapes_size());
}

TEST(SimulateScans, WhatCannotBeSeen) {
  const MeshCache cache = BuildMeshes("unseen");
  const std::string out = NewFolder("unseen_out"), twice = NewFolder("unseen_twice");
  ASSERT_TRUE(SimulateScans(Config(cache.root, out)).ok());
  const absl::Status again = SimulateScans(Config(out, twice)).status();
  EXPECT_TRUE(absl::StrContains(again.message(), "is a scan; a mesh cache is needed")) << again;

  // Without manifest and mark the arrays tell.
  fs::remove(out + "/manifest.binpb");
  fs::remove_all(out + "/_meta");
  const absl::Status indexed = SimulateScans(Config(out, NewFolder("unseen_indexed"))).status();
  EXPECT_TRUE(absl::StrContains(indexed.message(), ".npz: array pc_n is zero")) << indexed;

  // One mesh is damaged, and asked for.
  const CacheManifest meshes = OrThrow(ReadManifest(cache.root));
  std::ofstream(meshes.shapes(0).source()) << "no mesh";
  SimulateScansConfig config = Config(cache.root, twice);
  config.set_view_of("mesh");
  const auto result = SimulateScans(config);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->failed_size(), 1);
  EXPECT_TRUE(absl::StartsWith(result->failed(0).reason(), meshes.shapes(0).source()));

  EXPECT_TRUE(
      absl::IsNotFound(SimulateScans(Config(NewFolder("unseen_none"), NewFolder("unseen_x"))).status()));
  config.set_seed(0xffffffff);
  EXPECT_TRUE(IsBadConfig(SimulateScans(config).status()));
}

}  // namespace
}  // namespace manyform
