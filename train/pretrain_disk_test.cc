// The program itself on a disk that fills.
#include <filesystem>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/testing/small_disk.h"
#include "gtest/gtest.h"
#include "train/testing/program.h"
#include "train/testing/synthetic_cache.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;

TEST(PretrainDisk, AFullOneKeepsWholeCheckpointsAndARunThatCanGoOn) {
  const std::string base = testing::TempDir() + "/pretrain_disk", disk = base + "/disk",
                    whole = base + "/whole", run = disk + "/run";
  fs::remove_all(base);
  fs::create_directories(disk);
  WriteSyntheticSplit({.root = base + "/cache"}, "train");
  // 12 steps an epoch, 5 epochs, a checkpoint at every other one.
  const auto pretrain = [&](const std::string& save_dir, const std::string& log) {
    return WaitForProgram(StartProgram(
        "train/pretrain",
        {"cache_root=" + base + "/cache", "save_dir=" + save_dir, "batch=1", "epochs=5", "save_every=2",
         "n_point=6", "n_ray=4", "d_model=16", "layers=2", "heads=2", "qa_tokens=1", "num_threads=1"},
        base + log));
  };
  ASSERT_EQ(pretrain(whole, "/whole.log"), 0) << ReadFile(base + "/whole.log").value();
  const uint64_t checkpoint = fs::file_size(whole + "/last.safetensors"), small_files = 32 << 10;

  // Those of two epochs and the last fit, but not, beside them, half of the next last one.
  auto mounted = SmallDisk::Mount(disk, absl::StrCat(3 * checkpoint + checkpoint / 2 + small_files));
  if (!mounted.ok()) GTEST_SKIP() << mounted.status();
  EXPECT_EQ(pretrain(run, "/full.log"), 1);
  const std::string said = ReadFile(base + "/full.log").value();
  EXPECT_TRUE(absl::StrContains(said, "No space left on device")) << said;
  int checkpoints = 0;
  for (const auto& file : fs::directory_iterator(run)) {
    const std::string name = file.path().filename();
    EXPECT_FALSE(absl::StrContains(name, ".tmp.")) << name;
    if (!absl::StartsWith(name, "ckpt_")) continue;
    EXPECT_TRUE(ReadFile(file.path()).value() == ReadFile(whole + "/" + name).value()) << name;
    ++checkpoints;
  }
  EXPECT_EQ(checkpoints, 2);
  EXPECT_FALSE(FileExists(run + "/record.binpb"));

  const absl::Status grown = (*mounted)->Resize("64m");
  ASSERT_TRUE(grown.ok()) << grown;
  EXPECT_EQ(pretrain(run, "/resumed.log"), 0) << ReadFile(base + "/resumed.log").value();
  for (const char* name : {"last", "ckpt_ep000", "ckpt_ep002", "ckpt_ep004"}) {
    const std::string file = absl::StrCat("/", name, ".safetensors");
    EXPECT_TRUE(ReadFile(run + file).value() == ReadFile(whole + file).value()) << name;
  }
  EXPECT_TRUE(FileExists(run + "/record.binpb"));
}

}  // namespace
}  // namespace manyform
