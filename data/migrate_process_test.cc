// The program itself: killed, run several times at once, and on disks that are full or not to be written.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/files.h"
#include "base/numpy_random.h"
#include "base/testing/small_disk.h"
#include "data/manifest.h"
#include "data/testing/golden_npz.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;
constexpr char kProgram[] = "data/migrate";

std::string NewFolder(absl::string_view name) {
  std::string folder = absl::StrCat(testing::TempDir(), "/migrate_process_", name);
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

std::map<std::string, std::string> Tree(const std::string& folder) {
  std::map<std::string, std::string> tree;
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    if (file.is_regular_file()) tree[fs::relative(file.path(), folder)] = OrThrow(ReadFile(file.path()));
  }
  return tree;
}

// A cache of `shapes` shapes of 1,000 points among 200, with its manifest.
void WriteCache(const std::string& root, int shapes) {
  NumpyRandomState random(5);
  const auto points = [&](int64_t n) {
    const std::vector<double> values = random.UniformVector(-1, 1, 3 * n);
    return MakeArray(std::vector<float>(values.begin(), values.end()), {n, 3});
  };
  for (int i = 0; i < shapes; ++i) {
    const std::string path =
        absl::StrFormat("%s/train/%s/shape_%03d.npz", root, i % 2 ? "odd ones" : "gerade \u00fc", i);
    ASSERT_TRUE(
        WriteNpz(path, std::vector<NamedArray>{{"pc_xyz", points(200)}, {"pt_xyz_pool", points(1000)}}).ok());
  }
  ASSERT_TRUE(WriteManifest(root, OrThrow(IndexCache(root, 1, true))).ok());
}

int64_t CountMigrated(const std::string& root, const std::string& array) {
  int64_t count = 0;
  for (const auto& file : fs::recursive_directory_iterator(root)) {
    if (file.path().extension() != ".npz" || file.path().filename().string()[0] == '.') continue;
    count += OrThrow(NpzReader::Open(file.path())).Has(array);
  }
  return count;
}

pid_t Start(std::vector<std::string> arguments, const std::string& log) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  dup2(fd, STDERR_FILENO);
  dup2(fd, STDOUT_FILENO);
  std::vector<char*> argv = {const_cast<char*>(kProgram)};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  execv(kProgram, argv.data());
  _exit(127);
}

int Wait(pid_t pid) {
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

struct Ran {
  int code = -1;
  std::string log;
};

Ran RunProgram(std::vector<std::string> arguments) {
  const std::string log = testing::TempDir() + "/migrate_process.log";
  const int code = Wait(Start(std::move(arguments), log));
  return {code, OrThrow(ReadFile(log))};
}

TEST(MigrateProcess, KilledAgainAndAgainItEndsWithTheSameBytes) {
  const std::string whole = NewFolder("whole"), killed = NewFolder("killed");
  for (const std::string& root : {whole, killed}) WriteCache(root, 60);
  ASSERT_EQ(RunProgram({"what=pt_fps_order", "fps_k=1000", "cache_root=" + whole}).code, 0);
  int kills = 0;
  for (int64_t wanted = 3; wanted < 60; wanted += 15) {
    const pid_t pid = Start({"what=pt_fps_order", "fps_k=1000", "cache_root=" + killed, "num_threads=2"},
                            testing::TempDir() + "/migrate_killed.log");
    int status = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
      if (CountMigrated(killed, "pt_fps_order") >= wanted) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        break;
      }
    }
    kills += WIFSIGNALED(status);
  }
  EXPECT_GT(kills, 0);
  const Ran last = RunProgram({"what=pt_fps_order", "fps_k=1000", "cache_root=" + killed});
  EXPECT_EQ(last.code, 0) << last.log;
  EXPECT_TRUE(Tree(killed) == Tree(whole));
}

TEST(MigrateProcess, CtrlCUpdatesTheManifestForWhatIsDone) {
  const std::string root = NewFolder("interrupted");
  WriteCache(root, 60);
  const std::string log = testing::TempDir() + "/migrate_int.log";
  const pid_t pid = Start({"what=pt_fps_order", "fps_k=1000", "cache_root=" + root, "num_threads=1"}, log);
  int status = 0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (CountMigrated(root, "pt_fps_order") < 3) continue;
    kill(pid, SIGINT);
    waitpid(pid, &status, 0);
    break;
  }
  const int64_t done = CountMigrated(root, "pt_fps_order");
  if (done == 60) GTEST_SKIP() << "too fast to interrupt";
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_TRUE(absl::StrContains(OrThrow(ReadFile(log)), "error: interrupted")) << OrThrow(ReadFile(log));
  const CacheManifest manifest = OrThrow(ReadManifest(root));
  for (const ShapeEntry& entry : manifest.shapes()) {
    EXPECT_TRUE(VerifyShapeFile(ShapePath(root, entry), entry).ok()) << entry.id();
  }
}

TEST(MigrateProcess, ThreeAtOnceLoseNothing) {
  const std::string one_by_one = NewFolder("one_by_one"), at_once = NewFolder("at_once");
  for (const std::string& root : {one_by_one, at_once}) WriteCache(root, 40);
  const auto arguments = [](const std::string& what, const std::string& root) {
    return std::vector<std::string>{"what=" + what, "cache_root=" + root, "num_threads=2"};
  };
  ASSERT_EQ(RunProgram(arguments("pc_fps_order", one_by_one)).code, 0);
  ASSERT_EQ(RunProgram(arguments("pt_dist_pc_pool", one_by_one)).code, 0);
  const pid_t a = Start(arguments("pc_fps_order", at_once), testing::TempDir() + "/migrate_a.log");
  const pid_t b = Start(arguments("pt_dist_pc_pool", at_once), testing::TempDir() + "/migrate_b.log");
  // Indexing reads what the others change under it.
  const pid_t c =
      Start({"what=manifest", "overwrite=1", "cache_root=" + at_once}, testing::TempDir() + "/migrate_c.log");
  EXPECT_EQ(Wait(a), 0) << OrThrow(ReadFile(testing::TempDir() + "/migrate_a.log"));
  EXPECT_EQ(Wait(b), 0) << OrThrow(ReadFile(testing::TempDir() + "/migrate_b.log"));
  EXPECT_EQ(Wait(c), 0) << OrThrow(ReadFile(testing::TempDir() + "/migrate_c.log"));
  EXPECT_EQ(CountMigrated(at_once, "pc_fps_order"), 40);
  EXPECT_EQ(CountMigrated(at_once, "pt_dist_pc_pool"), 40);
  // Which array came first may differ; the arrays and the manifest's truth may not.
  const CacheManifest manifest = OrThrow(ReadManifest(at_once));
  ASSERT_EQ(manifest.shapes_size(), 40);
  for (const ShapeEntry& entry : manifest.shapes()) {
    EXPECT_TRUE(VerifyShapeFile(ShapePath(at_once, entry), entry).ok()) << entry.id();
    const auto x = OrThrow(ShapeFile::Open(ShapePath(at_once, entry), entry, manifest));
    const auto y = OrThrow(ShapeFile::Open(ShapePath(one_by_one, entry)));
    for (const char* name : {"pc_xyz", "pt_xyz_pool", "pc_fps_order", "pt_dist_pc_pool"}) {
      EXPECT_EQ(OrThrow(OrThrow(x->Get(name)).Values<float>()),
                OrThrow(OrThrow(y->Get(name)).Values<float>()));
    }
  }
}

TEST(MigrateProcess, FailuresAreNamedRecordedAndAnError) {
  const std::string root = NewFolder("failures");
  WriteCache(root, 4);
  ASSERT_TRUE(WriteFileAtomically(root + "/train/odd ones/empty.npz", "").ok());
  ASSERT_TRUE(WriteNpz(root + "/train/odd ones/nothing.npz",
                       std::vector<NamedArray>{{"foo", MakeArray<double>({1}, {1})}})
                  .ok());
  const Ran ran =
      RunProgram({"what=pt_dist_pc_pool", "cache_root=" + root, "record=" + root + "/record.json"});
  EXPECT_EQ(ran.code, 1) << ran.log;
  EXPECT_TRUE(absl::StrContains(ran.log, "ok=4 skip=0 fail=2 total=6")) << ran.log;
  EXPECT_TRUE(absl::StrContains(ran.log, "failed: ")) << ran.log;
  EXPECT_TRUE(absl::StrContains(ran.log, "error: 2 of 6 shapes could not be migrated")) << ran.log;
  const nlohmann::json record = nlohmann::json::parse(OrThrow(ReadFile(root + "/record.json")));
  ASSERT_EQ(record["failed"].size(), 2u);
  EXPECT_EQ(record["failed"][0]["id"], "empty");
  EXPECT_EQ(record["failed"][1]["id"], "nothing");
  EXPECT_TRUE(record["provenance"].contains("config"));
  EXPECT_EQ(RunProgram({"what=pt_dist_pc_pool", "cache_root=" + root, "fps_k=3"}).code, 2);
  EXPECT_EQ(RunProgram({"what=nothing", "cache_root=" + root}).code, 2);
}

// A disk of its own that has room for the cache and one more file.
TEST(MigrateProcess, AFullDiskLeavesEveryFileWhole) {
  const std::string disk = NewFolder("disk");
  auto mounted = SmallDisk::Mount(disk, "380k");
  if (!mounted.ok()) GTEST_SKIP() << mounted.status();
  const std::string root = disk + "/cache";
  WriteCache(root, 20);
  const Ran full = RunProgram({"what=pt_dist_pc_pool", "cache_root=" + root, "num_threads=2"});
  const auto left = Tree(disk);
  const int64_t migrated = CountMigrated(root, "pt_dist_pc_pool");
  const absl::Status grown = (*mounted)->Resize("16m");
  const Ran resumed = RunProgram({"what=pt_dist_pc_pool", "cache_root=" + root});
  const int64_t in_the_end = CountMigrated(root, "pt_dist_pc_pool");
  EXPECT_EQ(full.code, 1) << full.log;
  EXPECT_TRUE(absl::StrContains(full.log, "No space left on device")) << full.log;
  EXPECT_LT(migrated, 20);
  for (const auto& [name, content] : left) EXPECT_FALSE(absl::StrContains(name, ".tmp.")) << name;
  ASSERT_TRUE(grown.ok()) << grown;
  EXPECT_EQ(resumed.code, 0) << resumed.log;
  EXPECT_EQ(in_the_end, 20);
}

TEST(MigrateProcess, WhatMayNotBeWrittenIsRefusedInOneLine) {
  const std::string disk = NewFolder("read_only");
  auto mounted = SmallDisk::Mount(disk, "4m");
  if (!mounted.ok()) GTEST_SKIP() << mounted.status();
  const std::string root = disk + "/cache";
  WriteCache(root, 4);
  // A cache without a manifest as well: there each file is found out by itself.
  WriteCache(disk + "/bare", 4);
  fs::remove(disk + "/bare/manifest.binpb");
  const auto before = Tree(disk);
  const absl::Status read_only = (*mounted)->MakeReadOnly();
  ASSERT_TRUE(read_only.ok()) << read_only;
  const Ran ran = RunProgram({"what=pt_dist_pc_pool", "cache_root=" + root});
  const Ran bare = RunProgram({"what=pt_dist_pc_pool", "cache_root=" + disk + "/bare"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_TRUE(absl::StrContains(ran.log, "error: ")) << ran.log;
  EXPECT_TRUE(absl::StrContains(ran.log, "Read-only file system")) << ran.log;
  EXPECT_EQ(bare.code, 1);
  EXPECT_TRUE(absl::StrContains(bare.log, "ok=0 skip=0 fail=4")) << bare.log;
  EXPECT_TRUE(Tree(disk) == before);
}

}  // namespace
}  // namespace manyform
