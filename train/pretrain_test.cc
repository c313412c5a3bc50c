#include "train/pretrain.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/json_lines.h"
#include "gtest/gtest.h"
#include "model/checkpoint.h"
#include "train/testing/small_pretrain.h"
#include "train/testing/synthetic_cache.h"

namespace manyform {
namespace {

using PretrainTest = SmallPretrain;

TEST_F(PretrainTest, ARunLearnsAndLeavesItsFiles) {
  PretrainConfig config = Config("run");
  config.set_epochs(20);
  config.set_save_every(5);
  const auto result = Pretrain(config);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->epochs(), 20);
  EXPECT_EQ(result->steps(), 60);
  EXPECT_EQ(result->checkpoint(), Last(config));
  EXPECT_GT(result->samples_per_second(), 0);

  const std::vector<JsonRow> log = Log(config);
  ASSERT_EQ(log.size(), 60u);
  double first = 0, last = 0;
  for (size_t i = 0; i < log.size(); ++i) {
    EXPECT_EQ(Number(log[i], "step"), i + 1);
    EXPECT_EQ(Number(log[i], "epoch"), i / 3);
    EXPECT_EQ(Number(log[i], "loss"), Number(log[i], "loss_nepa"));
    EXPECT_GT(Number(log[i], "grad_norm"), 0);
    EXPECT_EQ(Number(log[i], "lr"), 1e-3);
    EXPECT_GT(Number(log[i], "samples_per_s") * Number(log[i], "seconds"), 3.9);
    (i < 30 ? first : last) += Number(log[i], "loss") / 30;
  }
  EXPECT_LT(last, 0.8 * first);
  EXPECT_EQ(result->last_loss(), Number(log.back(), "loss"));

  std::vector<std::string> names = ListDirectory(config.save_dir()).value();
  EXPECT_EQ(std::erase_if(names, [](const auto& name) { return name.starts_with("events.out.tfevents."); }),
            1u);
  EXPECT_EQ(names, (std::vector<std::string>{"ckpt_ep000.safetensors", "ckpt_ep005.safetensors",
                                             "ckpt_ep010.safetensors", "ckpt_ep015.safetensors",
                                             "ckpt_ep019.safetensors", "config.textproto", "last.safetensors",
                                             "log.jsonl", "record.binpb", "status.textproto"}));
  EXPECT_EQ(ReadFile(config.save_dir() + "/ckpt_ep019.safetensors").value(), LastBytes(config));
  const std::string status = ReadFile(config.save_dir() + "/status.textproto").value();
  EXPECT_TRUE(absl::StrContains(status, "state: \"done\"")) << status;
  PretrainResult record;
  ASSERT_TRUE(record.ParseFromString(ReadFile(config.save_dir() + "/record.binpb").value()));
  EXPECT_EQ(record.steps(), 60);
  EXPECT_EQ(record.provenance().inputs_size(), 1);

  const LoadedModel loaded = LoadModel(Last(config)).value();
  EXPECT_EQ(loaded.header.stage(), "pretrain");
  EXPECT_EQ(loaded.header.n_point(), 6);
  EXPECT_EQ(loaded.header.max_len(), 22);
  EXPECT_EQ(loaded.header.epoch(), 20);
  EXPECT_EQ(loaded.header.step(), 60);
  EXPECT_TRUE(loaded.header.qa_tokens() && loaded.header.add_eos());
  EXPECT_EQ(loaded.header.qa_layout(), "interleave");
}

TEST_F(PretrainTest, LoaderThreadsAndFoldersDoNotMatter) {
  PretrainConfig one = Config("one"), many = Config("many");
  many.set_num_workers(3);
  ASSERT_TRUE(Pretrain(one).ok());
  ASSERT_TRUE(Pretrain(many).ok());
  EXPECT_EQ(LastBytes(one), LastBytes(many));
  PretrainConfig other = Config("other");
  other.set_seed(1);
  ASSERT_TRUE(Pretrain(other).ok());
  EXPECT_NE(HashTensors(LoadModel(Last(one)).value().model.parameters()),
            HashTensors(LoadModel(Last(other)).value().model.parameters()));
}

TEST_F(PretrainTest, AProlongedRunIsTheLongRun) {
  for (const std::string objective : {"nepa", "mae"}) {
    PretrainConfig split = Config("split_" + objective), whole = Config("whole_" + objective);
    split.set_objective(objective);
    whole.set_objective(objective);
    whole.set_epochs(4);
    split.set_epochs(1);
    ASSERT_TRUE(Pretrain(split).ok());
    split.set_epochs(4);
    const auto result = Pretrain(split);
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_TRUE(Pretrain(whole).ok());
    EXPECT_EQ(LastBytes(split), LastBytes(whole)) << objective;
    ASSERT_EQ(Log(split).size(), 12u);
    for (size_t i = 0; i < 12; ++i) EXPECT_EQ(Number(Log(split)[i], "step"), i + 1);
    // Nothing is left to do: the checkpoint stays, the result says where it is.
    const auto again = Pretrain(split);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->steps(), 12);
    EXPECT_EQ(LastBytes(split), LastBytes(whole));
  }
}

TEST_F(PretrainTest, AnotherRunsFolderIsRefused) {
  PretrainConfig config = Config("run");
  ASSERT_TRUE(Pretrain(config).ok());
  const std::string before = LastBytes(config);
  config.set_lr(0.5);
  const absl::Status status = Pretrain(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "lr 0.001, now 0.5")) << status;
  EXPECT_EQ(LastBytes(config), before);
  EXPECT_TRUE(
      absl::StrContains(ReadFile(config.save_dir() + "/status.textproto").value(), "state: \"done\""));
  EXPECT_TRUE(absl::StrContains(ReadFile(config.save_dir() + "/config.textproto").value(), "lr: 0.001"));
  // Unless a fresh start is asked for.
  config.set_auto_resume(false);
  ASSERT_TRUE(Pretrain(config).ok());
  EXPECT_NE(LastBytes(config), before);
  EXPECT_EQ(Log(config).size(), 6u);
  // Which is a run like others afterwards.
  config.set_auto_resume(true);
  EXPECT_TRUE(Pretrain(config).ok());
}

TEST_F(PretrainTest, NoEpochsWriteTheUntrainedCheckpoint) {
  PretrainConfig config = Config("run");
  config.set_epochs(0);
  const auto result = Pretrain(config);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->steps(), 0);
  const LoadedModel loaded = LoadModel(Last(config)).value();
  const auto fresh = QueryTransformer::Create(ConfigOf(loaded.header), 0).value();
  EXPECT_EQ(loaded.hash, HashTensors(fresh.parameters()));
  // And a run may start from there.
  config.set_epochs(1);
  PretrainConfig direct = Config("direct");
  direct.set_epochs(1);
  ASSERT_TRUE(Pretrain(config).ok());
  ASSERT_TRUE(Pretrain(direct).ok());
  EXPECT_EQ(LastBytes(config), LastBytes(direct));
}

TEST_F(PretrainTest, ResumingElsewhereKeepsCountersAndResizesPositions) {
  PretrainConfig first = Config("first"), second = Config("second");
  ASSERT_TRUE(Pretrain(first).ok());
  second.set_resume(Last(first));
  second.set_max_len(40);
  second.set_epochs(3);
  const auto result = Pretrain(second);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->steps(), 9);
  const Checkpoint checkpoint = ReadCheckpoint(Last(second)).value();
  EXPECT_EQ(checkpoint.header.max_len(), 40);
  for (const auto& [name, tensor] : checkpoint.step) EXPECT_EQ(tensor.item<float>(), 9) << name;
  // The same command after the run: its own last checkpoint comes first.
  const auto again = Pretrain(second);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->steps(), 9);
}

TEST_F(PretrainTest, ANonFiniteLossStopsTheRun) {
  PretrainConfig config = Config("run");
  config.set_epochs(30);
  config.set_objective("mae");
  config.set_lr(1e18);
  const absl::Status status = Pretrain(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(absl::StrContains(status.message(), "at step ")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "last good checkpoint: ")) << status;
  EXPECT_TRUE(
      absl::StrContains(ReadFile(config.save_dir() + "/status.textproto").value(), "state: \"failed\""));
  EXPECT_FALSE(FileExists(config.save_dir() + "/lock"));
}

TEST_F(PretrainTest, MixturesAndLayouts) {
  PretrainConfig config = Config("mix");
  const std::string mix = config.save_dir() + ".textproto";
  const std::string text = absl::StrCat(
      "datasets { name: 'a' cache_root: '", Cache(), "' weight: 3 }\n", "datasets { name: 'b' cache_root: '",
      Cache(), "' split: 'train_pc' backend: 'pointcloud_noray' drop_ray_prob: 0.5 }\n",
      "mix_num_samples: 8 mix_seed: 5\n");
  ASSERT_TRUE(WriteFileAtomically(mix, text).ok());
  config.set_mix_config(mix);
  config.set_qa_layout("split");
  config.set_add_eos(false);
  auto result = Pretrain(config);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->steps(), 4);
  EXPECT_EQ(LoadModel(Last(config)).value().header.max_len(), 21);
  EXPECT_EQ(LoadModel(Last(config)).value().header.qa_layout(), "split");
  // Other draws than the mix file's.
  PretrainConfig more = config;
  more.set_save_dir(config.save_dir() + "_more");
  std::filesystem::remove_all(more.save_dir());
  more.set_mix_num_samples(12);
  EXPECT_EQ(Pretrain(more).value().steps(), 6);
  // The mixture is part of the run, though the file's name is the same.
  ASSERT_TRUE(WriteFileAtomically(mix, text + "replacement: false\n").ok());
  EXPECT_TRUE(absl::StrContains(Pretrain(config).status().message(), "mixture"));
  ASSERT_TRUE(
      WriteFileAtomically(mix, absl::StrCat(text, "datasets { cache_root: '", Cache(), "' add_eos: true }"))
          .ok());
  config.set_auto_resume(false);
  EXPECT_TRUE(absl::StrContains(Pretrain(config).status().message(), "add_eos"));
}

TEST_F(PretrainTest, LegacyTokensAndSmallCorpora) {
  PretrainConfig config = Config("legacy");
  config.set_qa_tokens(false);
  config.set_batch(100);
  config.set_epochs(1);
  const auto result = Pretrain(config);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->steps(), 1);
  EXPECT_EQ(LoadModel(Last(config)).value().header.n_types(), 5);
  EXPECT_EQ(LoadModel(Last(config)).value().header.max_len(), 12);
}

TEST_F(PretrainTest, ConfigsThatCannotBe) {
  PretrainConfig config = Config("bad");
  config.set_max_len(21);
  EXPECT_TRUE(absl::StrContains(Pretrain(config).status().message(), "max_len"));
  config = Config("bad");
  config.set_heads(3);
  EXPECT_TRUE(absl::StrContains(Pretrain(config).status().message(), "heads"));
  config = Config("bad");
  config.set_objective("guess");
  EXPECT_TRUE(absl::StrContains(Pretrain(config).status().message(), "objective"));
  config = Config("bad");
  config.set_cache_root(testing::TempDir() + "/nowhere");
  EXPECT_FALSE(Pretrain(config).ok());
  config = Config("bad");
  config.set_n_point(97);
  EXPECT_EQ(Pretrain(config).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace manyform
