#include "base/files.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

class FilesTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "/" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    ASSERT_TRUE(MakeDirectories(folder_).ok());
  }
  std::string Path(std::string_view name) const { return JoinPath(folder_, name); }
  std::vector<std::string> Names() const { return ListDirectory(folder_).value(); }
  std::string folder_;
};

TEST_F(FilesTest, WhatIsWrittenIsRead) {
  for (const std::string& bytes : {std::string(), std::string("a\0b\n", 4), std::string(300001, 'z')}) {
    ASSERT_TRUE(WriteFileAtomically(Path("deep/er/file"), bytes).ok());
    EXPECT_EQ(*ReadFile(Path("deep/er/file")), bytes);
    const std::shared_ptr<const MappedFile> map = MappedFile::Open(Path("deep/er/file")).value();
    EXPECT_EQ(std::string(map->bytes().begin(), map->bytes().end()), bytes);
  }
  EXPECT_EQ(ListDirectory(Path("deep/er")).value(), std::vector<std::string>{"file"});
}

TEST_F(FilesTest, AMapOutlivesTheName) {
  ASSERT_TRUE(WriteFileAtomically(Path("f"), "old").ok());
  const std::shared_ptr<const MappedFile> map = MappedFile::Open(Path("f")).value();
  ASSERT_TRUE(WriteFileAtomically(Path("f"), "new").ok());
  EXPECT_EQ(map->bytes()[0], 'o');
}

TEST_F(FilesTest, ReadsAPipe) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const std::string bytes(70000, 'p');
  if (fork() == 0) {
    size_t put = 0;
    while (put < bytes.size()) put += write(ends[1], bytes.data() + put, bytes.size() - put);
    _exit(0);
  }
  close(ends[1]);
  EXPECT_EQ(*ReadFile(absl::StrCat("/dev/fd/", ends[0])), bytes);
  close(ends[0]);
  wait(nullptr);
}

TEST_F(FilesTest, ErrorsNameThePath) {
  const absl::Status missing = ReadFile(Path("none")).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(missing.message(), Path("none"))) << missing;
  EXPECT_EQ(MappedFile::Open(Path("none")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(MappedFile::Open(folder_).status().code(), absl::StatusCode::kInternal);
  EXPECT_FALSE(ReadFile(folder_).ok());
  EXPECT_EQ(ListDirectory(Path("none")).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(FilesTest, WritingOverAFolderOrBelowAFileIsRefused) {
  EXPECT_FALSE(WriteFileAtomically(folder_, "x").ok());
  EXPECT_FALSE(WriteFileAtomically(folder_ + "/", "x").ok());
  EXPECT_FALSE(WriteFileAtomically("", "x").ok());
  ASSERT_TRUE(WriteFileAtomically(Path("file"), "x").ok());
  EXPECT_FALSE(WriteFileAtomically(Path("file/below"), "x").ok());
  EXPECT_EQ(Names(), std::vector<std::string>{"file"});
}

TEST_F(FilesTest, WithoutCommitNothingRemains) {
  ASSERT_TRUE(WriteFileAtomically(Path("f"), "old").ok());
  {
    AtomicFileWriter writer = AtomicFileWriter::Create(Path("f")).value();
    ASSERT_TRUE(writer.Append("half").ok());
    EXPECT_EQ(Names().size(), 2);
    AtomicFileWriter moved = std::move(writer);
    ASSERT_TRUE(moved.Append(" more").ok());
    EXPECT_EQ(moved.written(), 9);
  }
  EXPECT_EQ(Names(), std::vector<std::string>{"f"});
  EXPECT_EQ(*ReadFile(Path("f")), "old");
}

TEST_F(FilesTest, AfterCommitTheWriterRefuses) {
  AtomicFileWriter writer = AtomicFileWriter::Create(Path("f")).value();
  ASSERT_TRUE(writer.Append("one ").ok());
  ASSERT_TRUE(writer.Append("two").ok());
  ASSERT_TRUE(writer.Commit().ok());
  EXPECT_EQ(writer.Append("x").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(writer.Commit().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(*ReadFile(Path("f")), "one two");
}

TEST_F(FilesTest, NoRoomLeavesTheOldFile) {
  ASSERT_TRUE(WriteFileAtomically(Path("f"), "old").ok());
  // A limit on file size fails a write as a full disk does, once its signal is ignored.
  const auto old_handler = signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit;
  getrlimit(RLIMIT_FSIZE, &old_limit);
  rlimit limit = old_limit;
  limit.rlim_cur = 1000;
  setrlimit(RLIMIT_FSIZE, &limit);
  const absl::Status status = WriteFileAtomically(Path("f"), std::string(5000, 'x'));
  setrlimit(RLIMIT_FSIZE, &old_limit);
  signal(SIGXFSZ, old_handler);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(absl::StrContains(status.message(), Path("f"))) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "5000 bytes")) << status;
  EXPECT_EQ(Names(), std::vector<std::string>{"f"});
  EXPECT_EQ(*ReadFile(Path("f")), "old");
}

TEST_F(FilesTest, AFullDiskIsNamed) {
  // The writer's descriptor is pointed at a device that is always full.
  AtomicFileWriter writer = AtomicFileWriter::Create(Path("f")).value();
  const int full = open("/dev/full", O_WRONLY);
  ASSERT_GE(full, 0);
  const std::vector<std::string> fds = ListDirectory("/proc/self/fd").value();
  for (const std::string& fd : fds) {
    std::error_code ignored;
    const std::string target = std::filesystem::read_symlink("/proc/self/fd/" + fd, ignored);
    if (absl::StrContains(target, ".f.tmp.")) dup2(full, std::stoi(fd));
  }
  const absl::Status status = writer.Append("123456");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "6 bytes")) << status;
  close(full);
}

TEST_F(FilesTest, LongNames) {
  const std::string name(250, 'n');
  ASSERT_TRUE(WriteFileAtomically(Path(name), "x").ok());
  EXPECT_EQ(Names(), std::vector<std::string>{name});
}

TEST_F(FilesTest, StaleTemporariesAreRemoved) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  const std::string dead = absl::StrCat(".a.npz.tmp.", child, ".0");
  const std::string alive = absl::StrCat(".a.npz.tmp.", getpid(), ".3");
  std::vector<std::string> kept = {alive,
                                   "a.npz",
                                   absl::StrCat("a.tmp.", child, ".0"),
                                   absl::StrCat(".a.tmp.", child),
                                   absl::StrCat(".a.tmp.", child, ".x"),
                                   ".tmp.1.2",
                                   ".a.tmp.-5.0"};
  for (const std::string& name : kept) ASSERT_TRUE(WriteFileAtomically(Path(name), "x").ok());
  ASSERT_TRUE(WriteFileAtomically(Path(dead), "x").ok());
  EXPECT_TRUE(RemoveStaleTemporaries(folder_).ok());
  std::sort(kept.begin(), kept.end());
  EXPECT_EQ(Names(), kept);
  EXPECT_TRUE(RemoveStaleTemporaries(Path("none")).ok());
}

TEST_F(FilesTest, AKilledRunLeavesARecognisableName) {
  const pid_t child = fork();
  if (child == 0) {
    AtomicFileWriter writer = AtomicFileWriter::Create(Path("f")).value();
    (void)writer.Append("half");
    raise(SIGKILL);
  }
  waitpid(child, nullptr, 0);
  ASSERT_EQ(Names().size(), 1);
  EXPECT_TRUE(absl::StartsWith(Names()[0], absl::StrCat(".f.tmp.", child, "."))) << Names()[0];
  EXPECT_TRUE(RemoveStaleTemporaries(folder_).ok());
  EXPECT_TRUE(Names().empty());
}

TEST_F(FilesTest, Globs) {
  for (const char* name :
       {"b/x1.npz", "b/x2.npz", "a/x10.npz", "a/.hidden.npz", "a/y.npz", "a/x.txt", "top.npz"}) {
    ASSERT_TRUE(WriteFileAtomically(Path(name), "").ok());
  }
  std::filesystem::create_directory_symlink("b", Path("link"));
  const auto glob = [this](const std::string& pattern) {
    std::vector<std::string> paths = Glob(folder_, pattern).value();
    for (std::string& path : paths) {
      EXPECT_TRUE(absl::StartsWith(path, folder_ + "/"));
      path = path.substr(folder_.size() + 1);
    }
    return paths;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(glob("*/*.npz"),
            (Names{"a/x10.npz", "a/y.npz", "b/x1.npz", "b/x2.npz", "link/x1.npz", "link/x2.npz"}));
  EXPECT_EQ(glob("[ab]/x?.npz"), (Names{"b/x1.npz", "b/x2.npz"}));
  EXPECT_EQ(glob("a/[!x]*"), (Names{"a/y.npz"}));
  EXPECT_EQ(glob("a/.h*"), (Names{"a/.hidden.npz"}));
  EXPECT_EQ(glob("b/x1.npz"), (Names{"b/x1.npz"}));
  EXPECT_EQ(glob("*"), (Names{"a", "b", "link", "top.npz"}));
  EXPECT_EQ(glob("none/*"), Names());
  EXPECT_EQ(glob("top.npz/*"), Names());
  EXPECT_EQ(Glob(folder_, "**.npz").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Glob(folder_, "").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FilesTest, GlobsThroughAnyNumberOfFolders) {
  for (const char* name :
       {"x.obj", "a/x.obj", "a/b/c/x.obj", "a/b/c/y.off", ".hidden/x.obj", "d/e.obj/x.obj"}) {
    ASSERT_TRUE(WriteFileAtomically(Path(name), "").ok());
  }
  std::filesystem::create_directory_symlink("../..", Path("a/b/up"));
  std::filesystem::create_directory_symlink("a/b", Path("z"));
  const auto glob = [this](const std::string& pattern) {
    const std::vector<std::string> paths = Glob(folder_, pattern).value();
    std::string joined;
    for (const std::string& path : paths) joined += path.substr(folder_.size() + 1) + " ";
    return joined;
  };
  EXPECT_EQ(glob("**/x.obj"), "a/b/c/x.obj a/x.obj d/e.obj/x.obj x.obj z/c/x.obj ");
  EXPECT_EQ(glob("**/**/y.off"), "a/b/c/y.off z/c/y.off ");
  EXPECT_EQ(glob("**/c/**/y.off"), "a/b/c/y.off z/c/y.off ");
  EXPECT_EQ(glob("d/**"), "d/e.obj d/e.obj/x.obj ");
  EXPECT_EQ(glob("d/**/*.obj"), "d/e.obj d/e.obj/x.obj ");
  // Once through the link that leads up.
  EXPECT_EQ(glob("a/**/d"), "a/b/up/d ");
  EXPECT_EQ(glob("**/none"), "");
}

TEST_F(FilesTest, GlobKeepsTheRootAsTyped) {
  ASSERT_TRUE(WriteFileAtomically(Path("c/s.npz"), "").ok());
  ASSERT_EQ(chdir(folder_.c_str()), 0);
  using Names = std::vector<std::string>;
  EXPECT_EQ(*Glob("", "*/*.npz"), (Names{"c/s.npz"}));
  EXPECT_EQ(*Glob(".", "*/*.npz"), (Names{"./c/s.npz"}));
  EXPECT_EQ(*Glob("./c/", "*.npz"), (Names{"./c/s.npz"}));
  EXPECT_EQ(*Glob("c//", "*.npz"), (Names{"c//s.npz"}));
}

TEST_F(FilesTest, FreeDiskBytesOfAPathToBe) {
  EXPECT_GT(*FreeDiskBytes(Path("not/yet/there")), 0);
  EXPECT_GT(*FreeDiskBytes("not_there_either"), 0);
  EXPECT_GT(*FreeDiskBytes(folder_ + "/"), 0);
}

TEST_F(FilesTest, MakeDirectories) {
  EXPECT_TRUE(MakeDirectories(Path("a/b//c/")).ok());
  EXPECT_TRUE(FileExists(Path("a/b/c")));
  EXPECT_TRUE(MakeDirectories(Path("a/b")).ok());
  ASSERT_TRUE(WriteFileAtomically(Path("file"), "x").ok());
  const absl::Status status = MakeDirectories(Path("file/x"));
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(absl::StrContains(status.message(), Path("file"))) << status;
}

TEST(JoinPath, OneSlash) {
  EXPECT_EQ(JoinPath("a", "b"), "a/b");
  EXPECT_EQ(JoinPath("a/", "b"), "a/b");
  EXPECT_EQ(JoinPath("a", "/b"), "a/b");
  EXPECT_EQ(JoinPath("", "b"), "b");
  EXPECT_EQ(JoinPath("a", ""), "a");
  EXPECT_EQ(JoinPath("/", "b"), "/b");
  EXPECT_EQ(JoinPath("", "/b"), "/b");
}

}  // namespace
}  // namespace manyform
