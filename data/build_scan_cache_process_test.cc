// The programs themselves: killed, divided among processes, and fed with bad options.
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
#include "base/files.h"
#include "data/manifest.h"
#include "data/testing/hdf5_writer.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;
using Arguments = std::vector<std::string>;

std::string NewFolder(absl::string_view name) {
  std::string folder = absl::StrCat(testing::TempDir(), "/scan_process_", name);
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

std::map<std::string, std::string> Tree(const std::string& folder) {
  std::map<std::string, std::string> tree;
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    if (file.is_regular_file()) tree[fs::relative(file.path(), folder)] = *ReadFile(file.path());
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

// Starts data/<program>; what it prints goes to `log`.
pid_t Start(const std::string& program, Arguments arguments, const std::string& log) {
  const std::string path = "data/" + program;
  const pid_t pid = fork();
  if (pid != 0) return pid;
  const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  dup2(fd, STDERR_FILENO);
  dup2(fd, STDOUT_FILENO);
  std::vector<char*> argv = {const_cast<char*>(path.c_str())};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  execv(path.c_str(), argv.data());
  _exit(127);
}

int Wait(pid_t pid) {
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

struct Ran {
  int code;
  std::string log;
};

Ran RunProgram(const std::string& program, Arguments arguments) {
  const std::string log = testing::TempDir() + "/scan_process.log";
  const int code = Wait(Start(program, std::move(arguments), log));
  return {code, *ReadFile(log)};
}

// Two files of train, one of test: 90 scans.
std::string ScanRoot() {
  std::string root = NewFolder("root");
  const std::pair<const char*, hsize_t> files[] = {
      {"a_train.h5", 40}, {"b_training.h5", 30}, {"c_test.h5", 20}};
  for (const auto& [name, scans] : files) {
    const std::vector<uint8_t> bytes = CountingHdf5(scans, 200, {{7, 200, 3}, 4, ""});
    EXPECT_TRUE(
        WriteFileAtomically(JoinPath(root, name), {reinterpret_cast<const char*>(bytes.data()), bytes.size()})
            .ok());
  }
  return root;
}

Arguments Options(const std::string& root, const std::string& out, Arguments more = {}) {
  Arguments arguments = {"scan_root=" + root, "out_root=" + out, "pt_pool=3000", "ray_pool=100"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(BuildScanCacheProcess, KilledAgainAndAgainItEndsWithTheSameBytes) {
  const std::string root = ScanRoot(), whole = NewFolder("whole"), out = NewFolder("killed");
  const Ran ran = RunProgram("build_scan_cache", Options(root, whole, {"num_threads=1"}));
  ASSERT_EQ(ran.code, 0) << ran.log;
  int kills = 0;
  for (int64_t wanted = 5; wanted < 90; wanted += 25) {
    const pid_t pid = Start("build_scan_cache", Options(root, out, {"num_threads=2"}),
                            testing::TempDir() + "/scan_killed.log");
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
  }
  EXPECT_GT(kills, 0);
  const Ran last = RunProgram("build_scan_cache", Options(root, out, {"num_threads=3"}));
  EXPECT_EQ(last.code, 0) << last.log;
  EXPECT_TRUE(Tree(out) == Tree(whole));
}

TEST(BuildScanCacheProcess, ShardsMergeIntoTheWhole) {
  const std::string root = ScanRoot(), whole = NewFolder("shards_whole"), out = NewFolder("shards");
  ASSERT_EQ(RunProgram("build_scan_cache", Options(root, whole)).code, 0);
  std::vector<pid_t> shards;
  for (const char* shard : {"shard=2/3", "shard=0/3", "shard=1/3"}) {
    shards.push_back(Start("build_scan_cache", Options(root, out, {shard}),
                           absl::StrCat(testing::TempDir(), "/log", shards.size())));
  }
  for (const pid_t pid : shards) EXPECT_EQ(Wait(pid), 0);
  EXPECT_FALSE(FileExists(out + "/manifest.binpb"));
  const Ran merged = RunProgram("merge_shards", {"cache_root=" + out});
  EXPECT_EQ(merged.code, 0) << merged.log;
  EXPECT_TRUE(Tree(out) == Tree(whole));

  // Of these scans, simulated ones cannot be made.
  const Ran simulated = RunProgram("simulate_scans", {"cache_root=" + out, "out_root=" + NewFolder("none")});
  EXPECT_EQ(simulated.code, 1);
  EXPECT_TRUE(absl::StrContains(simulated.log, "is a scan; a mesh cache is needed")) << simulated.log;
}

TEST(BuildScanCacheProcess, SimulatedScansOfShards) {
  const std::string cache = NewFolder("mesh_cache"), whole = NewFolder("simulated_whole"),
                    out = NewFolder("simulated");
  const Ran built =
      RunProgram("build_cache",
                 {"shapenet_root=testdata/golden/d_splits/tiny/meshes", "out_root=" + cache, "pc_points=200",
                  "pt_pool=50", "ray_pool=50", "dist_ref_points=200", "df_grid=8", "pc_grid=8"});
  ASSERT_EQ(built.code, 0) << built.log;
  const auto options = [&](const std::string& to, Arguments more = {}) {
    Arguments arguments = {"cache_root=" + cache, "out_root=" + to, "n_points=256", "record=" + to + ".json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  const Ran ran = RunProgram("simulate_scans", options(whole));
  ASSERT_EQ(ran.code, 0) << ran.log;
  EXPECT_TRUE(absl::StrContains(ran.log, "simulated scans of ")) << ran.log;
  EXPECT_TRUE(absl::StrContains(*ReadFile(whole + ".json"), "\"simulated\": true"));
  for (const char* shard : {"shard=1/2", "shard=0/2"})
    EXPECT_EQ(RunProgram("simulate_scans", options(out, {shard})).code, 0);
  EXPECT_EQ(RunProgram("merge_shards", {"cache_root=" + out}).code, 0);
  EXPECT_TRUE(Tree(out) == Tree(whole));
}

TEST(BuildScanCacheProcess, ConfigErrorsAreTwo) {
  EXPECT_EQ(RunProgram("build_scan_cache", {"scan_root=a"}).code, 2);
  EXPECT_EQ(RunProgram("build_scan_cache", {"out_root=a"}).code, 2);
  EXPECT_EQ(RunProgram("build_scan_cache", {"scan_root=a", "cloud_root=b", "out_root=c"}).code, 2);
  EXPECT_EQ(RunProgram("build_scan_cache", {"scan_root=a", "out_root=c", "shard=3/3"}).code, 2);
  EXPECT_EQ(RunProgram("build_scan_cache", {"scan_root=none", "out_root=c"}).code, 1);
  EXPECT_EQ(RunProgram("simulate_scans", {"cache_root=a"}).code, 2);
  EXPECT_EQ(RunProgram("simulate_scans", {"cache_root=a", "out_root=b", "view_of=photo"}).code, 2);
}

}  // namespace
}  // namespace manyform
