// Views on storage that works against them: read-only, full, damaged, written to by two at once.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/testing/small_disk.h"
#include "data/build_lock.h"
#include "data/manifest.h"
#include "data/materialize.h"
#include "data/npz.h"
#include "data/shape_list.h"
#include "data/split_manifest_io.h"
#include "data/testing/golden_npz.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;
constexpr int kShapes = 24;

using Tree = std::map<std::string, std::string>;

// Files below a folder, links followed, with their content.
Tree TreeOf(const std::string& folder) {
  Tree tree;
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    if (fs::is_regular_file(file)) tree[fs::relative(file.path(), folder)] = OrThrow(ReadFile(file.path()));
  }
  return tree;
}

// split_source.json counts what one run did.
Tree WithoutCounts(Tree tree) {
  tree.erase("_meta/split_source.json");
  return tree;
}

class HostileStorage : public testing::Test {
 protected:
  void SetUp() override {
    root_ = absl::StrCat(testing::TempDir(), "/storage_",
                         testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  std::string Path(const std::string& name) const { return JoinPath(root_, name); }

  // A cache of kShapes shapes of about 6 KiB, no two alike, and its split: three forms of eight, by turns.
  SplitManifest MakeCache(const std::string& cache) const {
    SplitManifest split;
    for (int i = 0; i < kShapes; ++i) {
      std::vector<float> values(1500);
      for (size_t k = 0; k < values.size(); ++k)
        values[k] = static_cast<float>(i) + 0.001f * static_cast<float>(k);
      const std::vector<NamedArray> arrays = {{"pt_dist_pool", MakeArray<float>(values, {1500})}};
      const std::string key = absl::StrCat("c", i % 2, "/", i);
      if (!WriteNpz(absl::StrCat(cache, "/train/", key, ".npz"), arrays).ok())
        throw std::runtime_error(cache);
      SplitRecord* record = split.add_records();
      record->set_key(key);
      record->set_split(i % 3 == 0 ? "train_mesh" : i % 3 == 1 ? "train_pc" : "train_udf");
      record->set_src_split("train");
      record->set_src_relpath(absl::StrCat("train/", key, ".npz"));
    }
    return split;
  }
  void Index(const std::string& cache) const {
    ASSERT_TRUE(WriteManifest(cache, OrThrow(IndexCache(cache, 1, /*checksums=*/true))).ok());
  }
  MaterializeConfig Config(const std::string& cache, const std::string& out, const std::string& mode) const {
    MaterializeConfig config;
    config.set_src_cache_root(cache);
    config.set_split_json(Path("split.json"));
    config.set_out_root(out);
    config.set_link_mode(mode);
    return config;
  }
  std::string root_;
};

// Materializes, again while another process is at it for longer than one waits.
bool MaterializeInTurn(const MaterializeConfig& config) {
  absl::Status status;
  do {
    status = Materialize(config).status();
  } while (absl::IsFailedPrecondition(status));
  return status.ok();
}

// Runs the jobs in processes of their own, all from the same moment on; whether each went well.
bool AllAtOnce(const std::vector<std::function<bool()>>& jobs) {
  int gate[2];
  if (pipe2(gate, O_CLOEXEC) != 0) return false;
  std::vector<pid_t> runs;
  for (const std::function<bool()>& job : jobs) {
    runs.push_back(fork());
    if (runs.back() != 0) continue;
    close(gate[1]);
    char open;
    // Ends when the parent has closed its end.
    if (read(gate[0], &open, 1) != 0) _exit(2);
    _exit(job() ? 0 : 1);
  }
  close(gate[0]);
  close(gate[1]);
  bool good = true;
  for (const pid_t run : runs) {
    int status = 0;
    good &= waitpid(run, &status, 0) == run && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  return good;
}

TEST_F(HostileStorage, AReadOnlySourceIsEnough) {
  const std::string disk = Path("disk");
  fs::create_directories(disk);
  auto mounted = SmallDisk::Mount(disk, "4m");
  if (!mounted.ok()) GTEST_SKIP() << mounted.status();
  const std::string cache = disk + "/cache";
  ASSERT_TRUE(WriteSplitManifest(Path("split.json"), MakeCache(cache)).ok());
  Index(cache);
  for (const auto& file : fs::recursive_directory_iterator(cache)) {
    if (file.is_regular_file()) fs::permissions(file, fs::perms::owner_read);
  }
  const Tree source = TreeOf(cache);
  const absl::Status read_only = (*mounted)->MakeReadOnly();
  ASSERT_TRUE(read_only.ok()) << read_only;
  for (const char* mode : {"symlink", "copy"}) {
    const std::string view = Path(mode);
    const absl::StatusOr<MaterializeResult> made = Materialize(Config(cache, view, mode));
    ASSERT_TRUE(made.ok()) << made.status();
    EXPECT_EQ(made->linked(), kShapes);
    EXPECT_EQ(OrThrow(ShapeList::Open(view, "train_pc")).size(), kShapes / 3);
  }
  // Copies are the user's own, to migrate and repack.
  struct stat info;
  ASSERT_EQ(stat((Path("copy") + "/train_mesh/c0/0.npz").c_str(), &info), 0);
  EXPECT_TRUE(info.st_mode & S_IWUSR);
  const absl::Status hard = Materialize(Config(cache, Path("hardlink"), "hardlink")).status();
  EXPECT_EQ(hard.code(), absl::StatusCode::kFailedPrecondition) << hard;
  EXPECT_TRUE(absl::StrContains(hard.message(), "use symbolic links or copies")) << hard;
  EXPECT_TRUE(TreeOf(cache) == source);

  const absl::Status onto = Materialize(Config(cache, disk + "/view", "copy")).status();
  EXPECT_FALSE(onto.ok());
  EXPECT_TRUE(absl::StrContains(onto.message(), disk + "/view")) << onto;
}

TEST_F(HostileStorage, CopiesThatFillTheDiskAreWholeOrNotThere) {
  const std::string disk = Path("disk"), cache = Path("cache");
  fs::create_directories(disk);
  ASSERT_TRUE(WriteSplitManifest(Path("split.json"), MakeCache(cache)).ok());
  Index(cache);
  ASSERT_TRUE(Materialize(Config(cache, Path("whole"), "copy")).ok());
  auto mounted = SmallDisk::Mount(disk, "96k");
  if (!mounted.ok()) GTEST_SKIP() << mounted.status();
  const std::string view = disk + "/view";
  const absl::Status full = Materialize(Config(cache, view, "copy")).status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted) << full;
  EXPECT_TRUE(absl::StrContains(full.message(), "No space left")) << full;
  const Tree whole = TreeOf(Path("whole")), left = TreeOf(view);
  EXPECT_GT(left.size(), 0u);
  for (const auto& [name, content] : left) {
    EXPECT_TRUE(whole.contains(name) && whole.at(name) == content) << name;
  }
  const absl::Status grown = (*mounted)->Resize("8m");
  ASSERT_TRUE(grown.ok()) << grown;
  const absl::StatusOr<MaterializeResult> resumed = Materialize(Config(cache, view, "copy"));
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_EQ(resumed->kept(), static_cast<int64_t>(left.size()));
  EXPECT_TRUE(WithoutCounts(TreeOf(view)) == WithoutCounts(whole));
}

TEST_F(HostileStorage, DamagedSourcesAreListedAndLeftOut) {
  const std::string cache = Path("cache"), view = Path("view");
  SplitManifest split = MakeCache(cache);
  ASSERT_TRUE(WriteSplitManifest(Path("split.json"), split).ok());
  Index(cache);
  fs::resize_file(cache + "/train/c0/0.npz", 0);
  fs::remove(cache + "/train/c1/1.npz");
  fs::create_directory(cache + "/train/c1/1.npz");
  fs::remove(cache + "/train/c0/2.npz");
  fs::create_symlink("nowhere.npz", cache + "/train/c0/2.npz");
  fs::resize_file(cache + "/train/c1/3.npz", 100);
  // A loop.
  fs::remove(cache + "/train/c0/4.npz");
  fs::create_symlink("4.npz", cache + "/train/c0/4.npz");
  for (const bool indexed : {true, false}) {
    if (!indexed) fs::remove(cache + "/manifest.binpb");
    for (const char* mode : {"symlink", "hardlink", "copy"}) {
      fs::remove_all(view);
      const absl::StatusOr<MaterializeResult> made = Materialize(Config(cache, view, mode));
      ASSERT_TRUE(made.ok()) << made.status();
      EXPECT_EQ(made->linked(), kShapes - 3) << mode;
      EXPECT_EQ(made->missing(), 3) << mode;
      const CacheManifest manifest = OrThrow(ReadManifest(view));
      EXPECT_EQ(manifest.shapes_size(), kShapes - 5);
      std::vector<std::string> failed;
      for (const FailedShape& shape : manifest.failed()) {
        failed.push_back(absl::StrCat(shape.class_name(), "/", shape.id()));
      }
      EXPECT_EQ(failed, (std::vector<std::string>{"c0/0", "c1/3"}));
      EXPECT_EQ(OrThrow(ShapeList::Open(view, "train_mesh")).size(), kShapes / 3 - 2);
    }
  }
}

TEST_F(HostileStorage, TwoRunsAtOnceMakeWhatOneMakes) {
  const std::string cache = Path("cache");
  ASSERT_TRUE(WriteSplitManifest(Path("split.json"), MakeCache(cache)).ok());
  Index(cache);
  for (const char* mode : {"symlink", "hardlink", "copy"}) {
    const std::string whole = Path(absl::StrCat("whole_", mode));
    ASSERT_TRUE(Materialize(Config(cache, whole, mode)).ok());
    for (int round = 0; round < 5; ++round) {
      const std::string view = Path(absl::StrCat("view_", mode, round));
      const auto run = [&] {
        MaterializeConfig config = Config(cache, view, mode);
        config.set_overwrite(round % 2 == 1);
        return MaterializeInTurn(config);
      };
      EXPECT_TRUE(AllAtOnce({run, run}));
      EXPECT_TRUE(WithoutCounts(TreeOf(view)) == WithoutCounts(TreeOf(whole))) << mode;
      EXPECT_FALSE(fs::exists(view + "/_meta/build.lock"));
    }
  }
}

// Each run takes over from the manifest what it does not make itself: none may lose the others' shapes. Those
// that are there already make reading and writing it the larger part of a run.
TEST_F(HostileStorage, RunsForDifferentSplitsAtOnceKeepOneAnothersShapes) {
  constexpr int kOlder = 20000;
  const std::string cache = Path("cache"), view = Path("view");
  ASSERT_TRUE(WriteSplitManifest(Path("split.json"), MakeCache(cache)).ok());
  Index(cache);
  CacheManifest older;
  older.set_version(1);
  older.add_layouts();
  for (int i = 0; i < kOlder; ++i) {
    ShapeEntry* shape = older.add_shapes();
    shape->set_split("older");
    shape->set_class_name("c");
    shape->set_id(absl::StrCat(i));
    shape->set_layout(0);
  }
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(WriteManifest(view, older).ok());
    std::vector<std::function<bool()>> runs;
    for (const char* split : {"train_mesh", "train_pc", "train_udf"}) {
      runs.emplace_back([this, &cache, &view, split] {
        MaterializeConfig config = Config(cache, view, "symlink");
        config.add_splits(split);
        return MaterializeInTurn(config);
      });
    }
    EXPECT_TRUE(AllAtOnce(runs));
    const CacheManifest manifest = OrThrow(ReadManifest(view));
    std::map<std::string, int> shapes;
    for (const ShapeEntry& shape : manifest.shapes()) ++shapes[shape.split()];
    const int each = kShapes / 3;
    EXPECT_EQ(shapes, (std::map<std::string, int>{
                          {"older", kOlder}, {"train_mesh", each}, {"train_pc", each}, {"train_udf", each}}));
  }
}

TEST_F(HostileStorage, AFolderThatIsBeingBuiltIsLeftAlone) {
  const std::string cache = Path("cache"), view = Path("view");
  ASSERT_TRUE(WriteSplitManifest(Path("split.json"), MakeCache(cache)).ok());
  const std::unique_ptr<BuildLock> lock = OrThrow(BuildLock::Take(view, BuildLock::kShared));
  const absl::Status status = Materialize(Config(cache, view, "copy")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), view)) << status;
  EXPECT_FALSE(fs::exists(view + "/train_mesh"));
}

}  // namespace
}  // namespace manyform
