// The whole path on twelve generated meshes: what each program leaves behind is opened and checked.
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numbers>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/files.h"
#include "base/json_lines.h"
#include "base/result_writer.h"
#include "data/manifest.h"
#include "data/npz.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "proto/cache.pb.h"
#include "proto/eval.pb.h"
#include "proto/train.pb.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// A closed grid of quads over the parameters u, v in [0,1].
std::string SurfaceObj(int nu, int nv, const std::function<std::array<double, 3>(double, double)>& at) {
  std::string obj = "# generated\n";
  for (int i = 0; i <= nu; ++i) {
    for (int j = 0; j <= nv; ++j) {
      const auto p = at(static_cast<double>(i) / nu, static_cast<double>(j) / nv);
      absl::StrAppendFormat(&obj, "v %.9f %.9f %.9f\n", p[0], p[1], p[2]);
    }
  }
  for (int i = 0; i < nu; ++i) {
    for (int j = 0; j < nv; ++j) {
      const int a = i * (nv + 1) + j + 1, b = a + nv + 1;
      absl::StrAppendFormat(&obj, "f %d %d %d %d\n", a, b, b + 1, a + 1);
    }
  }
  return obj;
}

std::string Ball(double stretch) {
  return SurfaceObj(24, 24, [=](double u, double v) -> std::array<double, 3> {
    const double azimuth = 2 * std::numbers::pi * u, polar = std::numbers::pi * v;
    return {std::sin(polar) * std::cos(azimuth), std::sin(polar) * std::sin(azimuth),
            stretch * std::cos(polar)};
  });
}

std::string Ring(double tube) {
  return SurfaceObj(32, 16, [=](double u, double v) -> std::array<double, 3> {
    const double a = 2 * std::numbers::pi * u, b = 2 * std::numbers::pi * v;
    const double r = 1 + tube * std::cos(b);
    return {r * std::cos(a), r * std::sin(a), tube * std::sin(b)};
  });
}

std::string Box(double height) {
  std::string obj;
  for (int i = 0; i < 8; ++i) {
    absl::StrAppendFormat(&obj, "v %d %d %g\n", i & 1 ? 1 : -1, i & 2 ? 1 : -1, i & 4 ? height : -height);
  }
  return obj + "f 1 3 4 2\nf 5 6 8 7\nf 1 2 6 5\nf 3 7 8 4\nf 1 5 7 3\nf 2 4 8 6\n";
}

// The programs run in one folder, one after another, as a shell pipeline would run them.
class EndToEnd : public testing::Test {
 protected:
  void SetUp() override {
    runfiles_ = fs::current_path();
    work_ = fs::path(testing::TempDir()) / "end_to_end";
    fs::remove_all(work_);
    fs::create_directories(work_);
    fs::current_path(work_);
  }
  void TearDown() override { fs::current_path(runfiles_); }

  int Run(const std::string& program, const std::string& arguments) {
    const std::string command =
        absl::StrCat("'", (runfiles_ / program).string(), "' ", arguments, " > out.txt 2> err.txt");
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  static std::string Text(const std::string& path) { return ReadFile(path).value_or("(no " + path + ")"); }

  fs::path runfiles_, work_;
};

#define RUN_OK(program, arguments) ASSERT_EQ(Run(program, arguments), 0) << Text("err.txt")

void WriteMeshes() {
  const std::function<std::string(double)> kinds[3] = {Ball, Box, Ring};
  const char* names[3] = {"ball", "box", "ring"};
  for (int kind = 0; kind < 3; ++kind) {
    for (int i = 0; i < 4; ++i) {
      const double size = kind == 0 ? 1 - 0.2 * i : 0.2 + 0.15 * i;
      const std::string path = absl::StrFormat("meshes/%s/m%d/models/model_normalized.obj", names[kind], i);
      ASSERT_TRUE(WriteFileAtomically(path, kinds[kind](size)).ok());
    }
  }
  // Not a shape: listed with a reason while the rest goes on.
  ASSERT_TRUE(WriteFileAtomically("meshes/box/torn/models/model_normalized.obj", "v 0 0 0\nf 1 2 3\n").ok());
}

void CheckBall(const CacheManifest& manifest) {
  for (const ShapeEntry& entry : manifest.shapes()) {
    if (ShapeKey(entry) != "ball/m0") continue;
    const auto npz = NpzReader::Open(ShapePath("cache", entry));
    ASSERT_TRUE(npz.ok()) << npz.status();
    const auto xyz = npz->Read("pt_xyz_pool")->Values<float>();
    const auto distance = npz->Read("pt_dist_pool")->Values<float>();
    ASSERT_EQ(distance->size(), 500);
    for (size_t i = 0; i < distance->size(); ++i) {
      const float* p = xyz->data() + 3 * i;
      const double expected = std::abs(std::hypot(p[0], p[1], p[2]) - 1);
      // A polyhedron of 24 x 24 faces lies at most 1 - cos(pi/24) squared inside its sphere.
      EXPECT_NEAR((*distance)[i], expected, 0.02) << i;
    }
    const auto hit = npz->Read("ray_hit_pool")->Values<float>();
    const auto t = npz->Read("ray_t_pool")->Values<float>();
    int hits = 0;
    for (size_t i = 0; i < hit->size(); ++i) {
      if ((*hit)[i] == 0) continue;
      ++hits;
      // From radius 2.2 the unit sphere is between 1.2 and its tangent's length away.
      EXPECT_GE((*t)[i], 1.199);
      EXPECT_LE((*t)[i], std::sqrt(2.2 * 2.2 - 1) + 0.02);
    }
    EXPECT_GT(hits, 50);
    return;
  }
  FAIL() << "no ball/m0 in the manifest";
}

std::set<std::string> SplitKeys(const json& split, const std::string& name) {
  std::set<std::string> keys;
  for (const json& record : split["records"]) {
    if (record["split"] == name) keys.insert(record["key"]);
  }
  return keys;
}

TEST_F(EndToEnd, FromMeshesToReport) {
  WriteMeshes();
  const std::string build =
      "shapenet_root=meshes test_ratio=0.25 pc_points=256 pt_pool=500 ray_pool=300 n_views=6 "
      "pc_grid=24 df_grid=24 pt_dist_mode=mesh";
  RUN_OK("data/build_cache", absl::StrCat(build, " out_root=cache num_threads=2 record=build.json"));
  BuildCacheResult built;
  ASSERT_TRUE(ReadResult("build.json", &built).ok());
  EXPECT_EQ(built.built(), 12);
  ASSERT_EQ(built.failed_size(), 1);
  EXPECT_EQ(built.failed(0).id(), "torn");
  EXPECT_TRUE(built.provenance().has_config_fingerprint());
  const auto manifest = ReadManifest("cache");
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->shapes_size(), 12);
  EXPECT_EQ(manifest->layouts_size(), 1);
  CheckBall(*manifest);

  // Again: nothing to do, nothing changed; with other options: refused.
  const std::string before = Text("cache/manifest.binpb");
  RUN_OK("data/build_cache", absl::StrCat(build, " out_root=cache num_threads=1 record=again.json"));
  BuildCacheResult again;
  ASSERT_TRUE(ReadResult("again.json", &again).ok());
  EXPECT_EQ(again.built(), 0);
  EXPECT_EQ(again.skipped(), 12);
  EXPECT_EQ(Text("cache/manifest.binpb"), before);
  EXPECT_EQ(Run("data/build_cache", absl::StrCat(build, " pt_pool=501 out_root=cache")), 1);
  EXPECT_NE(Text("err.txt").find("pt_pool"), std::string::npos) << Text("err.txt");
  EXPECT_EQ(Run("data/build_cache", "shapenet_root=meshes out_root=cache pt_pol=1"), 2);
  EXPECT_NE(Text("err.txt").find("pt_pool"), std::string::npos) << Text("err.txt");

  RUN_OK("data/split_unpaired", "cache_root=cache output=split.json record=split_record.json");
  const json split = json::parse(Text("split.json"));
  const auto mesh = SplitKeys(split, "train_mesh"), pc = SplitKeys(split, "train_pc"),
             udf = SplitKeys(split, "train_udf"), held = SplitKeys(split, "eval");
  EXPECT_EQ(mesh.size() + pc.size() + udf.size(), 9);
  EXPECT_EQ(mesh.size(), 3);
  EXPECT_EQ(held.size(), 3);
  std::set<std::string> all;
  for (const auto& part : {mesh, pc, udf, held}) all.insert(part.begin(), part.end());
  EXPECT_EQ(all.size(), 12);

  RUN_OK("data/materialize", "src_cache_root=cache split_json=split.json out_root=view");
  for (const std::string& key : udf)
    EXPECT_TRUE(NpzReader::Open("view/train_udf/" + key + ".npz").ok()) << key;
  EXPECT_EQ(ReadManifest("view")->shapes_size(), 12);

  const std::string mix =
      "datasets { cache_root: 'view' split: 'train_mesh' backend: 'mesh' weight: 0.34 }\n"
      "datasets { cache_root: 'view' split: 'train_pc' backend: 'pointcloud_noray' weight: 0.33 }\n"
      "datasets { cache_root: 'view' split: 'train_udf' backend: 'udfgrid' weight: 0.33 }\n"
      "mix_num_samples: 64\n";
  ASSERT_TRUE(WriteFileAtomically("mix.textproto", mix).ok());
  const std::string pretrain =
      "mix_config=mix.textproto batch=8 epochs=6 lr=0.003 n_point=16 n_ray=8 d_model=24 layers=2 heads=2 "
      "qa_tokens=1 seed=5";
  for (const char* objective : {"nepa", "mae"}) {
    RUN_OK("train/pretrain", absl::StrCat(pretrain, " objective=", objective, " save_dir=runs/", objective));
    const auto log = ReadJsonLines(absl::StrCat("runs/", objective, "/log.jsonl"));
    ASSERT_TRUE(log.ok()) << log.status();
    ASSERT_FALSE(log->empty());
    EXPECT_TRUE(fs::exists(absl::StrCat("runs/", objective, "/ckpt_ep005.safetensors"))) << Text("err.txt");
    PretrainResult result;
    ASSERT_TRUE(ReadResult(absl::StrCat("runs/", objective, "/record.binpb"), &result).ok());
    EXPECT_EQ(result.steps(), 48);
    EXPECT_TRUE(std::isfinite(result.last_loss()));
  }

  RUN_OK("train/finetune",
         "cache_root=cache ckpt=runs/nepa/last.safetensors backend=pointcloud_noray epochs=4 batch=4 "
         "n_ray=0 label=nepa output=finetune.json");
  const json finetune = json::parse(Text("finetune.json"));
  EXPECT_GE(finetune["test_acc"].get<double>(), 0);
  EXPECT_LE(finetune["test_acc"].get<double>(), 1);

  for (const char* objective : {"nepa", "mae"}) {
    RUN_OK("eval/ucpr", absl::StrCat("cache_root=view ckpt=runs/", objective, "/last.safetensors ",
                                     "query_backend=mesh gallery_backend=udfgrid examples=2 pooling=mean_a ",
                                     "output=ucpr_", objective, ".json"));
  }
  const json ucpr = json::parse(Text("ucpr_nepa.json"));
  EXPECT_EQ(ucpr["n_files"], 3);
  EXPECT_DOUBLE_EQ(ucpr["r@5"].get<double>(), 1);
  EXPECT_GE(ucpr["mAP"].get<double>(), 1.0 / 3);
  EXPECT_EQ(ucpr["manyform"]["examples"].size(), 2);

  RUN_OK("eval/cpac",
         "cache_root=view ckpt=runs/nepa/last.safetensors n_context=16 n_query=32 baseline=nn_copy "
         "slice_shapes=1 output=cpac.json");
  const json cpac = json::parse(Text("cpac.json"));
  EXPECT_GT(cpac["mae"].get<double>(), 0);
  EXPECT_LT(cpac["mae"].get<double>(), 1);
  EXPECT_EQ(cpac["manyform"]["slices"].size(), 1);

  RUN_OK("eval/table",
         "inputs=ucpr_nepa.json,ucpr_mae.json,cpac.json,finetune.json markdown=table.md csv=table.csv");
  EXPECT_NE(Text("table.md").find("nepa"), std::string::npos);
  EXPECT_NE(Text("table.csv").find("mae"), std::string::npos);
  RUN_OK("eval/report",
         "run_dirs=runs/nepa,runs/mae results=ucpr_nepa.json,ucpr_mae.json,cpac.json,finetune.json "
         "stage_records=build.json,split_record.json cache_root=view output=report.html record=report.json");
  ReportResult report;
  ASSERT_TRUE(ReadResult("report.json", &report).ok());
  EXPECT_GT(report.pictures(), 0);
  const std::string html = Text("report.html");
  EXPECT_EQ(static_cast<int64_t>(html.size()), report.bytes());
  EXPECT_NE(html.find("data:image/png;base64,"), std::string::npos);
  EXPECT_EQ(html.find("src=\"http"), std::string::npos);
}

}  // namespace
}  // namespace manyform
