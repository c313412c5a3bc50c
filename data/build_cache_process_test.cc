// The program itself, killed, starved and fed with bad input.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/testing/small_disk.h"
#include "data/manifest.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;
constexpr char kProgram[] = "data/build_cache", kMerge[] = "data/merge_shards";
constexpr char kMeshes[] = "testdata/golden/d_splits/tiny/meshes";

std::string NewFolder(absl::string_view name) {
  std::string folder = absl::StrCat(testing::TempDir(), "/process_", name);
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

std::map<std::string, std::string> Tree(const std::string& folder) {
  std::map<std::string, std::string> tree;
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    if (file.is_regular_file()) tree[file.path().lexically_relative(folder)] = *ReadFile(file.path());
  }
  return tree;
}

int64_t CountShapes(const std::string& folder) {
  std::error_code gone;
  int64_t count = 0;
  for (const auto& file : fs::recursive_directory_iterator(folder, gone)) {
    count += file.path().extension() == ".npz";
  }
  return count;
}

// Starts the program; what it prints goes to `log`.
pid_t Start(std::vector<std::string> arguments, const std::string& log, const char* program = kProgram) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  dup2(fd, STDERR_FILENO);
  dup2(fd, STDOUT_FILENO);
  std::vector<char*> argv = {const_cast<char*>(program)};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  execv(program, argv.data());
  _exit(127);
}

int Wait(pid_t pid) {
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::vector<std::string> Arguments(const std::string& root, const std::string& out) {
  return {"shapenet_root=" + root, "out_root=" + out, "pc_points=64",
          "dist_ref_points=200",   "df_grid=16",      "pc_grid=16"};
}

struct Ran {
  int code;
  std::string log;
};

Ran RunProgram(std::vector<std::string> arguments, const char* program = kProgram) {
  const std::string log = testing::TempDir() + "/process.log";
  const int code = Wait(Start(std::move(arguments), log, program));
  return {code, *ReadFile(log)};
}

std::vector<std::string> With(std::vector<std::string> arguments, const std::string& more) {
  arguments.push_back(more);
  return arguments;
}

TEST(BuildCacheProcess, KilledAgainAndAgainItEndsWithTheSameBytes) {
  const std::string whole = NewFolder("whole"), out = NewFolder("killed");
  ASSERT_EQ(RunProgram(With(Arguments(kMeshes, whole), "num_threads=1")).code, 0);
  int kills = 0;
  for (int64_t wanted = 2; wanted < 13; wanted += 3) {
    const pid_t pid =
        Start(With(Arguments(kMeshes, out), "num_threads=2"), testing::TempDir() + "/killed.log");
    int status = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
      if (CountShapes(out) >= wanted) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        break;
      }
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    kills += WIFSIGNALED(status);
    // Whatever else is there has a name that readers pass over.
    for (const auto& file : fs::recursive_directory_iterator(out)) {
      if (file.path().extension() == ".npz") {
        EXPECT_TRUE(NpzReader::Open(file.path()).ok()) << file.path();
      }
    }
  }
  EXPECT_GT(kills, 0);
  const Ran last = RunProgram(With(Arguments(kMeshes, out), "num_threads=3"));
  EXPECT_EQ(last.code, 0) << last.log;
  EXPECT_TRUE(Tree(out) == Tree(whole));
}

TEST(BuildCacheProcess, CtrlCEndsCleanlyAndTheNextRunGoesOn) {
  const std::string whole = NewFolder("sigint_whole"), out = NewFolder("sigint");
  ASSERT_EQ(RunProgram(Arguments(kMeshes, whole)).code, 0);
  const pid_t pid = Start(With(Arguments(kMeshes, out), "num_threads=1"), testing::TempDir() + "/int.log");
  int status = 0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (CountShapes(out) >= 3) {
      kill(pid, SIGINT);
      waitpid(pid, &status, 0);
      break;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  // It may have been done before the signal came.
  if (FileExists(out + "/manifest.binpb")) GTEST_SKIP() << "too fast to interrupt";
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_TRUE(absl::StrContains(*ReadFile(testing::TempDir() + "/int.log"), "error: interrupted"));
  EXPECT_EQ(RunProgram(Arguments(kMeshes, out)).code, 0);
  EXPECT_TRUE(Tree(out) == Tree(whole));
}

TEST(BuildCacheProcess, BadInputIsReportedAndDoesNotStopTheRest) {
  const std::string root = NewFolder("bad_meshes"), out = NewFolder("bad");
  fs::copy(kMeshes, root, fs::copy_options::recursive);
  for (const auto& file : fs::recursive_directory_iterator(root)) fs::permissions(file, fs::perms::owner_all);
  std::ofstream(root + "/0100/m01/models/model_normalized.obj") << "\x7f"
                                                                << "ELF no mesh";
  std::ofstream(root + "/0100/m06/models/model_normalized.obj") << "v nan nan nan\nv nan nan nan\nf 1 2 2\n";
  fs::create_directories(root + "/0900");
  const Ran ran = RunProgram(With(Arguments(root, out), "record=" + out + "/record.json"));
  EXPECT_EQ(ran.code, 0) << ran.log;
  EXPECT_TRUE(absl::StrContains(ran.log, "failed: train/0100/m01: ")) << ran.log;
  EXPECT_TRUE(absl::StrContains(ran.log, "failed: train/0100/m06: ")) << ran.log;
  EXPECT_TRUE(absl::StrContains(ran.log, "11 built, 0 already there, 2 failed")) << ran.log;
  EXPECT_TRUE(absl::StrContains(*ReadFile(out + "/record.json"), "m06/models/model_normalized.obj"));
  EXPECT_EQ(ReadManifest(out)->failed_size(), 2);

  fs::remove_all(root + "/0100");
  fs::remove_all(root + "/0200");
  const Ran empty = RunProgram(Arguments(root, NewFolder("empty")));
  EXPECT_EQ(empty.code, 1);
  EXPECT_TRUE(absl::StrContains(empty.log, "error: no mesh matches")) << empty.log;
}

// Whoever comes second is sent away, or waits and finds all done: the files are those of one.
TEST(BuildCacheProcess, TwoAtOnceDoNoHarm) {
  const std::string whole = NewFolder("two_whole"), out = NewFolder("two");
  ASSERT_EQ(RunProgram(Arguments(kMeshes, whole)).code, 0);
  for (int round = 0; round < 3; ++round) {
    fs::remove_all(out);
    const std::string logs[] = {out + "_a.log", out + "_b.log"};
    const pid_t pids[] = {Start(With(Arguments(kMeshes, out), "num_threads=1"), logs[0]),
                          Start(With(Arguments(kMeshes, out), "num_threads=2"), logs[1])};
    int built = 0;
    for (int i = 0; i < 2; ++i) {
      const int code = Wait(pids[i]);
      const std::string log = *ReadFile(logs[i]);
      const bool all = absl::StrContains(log, "13 built, 0 already there");
      const bool waited = absl::StrContains(log, "0 built, 13 already there");
      const bool sent_away =
          absl::StrContains(log, absl::StrCat("error: ", out, "/_meta/build.lock: another build"));
      EXPECT_EQ(all + waited + sent_away, 1) << log;
      EXPECT_EQ(code, sent_away ? 1 : 0) << log;
      built += all;
    }
    EXPECT_EQ(built, 1);
    EXPECT_TRUE(Tree(out) == Tree(whole));
  }
}

TEST(BuildCacheProcess, ThreeShardsAtOnceAndTheirMerge) {
  const std::string whole = NewFolder("shards_whole"), out = NewFolder("shards");
  ASSERT_EQ(RunProgram(Arguments(kMeshes, whole)).code, 0);
  std::vector<pid_t> pids;
  pids.reserve(3);
  for (int i = 0; i < 3; ++i) {
    pids.push_back(Start(With(Arguments(kMeshes, out), absl::StrCat("shard=", i, "/3")),
                         absl::StrCat(out, "_", i, ".log")));
  }
  for (const pid_t pid : pids) EXPECT_EQ(Wait(pid), 0);
  fs::rename(out + "/_meta/build_cache.shard_1_of_3.binpb", out + "/held");
  const Ran early = RunProgram({"cache_root=" + out}, kMerge);
  EXPECT_EQ(early.code, 1);
  EXPECT_TRUE(absl::StrContains(early.log, "missing are 1/3")) << early.log;
  fs::rename(out + "/held", out + "/_meta/build_cache.shard_1_of_3.binpb");
  const Ran merged = RunProgram({"cache_root=" + out, "record=" + out + "_record.json"}, kMerge);
  EXPECT_EQ(merged.code, 0) << merged.log;
  EXPECT_TRUE(absl::StrContains(*ReadFile(out + "_record.json"), "\"shards\": 3"));
  EXPECT_TRUE(Tree(out) == Tree(whole));
}

// One file that crashes, hangs or is nothing must not end the others' build.
TEST(BuildCacheProcess, AnyFileAnyNameInATree) {
  const std::string root = NewFolder("tree möbel"), out = NewFolder("tree cache");
  for (const char* ending : {"obj", "off", "ply", "stl", "gltf", "glb", "dae", "3ds"}) {
    std::ofstream(absl::StrCat(root, "/empty ", ending, ".", ending)).flush();
  }
  fs::create_directories(root + "/Stühle №1");
  std::ofstream(root + "/Stühle №1/drei Beine.obj")
      << "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n";
  std::vector<std::string> arguments = Arguments("", out);
  arguments[0] = "tree_root=" + root;
  const Ran ran = RunProgram(With(arguments, "record=" + out + "/record.json"));
  EXPECT_EQ(ran.code, 0) << ran.log;
  EXPECT_TRUE(absl::StrContains(ran.log, "1 built, 0 already there, 8 failed")) << ran.log;
  EXPECT_TRUE(FileExists(out + "/train/Stühle №1/drei Beine.npz"));
  EXPECT_EQ(ReadManifest(out)->failed_size(), 8);
}

TEST(BuildCacheProcess, ConfigErrorsAreTwo) {
  EXPECT_EQ(RunProgram({"out_root=x"}).code, 2);
  EXPECT_EQ(RunProgram({"shapenet_root=a", "tree_root=b", "out_root=x"}).code, 2);
  EXPECT_EQ(RunProgram({"modelnet_root=a", "test_ratio=0.2", "out_root=x"}).code, 2);
  for (const char* shard : {"shard=3/3", "shard=-1/3", "shard=one"}) {
    const Ran ran = RunProgram(With(Arguments(kMeshes, NewFolder("shard")), shard));
    EXPECT_EQ(ran.code, 2) << ran.log;
    EXPECT_TRUE(absl::StrContains(ran.log, "error: shard: ")) << ran.log;
  }
  EXPECT_EQ(RunProgram({"shapenet_root=a", "out_root=x", "pt_dist_mode=sdf"}).code, 2);
}

// A disk of its own with room for the least that compressed shapes may take, not for what they do.
TEST(BuildCacheProcess, FullDisk) {
  const std::string disk = NewFolder("disk"), whole = NewFolder("disk_whole");
  auto mounted = SmallDisk::Mount(disk, "4m");
  if (!mounted.ok()) GTEST_SKIP() << mounted.status();
  const std::string out = disk + "/cache";
  const Ran refused = RunProgram(Arguments(kMeshes, out));
  // What the others leave: told before work that there is room, the program finds that there is not.
  std::vector<std::string> compressed = With(Arguments(kMeshes, out), "compress=true");
  const Ran full = RunProgram(compressed);
  const auto left = Tree(disk);
  const absl::Status grown = (*mounted)->Resize("64m");
  const Ran resumed = grown.ok() ? RunProgram(compressed) : Ran{};
  const auto tree = Tree(out);

  EXPECT_EQ(refused.code, 1);
  EXPECT_TRUE(absl::StrContains(refused.log, "bytes, but only")) << refused.log;
  EXPECT_EQ(full.code, 1) << full.log;
  EXPECT_TRUE(absl::StrContains(full.log, "No space left on device")) << full.log;
  for (const auto& [name, content] : left) EXPECT_FALSE(absl::StrContains(name, ".tmp.")) << name;
  ASSERT_TRUE(grown.ok()) << grown;
  EXPECT_EQ(resumed.code, 0) << resumed.log;
  ASSERT_EQ(RunProgram(With(Arguments(kMeshes, whole), "compress=true")).code, 0);
  EXPECT_TRUE(tree == Tree(whole));
}

}  // namespace
}  // namespace manyform
