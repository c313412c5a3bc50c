#include "eval/reconstruct.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/files.h"
#include "base/result_writer.h"
#include "data/mesh_reader.h"
#include "data/npy.h"
#include "eval/golden_for_test.h"
#include "eval/record.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

std::vector<float> ReadVolume(const std::string& path) {
  const std::string bytes = ValueOrDie(ReadFile(path));
  const std::span<const uint8_t> view(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  const NpyHeader header = ValueOrDie(ParseNpyHeader(view, path));
  EXPECT_EQ(header.dtype, DType::kF32) << path;
  std::vector<float> values(header.data_size / 4);
  std::copy_n(bytes.data() + header.header_size, header.data_size, reinterpret_cast<char*>(values.data()));
  return values;
}

double WorstDifference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    worst = std::max(worst, std::abs(double{a[i]} - double{b[i]}));
  return worst;
}

/// The published export's settings.
ReconstructConfig PublishedConfig(const std::string& out) {
  EnterGoldenFolder();
  ReconstructConfig config;
  config.set_cache_root("c40");
  config.set_split("test");
  config.set_ckpt(WriteGoldenCheckpoint("qa", testing::TempDir() + "/checkpoints"));
  config.set_n_context(24);
  config.set_n_query_probe(24);
  config.set_grid_res(12);
  config.set_mc_level(0.25);
  config.set_shape_offset(3);
  config.set_max_shapes(2);
  config.set_num_threads(1);
  config.set_out_dir(testing::TempDir() + "/" + out);
  return config;
}

TEST(Reconstruct, GivesThePublishedVolumesAndSummary) {
  const ReconstructConfig config = PublishedConfig("published");
  const ReconstructResult result = ValueOrDie(Reconstruct(config));
  const nlohmann::json golden = GoldenJson("qual/summary.json");
  const nlohmann::json ours = GoldenJson(config.out_dir() + "/summary.json");
  for (const auto& [key, value] : golden.items()) {
    ASSERT_TRUE(ours.contains(key)) << key;
    if (value.is_number()) {
      EXPECT_NEAR(ours[key].get<double>(), value.get<double>(), 1e-4) << key;
    } else if (value.is_boolean()) {
      EXPECT_EQ(ours[key], value) << key;
    }
  }
  ASSERT_EQ(ours["per_shape"].size(), 2);
  for (int i = 0; i < 2; ++i) {
    const auto& theirs = golden["per_shape"][i];
    EXPECT_EQ(ours["per_shape"][i]["name"], theirs["name"]);
    for (const char* key : {"mae_grid", "rmse_grid", "iou@level"})
      EXPECT_NEAR(ours["per_shape"][i][key].get<double>(), theirs[key].get<double>(), 1e-4) << key;
    const std::string name = i == 0 ? "/000_box_043/" : "/001_box_044/";
    for (const char* file : {"pred_udf.npy", "gt_udf.npy"}) {
      EXPECT_LE(WorstDifference(ReadVolume(config.out_dir() + name + file), ReadVolume("qual" + name + file)),
                1e-4)
          << file;
    }
  }
}

TEST(Reconstruct, WritesWhatItListsAndNothingElse) {
  ReconstructConfig config = PublishedConfig("all");
  config.set_max_shapes(1);
  config.set_mesh_metrics(true);
  config.set_mesh_samples(500);
  const ReconstructResult result = ValueOrDie(Reconstruct(config));
  const ReconstructedShape& shape = result.shapes(0);
  size_t there = 0;
  for (const auto& entry : std::filesystem::directory_iterator(shape.out_dir()))
    there += entry.is_regular_file();
  EXPECT_EQ(there, shape.files_size());
  for (const std::string& file : shape.files()) {
    const std::string path = shape.out_dir() + "/" + file;
    ASSERT_TRUE(FileExists(path)) << path;
    if (absl::EndsWith(file, "_mc.obj") || absl::EndsWith(file, "_mc.ply")) {
      EXPECT_GT(ValueOrDie(ReadMesh(path)).faces.rows(), 0) << file;
    }
  }
  EXPECT_EQ(there, 2 + 2 + 8 + 1) << "points, volumes, four surfaces twice, a picture";
  EXPECT_EQ(shape.fscore_size(), 3);
  EXPECT_GT(shape.chamfer_l1(), 0);

  config = PublishedConfig("few");
  config.set_max_shapes(1);
  config.set_save_volumes(false);
  config.set_save_png(false);
  config.set_save_weak_naive_mesh(false);
  config.set_save_observed_pc(false);
  config.set_save_observed_naive_mesh(false);
  EXPECT_EQ(ValueOrDie(Reconstruct(config)).shapes(0).files_size(), 1 + 4);
}

TEST(Reconstruct, RefusesWhatLeavesNothing) {
  ReconstructConfig config = PublishedConfig("none");
  config.set_shape_offset(15);
  EXPECT_TRUE(absl::StrContains(Reconstruct(config).status().message(), "shape_offset"));
  config.set_shape_offset(0);
  config.set_max_len(20);
  EXPECT_TRUE(absl::StrContains(Reconstruct(config).status().message(), "max_len"));
  config.clear_max_len();
  config.set_split("nowhere");
  EXPECT_EQ(Reconstruct(config).status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(FileExists(config.out_dir()));
}

}  // namespace
}  // namespace manyform
