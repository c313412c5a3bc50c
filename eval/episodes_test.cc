#include "eval/episodes.h"

#include <map>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "data/finetune_splits.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

// `each` shapes of each of `classes` classes.
EmbeddedShapes Shapes(int64_t classes, int64_t each, const std::string& split) {
  EmbeddedShapes shapes = {.features = 1};
  for (int64_t c = 0; c < classes; ++c) {
    shapes.class_names.push_back(absl::StrCat("c", c));
    for (int64_t i = 0; i < each; ++i) {
      shapes.labels.push_back(c);
      shapes.keys.push_back(absl::StrCat("c", c, "/", split, i));
      shapes.embedding.push_back(0);
    }
  }
  shapes.record.set_split_hash(split);
  return shapes;
}

std::map<int64_t, int64_t> CountByClass(const EmbeddedShapes& shapes, const std::vector<int64_t>& indices) {
  std::map<int64_t, int64_t> counts;
  for (const int64_t i : indices) ++counts[shapes.labels[i]];
  return counts;
}

TEST(DrawEpisode, AllByDefault) {
  const EmbeddedShapes train = Shapes(3, 4, "train"), test = Shapes(3, 2, "test");
  const Episode episode = DrawEpisode(train, test, {}).value();
  EXPECT_EQ(episode.fitted.size(), 12);
  EXPECT_EQ(episode.asked.size(), 6);
}

TEST(DrawEpisode, NWayKShot) {
  const EmbeddedShapes train = Shapes(8, 12, "train"), test = Shapes(8, 30, "test");
  std::set<std::string> drawn;
  for (int64_t seed = 0; seed < 6; ++seed) {
    const Episode episode =
        DrawEpisode(train, test, {.shots = 3, .ways = 5, .queries = 20, .seed = seed}).value();
    const auto shots = CountByClass(train, episode.fitted), queries = CountByClass(test, episode.asked);
    ASSERT_EQ(shots.size(), 5);
    ASSERT_EQ(queries.size(), 5);
    std::string classes;
    for (const auto& [label, count] : shots) {
      EXPECT_EQ(count, 3);
      EXPECT_EQ(queries.at(label), 20);
      absl::StrAppend(&classes, label, ",");
    }
    drawn.insert(classes);
    const Episode again =
        DrawEpisode(train, test, {.shots = 3, .ways = 5, .queries = 20, .seed = seed}).value();
    EXPECT_EQ(again.fitted, episode.fitted);
    EXPECT_EQ(again.asked, episode.asked);
  }
  EXPECT_GT(drawn.size(), 3) << "seeds draw other classes";
}

// Fine-tuning picks from paths "root/split/class/id.npz"; "a-b.npz" stands before "a.npz" there.
TEST(DrawEpisode, ShotsAreFineTunings) {
  EmbeddedShapes train = Shapes(2, 9, "train");
  train.keys[0] = "c0/a";
  train.keys[1] = "c0/a-b";
  const EmbeddedShapes test = Shapes(2, 2, "test");
  std::vector<LabelledPath> paths;
  std::vector<int64_t> all;
  for (int64_t i = 0; i < train.size(); ++i) {
    paths.push_back({train.class_names[train.labels[i]], "cache/train/" + train.keys[i] + ".npz"});
    all.push_back(i);
  }
  for (int64_t seed = 0; seed < 8; ++seed) {
    const Episode episode = DrawEpisode(train, test, {.shots = 4, .seed = seed}).value();
    EXPECT_EQ(episode.fitted, PickShots(paths, all, 4, seed).value()) << seed;
  }
}

TEST(DrawEpisode, ShotsOfTheSameSplitAreNotAsked) {
  const EmbeddedShapes shapes = Shapes(3, 5, "all");
  const Episode episode = DrawEpisode(shapes, shapes, {.shots = 2}).value();
  EXPECT_EQ(episode.asked.size(), 9);
  for (const int64_t i : episode.fitted)
    EXPECT_EQ(std::count(episode.asked.begin(), episode.asked.end(), i), 0);
  const absl::Status nothing = DrawEpisode(shapes, shapes, {.shots = 5}).status();
  EXPECT_TRUE(absl::StrContains(nothing.message(), "leave 0 to ask")) << nothing;
}

TEST(DrawEpisode, NoMoreWaysThanClasses) {
  const EmbeddedShapes train = Shapes(3, 4, "train"), test = Shapes(3, 2, "test");
  const absl::Status status = DrawEpisode(train, test, {.shots = 1, .ways = 4}).status();
  EXPECT_TRUE(absl::StrContains(status.message(), "3, the number of classes")) << status;
}

}  // namespace
}  // namespace manyform
