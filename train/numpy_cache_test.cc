// A cache that NumPy wrote (savez_compressed, published layout) is trained on as it is.
#include <cmath>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "data/migrate.h"
#include "gtest/gtest.h"
#include "train/finetune.h"
#include "train/pretrain.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;
constexpr char kCache[] = "testdata/golden/f_eval/c40";

PretrainConfig Config(const std::string& cache, const std::string& name) {
  PretrainConfig config;
  config.set_cache_root(cache);
  config.set_backend("pointcloud");
  config.set_save_dir(absl::StrCat(testing::TempDir(), "/numpy_cache_", name));
  fs::remove_all(config.save_dir());
  config.set_batch(8);
  config.set_epochs(1);
  config.set_n_point(24);
  config.set_n_ray(8);
  config.set_d_model(24);
  config.set_layers(1);
  config.set_heads(2);
  config.set_lr(1e-3);
  config.set_qa_tokens(true);
  config.set_num_threads(1);
  return config;
}

double LossOf(const PretrainConfig& config) {
  const absl::StatusOr<PretrainResult> result = Pretrain(config);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? result->last_loss() : NAN;
}

TEST(NumpyCache, TrainsAndLearns) {
  PretrainConfig config = Config(kCache, "short");
  const double first = LossOf(config);
  config = Config(kCache, "long");
  config.set_epochs(6);
  EXPECT_LT(LossOf(config), first);

  FinetuneConfig finetune;
  finetune.set_cache_root(kCache);
  finetune.set_backend("pointcloud");
  finetune.set_ckpt(config.save_dir() + "/last.safetensors");
  finetune.set_epochs(10);
  finetune.set_batch(8);
  finetune.set_lr(3e-3);
  finetune.set_num_threads(1);
  const absl::StatusOr<FinetuneResult> result = Finetune(finetune);
  ASSERT_TRUE(result.ok()) << result.status();
  double accuracy = 0;
  for (const auto& metric : result->record().metrics()) {
    if (metric.name() == "test_acc") accuracy = metric.value();
  }
  // Five classes.
  EXPECT_GT(accuracy, 0.2);
}

// Stored or compressed, with or without a manifest: the same arrays, so the same loss to the last bit.
TEST(NumpyCache, RepackedItIsTheSame) {
  const std::string root = testing::TempDir() + "/numpy_cache_copy";
  fs::remove_all(root);
  for (const auto& file : fs::recursive_directory_iterator(kCache)) {
    if (fs::is_directory(file.path())) continue;
    const std::string to = JoinPath(root, file.path().lexically_relative(kCache).string());
    ASSERT_TRUE(WriteFileAtomically(to, ReadFile(file.path()).value()).ok());
  }
  const double loss = LossOf(Config(kCache, "compressed"));
  for (const char* what : {"repack", "manifest"}) {
    MigrateConfig migrate;
    migrate.set_what(what);
    migrate.set_cache_root(root);
    const absl::StatusOr<MigrateResult> result = Migrate(migrate);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->ok(), 65);
    EXPECT_EQ(LossOf(Config(root, what)), loss);
  }
}

}  // namespace
}  // namespace manyform
