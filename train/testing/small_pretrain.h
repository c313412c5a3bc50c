/// \file
/// Pretraining small enough for a test: 12 shapes, a model of two layers, two epochs.
#pragma once

#include <cmath>
#include <filesystem>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/json_lines.h"
#include "gtest/gtest.h"
#include "proto/train.pb.h"
#include "train/testing/synthetic_cache.h"

namespace manyform {

inline double Number(const JsonRow& row, const std::string& key) {
  for (const auto& [name, value] : row) {
    if (name != key) continue;
    if (std::holds_alternative<int64_t>(value)) return static_cast<double>(std::get<int64_t>(value));
    return std::get<double>(value);
  }
  ADD_FAILURE() << "no " << key;
  return std::nan("");
}

class SmallPretrain : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::filesystem::remove_all(Cache());
    WriteSyntheticSplit({.root = Cache()}, "train");
    WriteSyntheticSplit({.root = Cache(), .shapes_per_class = 2, .seed = 2}, "train_pc");
  }
  static std::string Cache() { return testing::TempDir() + "/pretrain_cache"; }

  // 12 shapes, 3 batches of 4 an epoch.
  PretrainConfig Config(const std::string& name) const {
    PretrainConfig config;
    config.set_cache_root(Cache());
    config.set_save_dir(absl::StrCat(testing::TempDir(), "/pretrain_",
                                     testing::UnitTest::GetInstance()->current_test_info()->name(), "_",
                                     name));
    std::filesystem::remove_all(config.save_dir());
    config.set_batch(4);
    config.set_epochs(2);
    config.set_n_point(6);
    config.set_n_ray(4);
    config.set_d_model(16);
    config.set_layers(2);
    config.set_heads(2);
    config.set_lr(1e-3);
    config.set_qa_tokens(true);
    config.set_num_threads(1);
    return config;
  }
  static std::string Last(const PretrainConfig& config) { return config.save_dir() + "/last.safetensors"; }
  static std::string LastBytes(const PretrainConfig& config) { return ReadFile(Last(config)).value(); }
  static std::vector<JsonRow> Log(const PretrainConfig& config) {
    return ReadJsonLines(config.save_dir() + "/log.jsonl").value();
  }
};

}  // namespace manyform
