#include "data/token_dataset.h"

#include <cmath>
#include <filesystem>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "data/testing/golden_npz.h"
#include "data/testing/golden_tolerance.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using Json = nlohmann::json;

TokenDataset DatasetOf(const Json& args, std::shared_ptr<const ShapeList> shapes) {
  TokenDataset dataset;
  dataset.shapes = std::move(shapes);
  dataset.backend.backend = OrThrow(ParseBackend(args.value("backend", "mesh")));
  dataset.backend.voxel_grid = args.value("voxel_grid", 64);
  dataset.backend.xyz_key = args.value("pt_xyz_key", "pt_xyz_pool");
  dataset.backend.fps_key = args.value("pt_fps_key", "pt_fps_order");
  TokenOptions& tokens = dataset.tokens;
  tokens.n_point = args["n_point"];
  tokens.n_ray = args["n_ray"];
  tokens.drop_ray_prob = args.value("drop_ray_prob", 0.0);
  tokens.force_missing_ray = args.value("force_missing_ray", false);
  tokens.sampling = OrThrow(ParsePointSampling(args.value("pt_sample_mode", "random")));
  tokens.rfps_m = args.value("pt_rfps_m", 4096);
  tokens.ablate_point_dist = args.value("ablate_point_dist", false);
  tokens.layout = {.qa_tokens = args.value("qa_tokens", 0) != 0,
                   .qa_layout = OrThrow(ParseQaLayout(args.value("qa_layout", "interleave"))),
                   .add_eos = args.value("add_eos", true)};
  tokens.gradient.include = args.value("include_pt_grad", false);
  tokens.uncertainty.include = args.value("include_ray_unc", false);
  tokens.augment = {.rotate_z = args.value("aug_rotate_z", false),
                    .scale_min = args.value("aug_scale_min", 1.0),
                    .scale_max = args.value("aug_scale_max", 1.0),
                    .translate = args.value("aug_translate", 0.0),
                    .jitter_sigma = args.value("aug_jitter_sigma", 0.0),
                    .jitter_clip = args.value("aug_jitter_clip", 0.0),
                    .in_eval = args.value("aug_eval", false)};
  return dataset;
}

struct Sequence {
  explicit Sequence(const TokenOptions& o)
      : feat(SequenceLength(o.n_point, o.n_ray, o.layout) * kFeatures, NAN), type(feat.size() / kFeatures) {}
  std::vector<float> feat;
  std::vector<uint8_t> type;
  bool operator==(const Sequence&) const = default;
};

// Paths are hashed as typed, so the tests stand where the published runs stood.
class DatasetTest : public testing::Test {
 protected:
  void SetUp() override {
    golden_ = GoldenJson("c_tokens/dataset.json");
    arrays_ = std::make_unique<GoldenNpz>("c_tokens/dataset.npz");
    std::filesystem::current_path("testdata/golden/c_tokens");
    shapes_ = std::make_shared<const ShapeList>(OrThrow(ShapeList::Open("cache", "test")));
  }
  void TearDown() override { std::filesystem::current_path("../../.."); }

  int64_t Index(const std::string& path) const {
    for (int64_t i = 0; i < shapes_->size(); ++i) {
      if (shapes_->path(i) == path) return i;
    }
    throw std::runtime_error("no shape " + path);
  }
  // Compares sequence `k` of a golden item that holds one or more of them.
  void ExpectItem(const std::string& item, int64_t k, const Sequence& got,
                  const TokenOptions& options) const {
    const std::vector<float> feat = arrays_->Get<float>(item + "/feat");
    const std::vector<uint8_t> type = arrays_->Get<uint8_t>(item + "/type");
    ASSERT_LE((k + 1) * got.feat.size(), feat.size());
    for (size_t i = 0; i < got.type.size(); ++i) {
      ASSERT_EQ(got.type[i], type[k * got.type.size() + i]) << item << " " << i;
    }
    for (size_t i = 0; i < got.feat.size(); ++i) {
      const size_t token = i / kFeatures, feature = i % kFeatures;
      ASSERT_LE(std::abs(got.feat[i] - feat[k * got.feat.size() + i]),
                TokenTolerance(got.type[token], static_cast<int64_t>(feature), options))
          << item << " " << token << "[" << feature << "]";
    }
  }
  void ExpectEvaluation(const Json& c, const TokenDataset& dataset) const {
    const Json& args = c["args"];
    TokenOptions applied = dataset.tokens;
    if (!applied.augment.in_eval) applied.augment = {};
    for (size_t j = 0; j < c["order"].size(); ++j) {
      const int64_t shape = Index(golden_["paths"][c["order"][j].get<int>()]);
      for (int64_t k = 0; k < args.value("mc_eval_k", 1); ++k) {
        Sequence s(dataset.tokens);
        const absl::Status status = EvalTokens(dataset, shape, args.value("eval_seed", 0), k, s.feat, s.type);
        ASSERT_TRUE(status.ok()) << status;
        ExpectItem(absl::StrCat(c["key"].get<std::string>(), "/", j), k, s, applied);
      }
    }
  }
  // Published training draws run on from item to item.
  void ExpectTraining(const Json& c, const TokenDataset& dataset) const {
    NumpyRandomState random(c["np_random_seed"].get<uint32_t>());
    for (size_t j = 0; j < c["order"].size(); ++j) {
      const int64_t shape = Index(golden_["paths"][c["order"][j].get<int>()]);
      Sequence s(dataset.tokens);
      const auto pools = OrThrow(shapes_->Answers(shape, dataset.backend));
      ASSERT_TRUE(BuildTokens(*pools, dataset.tokens, random, s.feat, s.type).ok());
      ExpectItem(absl::StrCat(c["key"].get<std::string>(), "/", j), 0, s, dataset.tokens);
    }
    EXPECT_EQ(random.Next32(), c["next_u32_global"].get<uint32_t>());
  }

  Json golden_;
  std::unique_ptr<GoldenNpz> arrays_;
  std::shared_ptr<const ShapeList> shapes_;
};

TEST_F(DatasetTest, ItemsAreThePublishedOnes) {
  int compared = 0;
  for (const Json& c : golden_["cases"]) {
    SCOPED_TRACE(c["key"]);
    TokenDataset dataset = DatasetOf(c["args"], shapes_);
    if (dataset.backend.backend == Backend::kMesh && dataset.backend.xyz_key == "pc_xyz") {
      // The mesh has no answers for observed points. Published programs then silently take the pool, which
      // has to be asked for here.
      Sequence s(dataset.tokens);
      EXPECT_EQ(EvalTokens(dataset, 0, 0, 0, s.feat, s.type).code(), absl::StatusCode::kInvalidArgument);
      dataset.backend.xyz_key = "pt_xyz_pool";
    }
    c["args"]["mode"] == "eval" ? ExpectEvaluation(c, dataset) : ExpectTraining(c, dataset);
    ++compared;
  }
  EXPECT_EQ(compared, 30);
}

TEST_F(DatasetTest, LabelsAreSortedClasses) {
  const Json& c = golden_["cases"][0];
  const std::vector<std::string> classes = shapes_->ClassNames();
  for (size_t j = 0; j < c["order"].size(); ++j) {
    const int64_t shape = Index(golden_["paths"][c["order"][j].get<int>()]);
    EXPECT_EQ(classes[c["labels"][j].get<int>()], shapes_->entry(shape).class_name());
  }
}

// Every thread asks for every draw, each from another end: all get the same sequences.
TEST_F(DatasetTest, TrainingDrawsDoNotDependOnWhoDrawsThem) {
  TokenDataset dataset{shapes_,
                       {.backend = Backend::kPointcloud},
                       {.n_point = 32, .n_ray = 16, .drop_ray_prob = 0.5, .layout = {.qa_tokens = true}}};
  constexpr int kDraws = 60;
  const auto draw_all = [&](int start) {
    std::vector<Sequence> all(kDraws, Sequence(dataset.tokens));
    for (int i = 0; i < kDraws; ++i) {
      const int draw = (start + i) % kDraws;
      const absl::Status status = TrainTokens(dataset, draw % 3, 11, 2, draw, all[draw].feat, all[draw].type);
      EXPECT_TRUE(status.ok()) << status;
    }
    return all;
  };
  const std::vector<Sequence> expected = draw_all(0);
  std::vector<std::thread> threads;
  threads.reserve(4);
  std::vector<std::vector<Sequence>> got(4);
  for (int t = 0; t < 4; ++t) threads.emplace_back([&, t] { got[t] = draw_all(t * 17); });
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < 4; ++t) EXPECT_TRUE(got[t] == expected);

  // Draws differ from one another, and about half of them have lost their rays.
  std::set<std::vector<float>> distinct;
  int missing = 0;
  for (const Sequence& s : expected) {
    distinct.insert(s.feat);
    missing += std::count(s.type.begin(), s.type.end(), kMissingRay) > 0;
  }
  EXPECT_EQ(distinct.size(), static_cast<size_t>(kDraws));
  EXPECT_GT(missing, 15);
  EXPECT_LT(missing, 45);
}

TEST_F(DatasetTest, AnswersAreKeptPerBackend) {
  const auto mesh = OrThrow(shapes_->Answers(0, {.backend = Backend::kMesh}));
  EXPECT_EQ(mesh, OrThrow(shapes_->Answers(0, {.backend = Backend::kMesh, .voxel_grid = 8})));
  EXPECT_NE(mesh, OrThrow(shapes_->Answers(0, {.backend = Backend::kUdfgrid})));
  EXPECT_NE(mesh, OrThrow(shapes_->Answers(1, {.backend = Backend::kMesh})));
  const auto voxel = OrThrow(shapes_->Answers(0, {.backend = Backend::kVoxel, .voxel_grid = 8}));
  EXPECT_NE(voxel, OrThrow(shapes_->Answers(0, {.backend = Backend::kVoxel, .voxel_grid = 9})));
  EXPECT_EQ(voxel, OrThrow(shapes_->Answers(0, {.backend = Backend::kVoxel, .voxel_grid = 8})));
  // Copies share them.
  const ShapeList copy = *shapes_;
  EXPECT_EQ(mesh, OrThrow(copy.Answers(0, {.backend = Backend::kMesh})));
}

// However many shapes are asked, a list remembers what its limits say: the last ones.
TEST_F(DatasetTest, AnswersAreForgottenBeyondTheLimits) {
  const auto kept_of_five = [&](const KeptLimits& limits) {
    const ShapeList list = OrThrow(ShapeList::Open("cache", "test", limits));
    std::vector<std::weak_ptr<const Pools>> given;
    // The same shape through changing grids: one shard holds them all.
    for (int grid = 4; grid < 9; ++grid) {
      given.push_back(OrThrow(list.Answers(0, {.backend = Backend::kVoxel, .voxel_grid = grid})));
    }
    std::string kept;
    for (const auto& pools : given) kept += pools.expired() ? '-' : 'x';
    return kept;
  };
  EXPECT_EQ(kept_of_five({}), "xxxxx");
  EXPECT_EQ(kept_of_five({.shapes = 2 * 16}), "---xx");
  // The shape is about 36 KB once inflated, the voxels' answers 4.
  EXPECT_EQ(kept_of_five({.heap_bytes = 16 * 100000}), "---xx");
  const auto size = static_cast<int64_t>(std::filesystem::file_size("cache/test/alpha/s0.npz"));
  EXPECT_EQ(kept_of_five({.mapped_bytes = 16 * size}), "----x");
  EXPECT_EQ(kept_of_five({.mapped_bytes = 0}), "-----");
}

TEST_F(DatasetTest, ErrorsNameTheShape) {
  const TokenDataset dataset{shapes_, {}, {.n_point = 401, .n_ray = 0}};
  Sequence s(dataset.tokens);
  const absl::Status status = EvalTokens(dataset, Index("cache/test/alpha/s1.npz"), 0, 0, s.feat, s.type);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "cache/test/alpha/s1.npz")) << status;
}

TEST(ShapeList, UnknownSplitsAreNamedWithTheKnown) {
  const absl::Status status = ShapeList::Open("testdata/golden/c_tokens/cache", "train").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(status.message(), "test")) << status;
  EXPECT_FALSE(ShapeList::Open("testdata/nowhere", "train").ok());
}

// Sorted paths, which is not sorted names where one begins with another.
TEST(ShapeList, OrderIsThatOfPaths) {
  const std::string root = testing::TempDir() + "/order";
  std::filesystem::remove_all(root);
  const std::vector<NamedArray> arrays = {{"x", MakeArray<float>({1}, {1})}};
  for (const char* key : {"a/x", "a/x-1", "a-b/x", "a/y", "B/x"}) {
    ASSERT_TRUE(WriteNpz(absl::StrCat(root, "/s/", key, ".npz"), arrays).ok());
  }
  const ShapeList list = OrThrow(ShapeList::Open(root, "s"));
  std::vector<std::string> keys;
  for (int64_t i = 0; i < list.size(); ++i) keys.push_back(list.key(i));
  EXPECT_EQ(keys, (std::vector<std::string>{"B/x", "a-b/x", "a/x-1", "a/x", "a/y"}));
  EXPECT_EQ(list.ClassNames(), (std::vector<std::string>{"B", "a", "a-b"}));
  EXPECT_EQ(list.path(0), root + "/s/B/x.npz");
  EXPECT_FALSE(list.fingerprint().empty());
}

}  // namespace
}  // namespace manyform
