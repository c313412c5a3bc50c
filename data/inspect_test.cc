#include "data/inspect.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "data/manifest.h"
#include "data/testing/golden_npz.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;

constexpr char kRoot[] = "testdata/golden/b_shapes/cache";
constexpr char kSphere[] = "testdata/golden/b_shapes/cache/train/class_a/sphere.npz";

class InspectTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = absl::StrCat(testing::TempDir(), "/inspect_",
                           testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  absl::StatusOr<InspectResult> Run(const InspectConfig& config) {
    testing::internal::CaptureStdout();
    absl::StatusOr<InspectResult> result = Inspect(config);
    fflush(stdout);
    out_ = testing::internal::GetCapturedStdout();
    return result;
  }
  static const ArraySummary& Find(const InspectResult& result, const std::string& name) {
    const auto found = std::find_if(result.arrays().begin(), result.arrays().end(),
                                    [&](const ArraySummary& a) { return a.name() == name; });
    if (found == result.arrays().end()) throw std::runtime_error("no array " + name);
    return *found;
  }
  std::string folder_, out_;
};

TEST_F(InspectTest, ArraysAreSummedUp) {
  const std::string path = folder_ + "/x.npz";
  const std::vector<NamedArray> arrays = {
      {"pc_xyz", MakeArray<float>({0.5f, -0.25f, NAN, 1, 2, INFINITY}, {2, 3})},
      {"udf_grid", MakeHalfArray(std::vector<float>{0.5f}, {1, 1, 1})},
      {"order", MakeArray<int64_t>({7, -3, 2}, {3})},
      {"empty", MakeArray<float>({}, {0})},
      {"note", MakeStringArray({"chair"})}};
  ASSERT_TRUE(WriteNpz(path, arrays).ok());
  InspectConfig config;
  config.set_shape(path);
  const InspectResult result = OrThrow(Run(config));
  EXPECT_EQ(result.arrays_size(), 5);
  EXPECT_EQ(result.file_size(), fs::file_size(path));
  const ArraySummary& cloud = Find(result, "pc_xyz");
  EXPECT_EQ(cloud.dtype(), "<f4");
  EXPECT_EQ(cloud.bytes(), 24);
  EXPECT_TRUE(cloud.aligned());
  EXPECT_FALSE(cloud.compressed());
  EXPECT_EQ(cloud.min(), -0.25);
  EXPECT_EQ(cloud.max(), 2);
  EXPECT_EQ(cloud.mean(), 3.25 / 4);
  EXPECT_EQ(cloud.not_finite(), 2);
  ASSERT_EQ(cloud.remarks_size(), 2);
  EXPECT_TRUE(absl::StrContains(cloud.remarks(0), "not finite at 2 of 6"));
  EXPECT_TRUE(absl::StrContains(cloud.remarks(1), "leaves [-1,1] at 1 of 6"));
  EXPECT_EQ(Find(result, "order").mean(), 2);
  EXPECT_FALSE(Find(result, "empty").has_mean());
  EXPECT_FALSE(Find(result, "note").has_mean());
  EXPECT_TRUE(absl::StrContains(out_, "remark: udf_grid has one cell")) << out_;

  ASSERT_TRUE(WriteNpz(path, arrays, {.compress = true}).ok());
  EXPECT_TRUE(Find(OrThrow(Run(config)), "pc_xyz").compressed());
  EXPECT_TRUE(absl::StrContains(out_, "deflated")) << out_;
}

TEST_F(InspectTest, APublishedShapeHasNoRemarksAndAPicture) {
  InspectConfig config;
  config.set_shape(kSphere);
  config.set_png(folder_ + "/deep/sphere.png");
  config.set_size(64);
  const InspectResult result = OrThrow(Run(config));
  EXPECT_EQ(result.arrays_size(), 18);
  EXPECT_EQ(result.remarks_size(), 0);
  EXPECT_LE(Find(result, "pc_xyz").max(), 1);
  const std::string png = OrThrow(ReadFile(config.png()));
  ASSERT_GE(png.size(), 24u);
  EXPECT_EQ(png.substr(1, 3), "PNG");
  const auto side = [&](size_t at) {
    return static_cast<uint8_t>(png[at + 2]) << 8 | static_cast<uint8_t>(png[at + 3]);
  };
  EXPECT_EQ(side(16), 4 * 64 + 3 * 6);
  EXPECT_EQ(side(20), 3 * 64 + 2 * 6);
}

TEST_F(InspectTest, AShapeOfACacheIsComparedWithItsManifest) {
  const std::string cache = folder_ + "/cache";
  fs::copy(kRoot, cache, fs::copy_options::recursive);
  CacheManifest manifest = OrThrow(IndexCache(cache, 1, true));
  MeshInfo* mesh = manifest.mutable_shapes(0)->mutable_mesh();
  mesh->set_vertices(8);
  mesh->set_faces(12);
  mesh->set_watertight(true);
  mesh->set_components(3);
  mesh->set_volume(0.125);
  ASSERT_TRUE(WriteManifest(cache, manifest).ok());
  InspectConfig config;
  config.set_cache_root(cache);
  config.set_split("train");
  config.set_key("class_a/box");
  EXPECT_EQ(OrThrow(Run(config)).remarks_size(), 0);
  EXPECT_TRUE(absl::StrContains(out_, "mesh: 8 vertices, 12 faces")) << out_;
  EXPECT_TRUE(absl::StrContains(out_, "3 components, volume 0.125, watertight")) << out_;
  fs::remove(cache + "/train/class_a/box.npz");
  fs::copy(kSphere, cache + "/train/class_a/box.npz");
  const InspectResult changed = OrThrow(Run(config));
  EXPECT_GE(changed.remarks_size(), 1);
  EXPECT_TRUE(absl::StrContains(out_, "the manifest")) << out_;
  config.set_key("class_a/none");
  EXPECT_EQ(Run(config).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(InspectTest, AManifestIsCounted) {
  const std::string cache = folder_ + "/cache";
  fs::copy(kRoot, cache, fs::copy_options::recursive);
  CacheManifest manifest = OrThrow(IndexCache(cache, 1, true));
  manifest.set_build_config("n_views: 7\n");
  for (const int i : {0, 3}) manifest.mutable_shapes(i)->mutable_scan()->set_simulated(true);
  FailedShape* failed = manifest.add_failed();
  failed->set_split("train");
  failed->set_class_name("class_d");
  failed->set_id("bad");
  failed->set_reason("mesh without area");
  ASSERT_TRUE(WriteManifest(cache, manifest).ok());
  InspectConfig config;
  config.set_cache_root(cache);
  const InspectResult result = OrThrow(Run(config));
  ASSERT_EQ(result.classes_size(), 4);
  uint64_t bytes = 0;
  for (const ClassCount& count : result.classes()) {
    EXPECT_EQ(count.split(), "train");
    EXPECT_EQ(count.shapes(), 2);
    bytes += count.bytes();
  }
  uint64_t expected = 0;
  for (const auto& file : fs::recursive_directory_iterator(kRoot)) {
    if (file.path().extension() == ".npz") expected += file.file_size();
  }
  EXPECT_EQ(bytes, expected);
  EXPECT_EQ(result.failed(), 1);
  EXPECT_EQ(result.simulated(), 2);
  EXPECT_EQ(result.layouts(), manifest.layouts_size());
  for (const char* text : {"8 shapes", "class_c", "train/class_d/bad", "mesh without area", "n_views: 7",
                           "deflated", "2 shapes are simulated"}) {
    EXPECT_TRUE(absl::StrContains(out_, text)) << text << "\n" << out_;
  }
}

TEST_F(InspectTest, OptionsThatDoNotGoTogether) {
  const auto refused = [&](const std::function<void(InspectConfig&)>& set) {
    InspectConfig config;
    set(config);
    return Run(config).status().code() == absl::StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](InspectConfig&) {}));
  EXPECT_TRUE(refused([](InspectConfig& c) { c.set_shape(kSphere), c.set_cache_root(kRoot); }));
  EXPECT_TRUE(refused([](InspectConfig& c) { c.set_shape(kSphere), c.set_key("class_a/box"); }));
  EXPECT_TRUE(refused([](InspectConfig& c) { c.set_cache_root(kRoot), c.set_key("class_a/box"); }));
  EXPECT_TRUE(refused([](InspectConfig& c) { c.set_cache_root(kRoot), c.set_png("x.png"); }));
  EXPECT_TRUE(refused([](InspectConfig& c) { c.set_shape(kSphere), c.set_png("x.jpg"); }));
  InspectConfig config;
  config.set_shape(folder_ + "/none.npz");
  EXPECT_EQ(Run(config).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/text.npz", "text").ok());
  config.set_shape(folder_ + "/text.npz");
  EXPECT_EQ(Run(config).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace manyform
