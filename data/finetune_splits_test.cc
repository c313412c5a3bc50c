#include "data/finetune_splits.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "data/testing/golden_npz.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using Json = nlohmann::json;
using Paths = std::vector<std::string>;

std::vector<LabelledPath> Labelled(const Paths& paths) {
  std::vector<LabelledPath> shapes;
  for (const std::string& path : paths) {
    const size_t end = path.rfind('/'), start = path.rfind('/', end - 1) + 1;
    shapes.push_back({path.substr(start, end - start), path});
  }
  return shapes;
}

Paths PathsOf(const std::vector<LabelledPath>& shapes, const std::vector<int64_t>& indices) {
  Paths paths;
  for (const int64_t i : indices) paths.push_back(shapes[i].path);
  return paths;
}

TEST(FinetuneSplits, ValidationAndShotsAreThePublishedOnes) {
  const Json golden = GoldenJson("d_splits/finetune_splits.json");
  const std::vector<LabelledPath> shapes = Labelled(golden["paths"]);
  for (const Json& c : golden["val"]) {
    const TrainValidation split = OrThrow(SplitValidation(shapes, c["val_ratio"], c["val_seed"]));
    EXPECT_EQ(PathsOf(shapes, split.validation), c["val"].get<Paths>());
    EXPECT_EQ(split.train.size(), c["n_train"].get<size_t>());
  }
  for (const Json& c : golden["kshot"]) {
    const TrainValidation split = OrThrow(SplitValidation(shapes, c["val_ratio"], c["val_seed"]));
    EXPECT_EQ(PathsOf(shapes, OrThrow(PickShots(shapes, split.train, c["k"], c["fewshot_seed"]))),
              c["train"].get<Paths>());
  }
}

TEST(FinetuneSplits, ClassesCountInTheListsOrder) {
  const Json golden = GoldenJson("d_splits/finetune_splits.json")["unsorted"];
  const std::vector<LabelledPath> shapes = Labelled(golden["paths"]);
  const TrainValidation split = OrThrow(SplitValidation(shapes, golden["val_ratio"], golden["val_seed"]));
  EXPECT_EQ(PathsOf(shapes, split.validation), golden["val"].get<Paths>());
  std::vector<int64_t> all(shapes.size());
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(PathsOf(shapes, OrThrow(PickShots(shapes, all, 3, 1))), golden["kshot3_seed1"].get<Paths>());
}

TEST(FinetuneSplits, ClassPicksAreThePublishedOnes) {
  const Json golden = GoldenJson("d_splits/finetune_splits.json");
  std::vector<std::string> classes;
  for (const LabelledPath& shape : Labelled(golden["paths"])) classes.push_back(shape.class_name);
  for (const Json& c : golden["nway"]) {
    const std::vector<std::string> picked = OrThrow(PickClasses(classes, c["n_way"], c["seed"]));
    EXPECT_EQ(picked, c["picked"].get<Paths>());
    EXPECT_EQ(std::count_if(classes.begin(), classes.end(),
                            [&](const std::string& name) {
                              return std::find(picked.begin(), picked.end(), name) != picked.end();
                            }),
              c["n_paths"].get<int64_t>());
  }
  int label = 0;
  for (const std::string& name : OrThrow(PickClasses(classes, 0, 0))) {
    EXPECT_EQ(golden["label_map"][name], label++);
  }
}

TEST(FinetuneSplits, TrainAndValidationShareNothingAndLoseNothing) {
  const std::vector<LabelledPath> shapes = Labelled(GoldenJson("d_splits/finetune_splits.json")["paths"]);
  for (const double ratio : {0.0, 0.01, 0.3, 1.0}) {
    for (int64_t seed = 0; seed < 5; ++seed) {
      const TrainValidation split = OrThrow(SplitValidation(shapes, ratio, seed));
      std::vector<int64_t> all = split.train;
      all.insert(all.end(), split.validation.begin(), split.validation.end());
      std::sort(all.begin(), all.end());
      std::vector<int64_t> expected(shapes.size());
      std::iota(expected.begin(), expected.end(), 0);
      EXPECT_EQ(all, expected);
    }
  }
}

TEST(FinetuneSplits, RefusesWhatCannotBePicked) {
  const std::vector<LabelledPath> shapes = Labelled({"r/s/c/a.npz"});
  EXPECT_FALSE(SplitValidation(shapes, -0.1, 0).ok());
  EXPECT_FALSE(SplitValidation(shapes, 1.1, 0).ok());
  EXPECT_FALSE(PickShots(shapes, {}, -1, 0).ok());
  EXPECT_FALSE(PickClasses({"a", "a", "b"}, 3, 0).ok());
  EXPECT_FALSE(PickClasses({"a"}, -1, 0).ok());
  // One shape alone is never held out.
  EXPECT_TRUE(OrThrow(SplitValidation(shapes, 0.5, 0)).validation.empty());
}

}  // namespace
}  // namespace manyform
