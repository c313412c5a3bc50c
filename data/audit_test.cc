#include "data/audit.h"

#include <stdlib.h>
#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "Eigen/Dense"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/files.h"
#include "base/numpy_random.h"
#include "base/result_writer.h"
#include "data/manifest.h"
#include "data/npz.h"
#include "data/testing/golden_npz.h"
#include "geometry/types.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;

constexpr char kGolden[] = "testdata/golden/d_splits/tiny/all";

// A copy of the published small cache (11 shapes of class 0100 and others, train and test), which has nothing
// to be found, and what is planted in it.
class AuditTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = absl::StrCat(testing::TempDir(), "/audit_",
                         testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(root_);
    fs::create_directories(root_);
    fs::copy(kGolden, Cache(), fs::copy_options::recursive);
    fs::permissions(root_, fs::perms::owner_all, fs::perm_options::add);
    for (const auto& entry : fs::recursive_directory_iterator(Cache())) {
      fs::permissions(entry, fs::perms::owner_write, fs::perm_options::add);
    }
  }
  std::string Cache() const { return root_ + "/cache"; }
  std::string Path(const std::string& shape) const { return absl::StrCat(Cache(), "/", shape, ".npz"); }
  void WriteIndex(bool checksums = true) {
    ASSERT_TRUE(WriteManifest(Cache(), OrThrow(IndexCache(Cache(), 1, checksums))).ok());
  }
  AuditConfig Config() const {
    AuditConfig config;
    config.add_cache_root(Cache());
    config.set_min_class_shapes(1);
    config.set_max_shown(1);
    return config;
  }
  AuditResult Run(const AuditConfig& config) {
    testing::internal::CaptureStdout();
    absl::StatusOr<AuditResult> result = Audit(config);
    out_ = testing::internal::GetCapturedStdout();
    return OrThrow(std::move(result));
  }
  // "kind split/key" of each finding.
  static std::vector<std::string> Said(const AuditResult& result) {
    std::vector<std::string> said;
    for (const Finding& f : result.findings())
      said.push_back(absl::StrCat(f.kind(), " ", f.split(), "/", f.key()));
    return said;
  }
  std::vector<std::string> Findings() { return Said(Run(Config())); }
  using List = std::vector<std::string>;

  std::vector<NamedArray> Read(const std::string& shape) const {
    const NpzReader npz = OrThrow(NpzReader::Open(Path(shape)));
    std::vector<NamedArray> arrays;
    for (const NpzMember& member : npz.members())
      arrays.push_back({member.name, OrThrow(npz.Read(member.name))});
    return arrays;
  }
  // Rewrites a shape with one array changed.
  template <class Change>
  void Alter(const std::string& shape, const std::string& name, Change change) {
    std::vector<NamedArray> arrays = Read(shape);
    for (NamedArray& array : arrays) {
      if (array.name != name) continue;
      std::vector<float> values = OrThrow(array.array.Values<float>());
      change(values);
      array.array = MakeArray(std::move(values), array.array.shape);
    }
    ASSERT_TRUE(WriteNpz(Path(shape), arrays).ok());
  }
  std::string root_, out_;
};

TEST_F(AuditTest, APublishedCacheHasNoFindings) {
  EXPECT_EQ(Findings(), List());
  EXPECT_TRUE(absl::StartsWith(out_, "no findings in ")) << out_;
  WriteIndex();
  const AuditResult result = Run(Config());
  EXPECT_EQ(Said(result), List());
  EXPECT_EQ(result.shapes(), OrThrow(ReadManifest(Cache())).shapes_size());
}

TEST_F(AuditTest, FallbacksOfOneShape) {
  Alter("train/0100/m03", "ray_hit_pc_pool", [](auto& v) { std::fill(v.begin(), v.end(), 0.f); });
  std::vector<NamedArray> arrays = Read("test/0100/m02");
  std::erase_if(arrays, [](const NamedArray& a) { return a.name == "pt_dist_pc_pool"; });
  ASSERT_TRUE(WriteNpz(Path("test/0100/m02"), arrays).ok());
  EXPECT_EQ(Findings(), (List{"layout_differs test/0100/m02", "mesh_distances_in_point_cloud test/0100/m02",
                              "point_cloud_rays_all_miss train/0100/m03"}));
  AuditConfig config = Config();
  config.add_checks("balance");
  EXPECT_EQ(Said(Run(config)), List());
  config.add_splits("train");
  config.set_checks(0, "fallback");
  EXPECT_EQ(Said(Run(config)), List{"point_cloud_rays_all_miss train/0100/m03"});
}

TEST_F(AuditTest, ValuesAndFormsThatDifferFromTheOthers) {
  Alter("train/0100/m05", "pt_dist_pool", [](auto& v) { v[0] = NAN; });
  std::vector<NamedArray> arrays = Read("train/0100/m06");
  arrays.push_back({"note", MakeArray<int32_t>({1}, {1})});
  ASSERT_TRUE(WriteNpz(Path("train/0100/m06"), arrays).ok());
  const AuditResult result = Run(Config());
  EXPECT_EQ(Said(result), (List{"layout_differs train/0100/m06", "not_finite train/0100/m05"}));
  EXPECT_EQ(result.findings(0).text(), "note is <i4 (1), others do not have it");
  EXPECT_EQ(result.findings(1).file(), Path("train/0100/m05"));
}

TEST_F(AuditTest, FilesThatAreNotTheManifests) {
  WriteIndex();
  fs::remove(Path("train/0100/m00"));
  fs::remove(Path("train/0100/m01"));
  fs::create_symlink("../../nowhere.npz", Path("train/0100/m01"));
  Alter("train/0100/m03", "pt_dist_pool", [](auto& v) { v[0] += 1e-3f; });
  fs::copy(Path("train/0100/m04"), Path("train/0100/new"));
  fs::resize_file(Path("train/0100/m05"), 1000);
  fs::resize_file(Path("train/0100/m06"), 0);
  AuditConfig config = Config();
  config.add_checks("source");
  EXPECT_EQ(Said(Run(config)), (List{"changed_file train/0100/m03", "changed_file train/0100/m05",
                                     "changed_file train/0100/m06", "damaged_file train/0100/m05",
                                     "damaged_file train/0100/m06", "dangling_link train/0100/m01",
                                     "missing_file train/0100/m00", "unlisted_file train/0100/new"}));
  // A flipped bit that leaves the size as it was.
  std::string bytes = OrThrow(ReadFile(Path("train/0100/m07")));
  bytes[bytes.size() / 2] ^= 4;
  ASSERT_TRUE(WriteFileAtomically(Path("train/0100/m07"), bytes).ok());
  const List said = Said(Run(config));
  EXPECT_TRUE(std::count(said.begin(), said.end(), "changed_file train/0100/m07"))
      << absl::StrJoin(said, "\n");
}

TEST_F(AuditTest, WithoutAManifestFilesVouchForThemselves) {
  ASSERT_TRUE(WriteNpz(Path("train/0100/m07"), Read("train/0100/m07")).ok());
  std::string bytes = OrThrow(ReadFile(Path("train/0100/m07")));
  bytes[bytes.size() / 2] ^= 4;
  ASSERT_TRUE(WriteFileAtomically(Path("train/0100/m07"), bytes).ok());
  const AuditResult result = Run(Config());
  EXPECT_EQ(Said(result), List{"damaged_file train/0100/m07"});
  EXPECT_TRUE(absl::StrContains(result.findings(0).text(), "checksum differs")) << result.findings(0).text();
}

TEST_F(AuditTest, ManifestsAndViewsThatSaySo) {
  CacheManifest manifest = OrThrow(IndexCache(Cache(), 1, true));
  FailedShape* failed = manifest.add_failed();
  failed->set_split("train");
  failed->set_class_name("0100");
  failed->set_id("bad");
  failed->set_reason("mesh without area");
  ASSERT_TRUE(WriteManifest(Cache(), manifest).ok());
  ASSERT_TRUE(WriteFileAtomically(Cache() + "/_meta/split_source.json", R"({"missing": 3})").ok());
  AuditResult result = Run(Config());
  EXPECT_EQ(Said(result), (List{"failed_shape train/0100/bad", "view_incomplete /"}));
  EXPECT_EQ(result.findings(1).numbers(0), 3);
  ASSERT_TRUE(WriteFileAtomically(Cache() + "/manifest.binpb", "nonsense").ok());
  result = Run(Config());
  EXPECT_EQ(Said(result), (List{"manifest_damaged /", "view_incomplete /"}));
  EXPECT_EQ(result.findings(0).file(), Cache() + "/manifest.binpb");
}

TEST_F(AuditTest, Classes) {
  fs::create_directories(Cache() + "/train/0700");
  fs::create_directories(Cache() + "/test/0900");
  fs::rename(Path("test/0100/m02"), Path("test/0900/m02"));
  AuditConfig config = Config();
  config.add_checks("balance");
  config.set_max_imbalance(3);
  config.set_min_class_shapes(2);
  std::map<std::string, int> in_train;
  const CacheManifest manifest = OrThrow(IndexCache(Cache(), 1, false));
  for (const ShapeEntry& entry : manifest.shapes()) {
    if (entry.split() == "train") ++in_train[entry.class_name()];
  }
  const AuditResult result = Run(config);
  std::vector<std::string> expected = {"class_empty test/0100", "class_empty train/0700"};
  int smallest = 1000, largest = 0;
  std::string smallest_class;
  for (const auto& [name, n] : in_train) {
    if (n < smallest) smallest = n, smallest_class = name;
    largest = std::max(largest, n);
  }
  ASSERT_GT(largest, 3 * smallest);
  expected.push_back("class_imbalance train/" + smallest_class);
  expected.push_back("class_not_trained test/0900");
  const List said = Said(result);
  for (const std::string& line : expected) EXPECT_EQ(std::count(said.begin(), said.end(), line), 1) << line;
  const auto& findings = result.findings();
  const auto imbalance = std::find_if(findings.begin(), findings.end(),
                                      [](const Finding& f) { return f.kind() == "class_imbalance"; });
  EXPECT_DOUBLE_EQ(imbalance->numbers(0), static_cast<double>(largest) / smallest);
  config.set_max_imbalance(1000);
  config.set_min_class_shapes(1);
  EXPECT_EQ(Run(config).findings_size(), 3);
}

TEST_F(AuditTest, ShapesInTwoSplits) {
  fs::create_directories(Cache() + "/train_pc/0100");
  fs::create_symlink("../../train/0100/m00.npz", Path("train_pc/0100/m00"));
  fs::create_hard_link(Path("train/0100/m01"), Path("train_pc/0100/other"));
  fs::copy(Path("train/0100/m03"), Path("train_pc/0100/copy"));
  fs::copy(Path("train/0100/m04"), Path("test/0100/m05"));
  AuditConfig config = Config();
  config.add_checks("overlap");
  const AuditResult result = Run(config);
  EXPECT_EQ(Said(result), (List{"same_content train/0100/m04", "same_content train_pc/0100/copy",
                                "same_file train_pc/0100/m00", "same_file train_pc/0100/other",
                                "same_key train/0100/m05"}));
  EXPECT_EQ(result.findings(2).text(), "is the file of " + Path("train/0100/m00"));
}

TEST_F(AuditTest, TwoRootsAreComparedAcrossTrainAndTestOnly) {
  const std::string view = root_ + "/view";
  fs::create_directories(view + "/train_mesh/0100");
  fs::create_directories(view + "/eval/0100");
  fs::create_symlink(fs::absolute(Path("train/0100/m00")), view + "/train_mesh/0100/m00.npz");
  fs::create_symlink(fs::absolute(Path("test/0100/m02")), view + "/eval/0100/m02.npz");
  AuditConfig config = Config();
  config.add_cache_root(view);
  EXPECT_EQ(Said(Run(config)), List());
  fs::create_symlink(fs::absolute(Path("train/0100/m01")), view + "/eval/0100/m01.npz");
  fs::copy(Path("train/0100/m03"), view + "/eval/0100/renamed.npz");
  const AuditResult result = Run(config);
  EXPECT_EQ(Said(result), (List{"same_arrays eval/0100/renamed", "same_file eval/0100/m01"}));
  EXPECT_TRUE(absl::StrContains(result.findings(0).text(), Path("train/0100/m03")))
      << result.findings(0).text();
  config.add_train_split("nothing");
  EXPECT_EQ(Said(Run(config)), List());
  config.add_cache_root(view + "/");
  EXPECT_EQ(Audit(config).status().code(), absl::StatusCode::kInvalidArgument);
}

// Points on a box of unequal sides with a smaller one on top.
PointsF BoxPoints(uint32_t seed, float top) {
  NumpyRandomState random(seed);
  PointsF points(700, 3);
  for (int64_t i = 0; i < points.rows(); ++i) {
    const bool upper = random.Double() < 0.3;
    const Eigen::Vector3f half =
        upper ? Eigen::Vector3f(0.15f, top, 0.15f) : Eigen::Vector3f(0.5f, 0.2f, 0.3f);
    const auto axis = static_cast<int64_t>(random.Double() * 3);
    for (int k = 0; k < 3; ++k) points(i, k) = half[k] * static_cast<float>(2 * random.Double() - 1);
    points(i, axis) = points(i, axis) < 0 ? -half[axis] : half[axis];
    if (upper) points(i, 1) += 0.2f + top;
  }
  return points;
}

TEST_F(AuditTest, TheSameCloudAndTheSameSurface) {
  const auto put = [&](const std::string& shape, const PointsF& cloud, float note) {
    const std::vector<NamedArray> arrays = {
        {"pc_xyz",
         MakeArray(std::vector<float>(cloud.data(), cloud.data() + cloud.size()), {cloud.rows(), 3})},
        {"note", MakeArray<float>({note}, {1})}};
    ASSERT_TRUE(WriteNpz(Path(shape), arrays).ok());
  };
  const float c = std::cos(0.7f), s = std::sin(0.7f);
  Eigen::Matrix3f turn;
  turn << c, -s, 0, 0, 0, 1, -s, -c, 0;
  ASSERT_GT(turn.determinant(), 0);
  put("train/0100/a", BoxPoints(1, 0.3f), 1);
  put("train/0100/b", BoxPoints(2, 0.6f), 2);
  put("test/0100/cloud", BoxPoints(2, 0.6f), 3);
  put("test/0100/other", BoxPoints(3, 0.45f), 4);
  put("test/0100/turned", 0.8f * BoxPoints(5, 0.3f) * turn.transpose(), 5);
  AuditConfig config = Config();
  config.add_checks("duplicate");
  const AuditResult result = Run(config);
  EXPECT_EQ(Said(result), (List{"same_geometry test/0100/cloud", "same_geometry test/0100/turned"})) << out_;
  EXPECT_TRUE(absl::StrContains(result.findings(0).text(), "observed points of " + Path("train/0100/b")));
  EXPECT_TRUE(absl::StrContains(result.findings(1).text(), "surface of " + Path("train/0100/a")));
  EXPECT_NEAR(result.findings(1).numbers(0), 1, 0.1);
  EXPECT_GE(result.aligned_pairs(), 1);
}

TEST_F(AuditTest, ResultsDoNotDependOnThreadsAndAreLimited) {
  for (const char* shape : {"train/0100/m03", "train/0100/m04", "train/0100/m05"}) {
    Alter(shape, "pt_dist_pool", [](auto& v) { v[0] = -1; });
  }
  AuditConfig config = Config();
  config.set_num_threads(1);
  const AuditResult one = Run(config);
  config.set_num_threads(3);
  EXPECT_EQ(Run(config).SerializeAsString(), one.SerializeAsString());
  EXPECT_TRUE(absl::StrContains(out_, "... and 2 more")) << out_;
  config.set_max_per_kind(2);
  const AuditResult few = Run(config);
  EXPECT_EQ(few.findings_size(), 2);
  ASSERT_EQ(few.counts_size(), 1);
  EXPECT_EQ(few.counts(0).count(), 3);
}

TEST_F(AuditTest, TheProgramSaysByItsExitCode) {
  const auto run = [&](const std::string& more) {
    return WEXITSTATUS(system(absl::StrCat("data/audit cache_root='", Cache(), "' min_class_shapes=1 ", more,
                                           " >'", root_, "/out' 2>'", root_, "/err'")
                                  .c_str()));
  };
  EXPECT_EQ(run(""), 0);
  Alter("train/0100/m03", "pt_dist_pool", [](auto& v) { v[0] = -1; });
  EXPECT_EQ(run(absl::StrCat("output='", root_, "/record.binpb'")), 3);
  AuditResult result;
  ASSERT_TRUE(ReadResult(root_ + "/record.binpb", &result).ok());
  EXPECT_EQ(Said(result), List{"negative_distance train/0100/m03"});
  EXPECT_EQ(result.provenance().binary(), "audit");
  const std::string out = OrThrow(ReadFile(root_ + "/out"));
  EXPECT_TRUE(absl::StrContains(out, "negative_distance") && absl::StrContains(out, Path("train/0100/m03")))
      << out;
  EXPECT_EQ(run("checks=everything"), 2);
  EXPECT_EQ(run("cache_root=/no/such"), 1);
}

}  // namespace
}  // namespace manyform
