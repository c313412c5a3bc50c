// Names as people give them, from the mesh to the tokens: blanks, other scripts, quotes, what a shell or
// printf would take for its own.
#include <filesystem>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/numpy_random.h"
#include "data/cache_builder.h"
#include "data/manifest.h"
#include "data/materialize.h"
#include "data/shape_list.h"
#include "data/split_manifest_io.h"
#include "data/split_unpaired.h"
#include "data/testing/golden_npz.h"
#include "data/token_dataset.h"
#include "data/tokens.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;

constexpr const char* kClasses[] = {"chaise longue", "Büro", "椅子", "a'b\"c\\", "[ab]", "-rf"};
constexpr const char* kIds[] = {"1",     "no 2",  "№ 3", "modèle (4)", "%s%n", "*",
                                "{7,8}", "$HOME", "#",   "~",          "-",    "e\u0301"};
constexpr int kShapes = std::size(kClasses) * std::size(kIds);

// A tetrahedron, a little different each time.
std::string Mesh(int i) {
  return absl::StrCat("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 ", 1 + i, "\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n");
}

class HostileNames : public testing::TestWithParam<const char*> {
 protected:
  // Paths are typed as a user within the folder types them: EvalSeed hashes them.
  void SetUp() override {
    before_ = fs::current_path();
    const std::string folder = testing::TempDir() + "/hostile names";
    fs::remove_all(folder);
    fs::create_directories(folder);
    fs::current_path(folder);
    int i = 0;
    for (const char* class_name : kClasses) {
      for (const char* id : kIds) {
        const std::string path =
            absl::StrCat("möbel & co/", class_name, "/", id, "/models/model_normalized.obj");
        ASSERT_TRUE(WriteFileAtomically(path, Mesh(i++)).ok()) << path;
      }
    }
    BuildCacheConfig build;
    build.set_shapenet_root("möbel & co");
    build.set_out_root("cache [1]");
    build.set_pc_points(32);
    build.set_pt_pool(24);
    build.set_ray_pool(16);
    build.set_n_views(4);
    build.set_rays_per_view(4);
    build.set_pc_grid(8);
    build.set_df_grid(8);
    build.set_dist_ref_points(40);
    const absl::StatusOr<BuildCacheResult> built = BuildCache(build);
    ASSERT_TRUE(built.ok()) << built.status();
    ASSERT_EQ(built->built(), kShapes);
  }
  void TearDown() override { fs::current_path(before_); }

  static std::set<std::string> Keys() {
    std::set<std::string> keys;
    for (const char* class_name : kClasses) {
      for (const char* id : kIds) keys.insert(absl::StrCat(class_name, "/", id));
    }
    return keys;
  }
  static void Split(const std::string& output) {
    SplitUnpairedConfig config;
    config.set_cache_root("cache [1]");
    config.set_output(output);
    const absl::StatusOr<SplitUnpairedResult> result = SplitUnpaired(config);
    ASSERT_TRUE(result.ok()) << result.status();
  }

  fs::path before_;
};

TEST_P(HostileNames, SurviveSplitViewAndLoader) {
  Split("split é.json");
  MaterializeConfig view;
  view.set_src_cache_root("cache [1]");
  view.set_split_json("split é.json");
  view.set_out_root("view ü");
  view.set_link_mode(GetParam());
  const absl::StatusOr<MaterializeResult> made = Materialize(view);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->linked(), kShapes);
  EXPECT_EQ(made->missing(), 0);

  std::set<std::string> keys;
  for (const char* split : {"train_mesh", "train_pc", "train_udf", "eval"}) {
    const ShapeList shapes = OrThrow(ShapeList::Open("view ü", split));
    for (int64_t i = 0; i < shapes.size(); ++i) {
      EXPECT_TRUE(keys.insert(shapes.key(i)).second) << shapes.key(i);
      EXPECT_TRUE(VerifyShapeFile(shapes.path(i), shapes.entry(i)).ok()) << shapes.path(i);
    }
  }
  EXPECT_EQ(keys, Keys());
}
INSTANTIATE_TEST_SUITE_P(LinkModes, HostileNames, testing::Values("symlink", "hardlink", "copy"));

TEST_F(HostileNames, EvaluationTokensAreThoseOfThePath) {
  TokenDataset dataset;
  dataset.shapes = std::make_shared<const ShapeList>(OrThrow(ShapeList::Open("cache [1]", "train")));
  dataset.tokens.n_point = 8;
  dataset.tokens.n_ray = 4;
  const int64_t length = SequenceLength(8, 4, dataset.tokens.layout);
  for (int64_t i = 0; i < dataset.shapes->size(); ++i) {
    std::vector<float> feat(length * kFeatures), again = feat;
    std::vector<uint8_t> type(length);
    ASSERT_TRUE(EvalTokens(dataset, i, 0, 0, feat, type).ok()) << dataset.shapes->path(i);
    const auto pools = OrThrow(dataset.shapes->Answers(i, dataset.backend));
    NumpyRandomState random(EvalSeed("cache [1]/train/" + dataset.shapes->key(i) + ".npz", 0, 0));
    ASSERT_TRUE(BuildTokens(*pools, dataset.tokens, random, again, type).ok());
    EXPECT_EQ(feat, again) << dataset.shapes->path(i);
  }
  // By Python: int(hashlib.md5(path.encode()).hexdigest()[:8], 16).
  EXPECT_EQ(EvalSeed("view ü/eval/椅子/№ 3.npz", 0, 0), 2913237177u);
  EXPECT_EQ(EvalSeed("view ü/eval/[ab]/%s%n.npz", 0, 0), 89189650u);
}

TEST_F(HostileNames, TheSplitIsPlainAsciiAndTheSameWithoutAManifest) {
  Split("split.json");
  const std::string text = OrThrow(ReadFile("split.json"));
  for (const char c : text) ASSERT_GE(c, 0);
  // As Python's json writes them.
  EXPECT_TRUE(absl::StrContains(text, R"("key": "\u6905\u5b50/\u2116 3")"));
  EXPECT_TRUE(absl::StrContains(text, R"("key": "a'b\"c\\/%s%n")"));
  fs::remove("cache [1]/manifest.binpb");
  Split("unindexed.json");
  EXPECT_EQ(text, OrThrow(ReadFile("unindexed.json")));

  Split("split.binpb");
  EXPECT_EQ(OrThrow(ReadSplitManifest("split.binpb")).SerializeAsString(),
            OrThrow(ReadSplitManifest("split.json")).SerializeAsString());
}

// A name in Latin-1 is a name for the file system, but no text.
TEST_F(HostileNames, NamesThatAreNoTextAreReadOrRefusedByName) {
  const std::string latin = "cache [1]/train/Caf\xe9";
  fs::create_directories(latin);
  fs::copy("cache [1]/train/-rf/1.npz", latin + "/1.npz");
  fs::remove("cache [1]/manifest.binpb");
  SplitUnpairedConfig config;
  config.set_cache_root("cache [1]");
  config.set_output("split.json");
  const absl::Status status = SplitUnpaired(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "not UTF-8")) << status;
  EXPECT_FALSE(fs::exists("split.json"));
  const ShapeList shapes = OrThrow(ShapeList::Open("cache [1]", "train"));
  bool found = false;
  for (int64_t i = 0; i < shapes.size(); ++i) found |= shapes.key(i) == "Caf\xe9/1";
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace manyform
