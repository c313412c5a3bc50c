// Damage by the thousand: whatever happens to a cache's files, every reader refuses the file by name or reads
// what was written; none crashes, none hands out other numbers.

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/numpy_random.h"
#include "data/audit.h"
#include "data/backends.h"
#include "data/manifest.h"
#include "data/npy.h"
#include "data/npz.h"
#include "data/testing/golden_npz.h"
#include "data/zip_directory.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

namespace fs = std::filesystem;

constexpr char kShapes[] = "testdata/golden/d_splits/tiny/all";
constexpr int kTrials = 250;  // of each of four kinds of cache

using Content = std::map<std::string, std::string>;  // array: type, shape and bytes

std::string Describe(const Array& array) {
  std::string text = absl::StrCat(DescrOf(array.dtype, array.item_size), array.fortran_order ? " F" : " C");
  for (const int64_t side : array.shape) absl::StrAppend(&text, " ", side);
  text += '\n';
  text.append(reinterpret_cast<const char*>(array.data), static_cast<size_t>(array.size() * array.item_size));
  return text;
}

Content ContentOf(const std::string& path) {
  const NpzReader npz = OrThrow(NpzReader::Open(path));
  Content content;
  for (const NpzMember& member : npz.members()) {
    content[member.name] = Describe(OrThrow(npz.Read(member.name, true)));
  }
  return content;
}

// An error must say which file.
void ExpectNamed(const absl::Status& status, const std::string& path) {
  EXPECT_TRUE(absl::StrContains(status.message(), path)) << status;
  EXPECT_EQ(std::count(status.message().begin(), status.message().end(), '\n'), 0) << status;
}

enum class Meaning {
  kSame,      // what is read must be what was written
  kRewritten  // a valid file that says something else: it is read as it is, if nothing vouches for the old
              // one
};

struct Damage {
  std::string bytes;
  Meaning meaning = Meaning::kSame;
  std::string what;
};

class Damager {
 public:
  Damager(uint32_t seed, const std::string& path, const std::string& other, bool compress)
      : random_(seed), path_(path), other_(other), compress_(compress), bytes_(OrThrow(ReadFile(path))) {}

  Damage Make(int kind) {
    switch (kind % 10) {
      case 0:
      case 1:
      case 2:
        return FlipBits(bytes_, 0, bytes_.size(), 1 + Below(3));
      case 3:
        // The directory, where one bit can do most.
        return FlipBits(bytes_, bytes_.size() - std::min<size_t>(bytes_.size(), 1600), bytes_.size(), 1);
      case 4:
        return FlipHeader();
      case 5:
        return {bytes_.substr(0, Below(bytes_.size())), Meaning::kSame, "truncated"};
      case 6:
        return Overwrite();
      case 7:
        return WrongForm();
      case 8:
        return SwapNames();
      default:
        return {OrThrow(ReadFile(other_)), Meaning::kRewritten, "another shape's file"};
    }
  }

 private:
  size_t Below(size_t n) { return static_cast<size_t>(random_.Double() * static_cast<double>(n)); }

  Damage FlipBits(std::string bytes, size_t first, size_t end, size_t count) {
    for (size_t i = 0; i < count; ++i) bytes[first + Below(end - first)] ^= static_cast<char>(1 << Below(8));
    return {std::move(bytes), Meaning::kSame, "bits flipped"};
  }

  // A bit in a .npy or local zip header.
  Damage FlipHeader() {
    const std::vector<ZipMember> members = OrThrow(
        ReadZipDirectory(std::span(reinterpret_cast<const uint8_t*>(bytes_.data()), bytes_.size()), path_));
    const ZipMember& member = members[Below(members.size())];
    const size_t end = member.data_offset + std::min<uint64_t>(member.packed_size, 128);
    Damage damage = FlipBits(bytes_, member.header_offset, end, 1);
    damage.what = "a bit of a header flipped";
    return damage;
  }

  // A run of one byte, as a lost disk block or network page leaves it; or random bytes.
  Damage Overwrite() {
    std::string bytes = bytes_;
    const size_t first = Below(bytes.size()), count = std::min(bytes.size() - first, 1 + Below(700));
    const bool zeros = Below(2) == 0;
    for (size_t i = 0; i < count; ++i) bytes[first + i] = zeros ? '\0' : static_cast<char>(Below(256));
    return {std::move(bytes), Meaning::kSame, "a run overwritten"};
  }

  std::vector<NamedArray> Arrays() const {
    const NpzReader npz = OrThrow(NpzReader::Open(path_));
    std::vector<NamedArray> arrays;
    for (const NpzMember& member : npz.members())
      arrays.push_back({member.name, OrThrow(npz.Read(member.name))});
    return arrays;
  }

  Damage Encoded(const std::vector<NamedArray>& arrays, const std::string& what) const {
    return {OrThrow(EncodeNpz(arrays, {.compress = compress_})), Meaning::kRewritten, what};
  }

  // One array in another type, with another shape, or gone.
  Damage WrongForm() {
    std::vector<NamedArray> arrays = Arrays();
    NamedArray& chosen = arrays[Below(arrays.size())];
    Array& array = chosen.array;
    const std::string name = chosen.name;
    switch (Below(5)) {
      case 0:
        array = MakeArray(std::vector<double>(static_cast<size_t>(array.size()), 0.25), array.shape);
        return Encoded(arrays, absl::StrCat(name, " as f8"));
      case 1:
        array = MakeArray(std::vector<int64_t>(static_cast<size_t>(array.size()), 7), array.shape);
        return Encoded(arrays, absl::StrCat(name, " as i8"));
      case 2:
        array = MakeStringArray({"not", "numbers"});
        return Encoded(arrays, absl::StrCat(name, " as text"));
      case 3:
        array.shape.insert(array.shape.begin(), 1);
        return Encoded(arrays, absl::StrCat(name, " with another side"));
      default:
        std::erase_if(arrays, [&](const NamedArray& a) { return a.name == name; });
        return Encoded(arrays, absl::StrCat(name, " gone"));
    }
  }

  Damage SwapNames() {
    std::vector<NamedArray> arrays = Arrays();
    NamedArray &a = arrays[Below(arrays.size())], &b = arrays[Below(arrays.size())];
    std::swap(a.name, b.name);
    Damage damage = Encoded(arrays, absl::StrCat(a.name, " and ", b.name, " swapped"));
    if (a.name == b.name && damage.bytes == bytes_) damage.meaning = Meaning::kSame;
    return damage;
  }

  NumpyRandomState random_;
  const std::string path_, other_;
  const bool compress_;
  const std::string bytes_;
};

struct Kind {
  const char* name;
  bool compress, manifest, checksums;
};

class Corruption : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    root_ = absl::StrCat(testing::TempDir(), "/corruption_", GetParam().name);
    fs::remove_all(root_);
    int n = 0;
    for (const char* shape : {"train/0100/m00", "train/0100/m01"}) {
      const NpzReader npz = OrThrow(NpzReader::Open(absl::StrCat(kShapes, "/", shape, ".npz")));
      std::vector<NamedArray> arrays;
      for (const NpzMember& member : npz.members())
        arrays.push_back({member.name, OrThrow(npz.Read(member.name))});
      ASSERT_TRUE(
          WriteNpz(absl::StrCat(root_, "/train/c/s", n++, ".npz"), arrays, {.compress = GetParam().compress})
              .ok());
    }
    path_ = root_ + "/train/c/s0.npz";
    whole_ = OrThrow(ReadFile(path_));
    content_ = ContentOf(path_);
    manifest_ = OrThrow(IndexCache(root_, 1, GetParam().checksums));
    if (GetParam().manifest) {
      ASSERT_TRUE(WriteManifest(root_, manifest_).ok());
    }
  }

  // What a reader hands out must be `expected`, or an error that names the file.
  void ExpectReadOrRefused(const absl::StatusOr<std::shared_ptr<const ShapeFile>>& file,
                           const Content& expected) {
    if (!file.ok()) {
      ++refused_;
      return ExpectNamed(file.status(), path_);
    }
    for (const auto& [name, content] : expected) {
      const absl::StatusOr<Array> array = (*file)->Get(name);
      if (!array.ok()) {
        ++refused_;
        ExpectNamed(array.status(), path_);
        continue;
      }
      ++read_;
      EXPECT_TRUE(Describe(*array) == content) << name << " was read as something else";
    }
    for (const auto& [name, backend] :
         {std::pair("mesh", Backend::kMesh), std::pair("pc", Backend::kPointcloud),
          std::pair("udf", Backend::kUdfgrid), std::pair("voxel", Backend::kVoxel)}) {
      BackendOptions options;
      options.backend = backend;
      options.voxel_grid = 8;
      const absl::StatusOr<Pools> pools = AnswerPools(*file, options);
      if (!pools.ok()) ExpectNamed(pools.status(), path_);
    }
  }

  std::string root_, path_, whole_;
  Content content_;
  CacheManifest manifest_;
  int64_t refused_ = 0, read_ = 0;
};

TEST_P(Corruption, IsRefusedByNameOrHarmless) {
  AuditConfig config;
  config.add_cache_root(root_);
  config.set_min_class_shapes(1);
  config.set_max_shown(0);
  config.set_num_threads(1);
  int64_t changed = 0, found = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    ASSERT_TRUE(WriteFileAtomically(path_, whole_).ok());
    Damager damager(static_cast<uint32_t>(trial), path_, root_ + "/train/c/s1.npz", GetParam().compress);
    const Damage damage = damager.Make(trial);
    SCOPED_TRACE(absl::StrCat("trial ", trial, ": ", damage.what));
    ASSERT_TRUE(WriteFileAtomically(path_, damage.bytes).ok());
    const bool same_bytes = damage.bytes == whole_;

    const absl::StatusOr<NpzReader> npz = NpzReader::Open(path_);
    if (!npz.ok()) ExpectNamed(npz.status(), path_);
    // What the file itself says, where it says it consistently.
    Content own;
    if (damage.meaning == Meaning::kRewritten) own = ContentOf(path_);

    // Without a manifest the file vouches for itself.
    ExpectReadOrRefused(ShapeFile::Open(path_), damage.meaning == Meaning::kSame ? content_ : own);
    // Through the manifest nothing but the old content may be read where that has checksums.
    const auto indexed = ShapeFile::Open(path_, manifest_.shapes(0), manifest_);
    if (GetParam().checksums && !same_bytes) {
      EXPECT_FALSE(indexed.ok());
      ExpectNamed(indexed.status(), path_);
    } else {
      ExpectReadOrRefused(indexed, damage.meaning == Meaning::kSame ? content_ : own);
    }

    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const absl::StatusOr<AuditResult> audit = Audit(config);
    testing::internal::GetCapturedStdout();
    testing::internal::GetCapturedStderr();
    ASSERT_TRUE(audit.ok()) << audit.status();
    changed += same_bytes ? 0 : 1;
    found += audit->findings_size() > 0 ? 1 : 0;
    if (GetParam().manifest && GetParam().checksums && !same_bytes) {
      EXPECT_TRUE(std::any_of(audit->findings().begin(), audit->findings().end(),
                              [](const Finding& f) { return f.kind() == "changed_file"; }));
    }
    // A byte of an array that changed has been found, manifest or not.
    if (damage.meaning == Meaning::kSame && npz.ok() && audit->findings_size() == 0) {
      EXPECT_EQ(ContentOf(path_), content_);
    }
  }
  EXPECT_GT(changed, kTrials * 9 / 10);
  EXPECT_GT(found, kTrials / 2);
  EXPECT_GT(refused_, kTrials / 3);
  RecordProperty("refused", static_cast<int>(refused_));
  RecordProperty("read", static_cast<int>(read_));
}

INSTANTIATE_TEST_SUITE_P(Caches, Corruption,
                         testing::Values(Kind{"stored", false, true, true},
                                         Kind{"deflated", true, true, true},
                                         Kind{"without_checksums", false, true, false},
                                         Kind{"without_manifest", true, false, false}),
                         [](const auto& kind) { return std::string(kind.param.name); });

// Every byte of the manifest matters: no change of it goes unseen.
TEST(ManifestCorruption, IsRefusedByName) {
  const std::string root = testing::TempDir() + "/corruption_manifest", path = root + "/manifest.binpb";
  fs::remove_all(root);
  fs::create_directories(root);
  ASSERT_TRUE(WriteManifest(root, OrThrow(IndexCache(kShapes, 1, true))).ok());
  const std::string whole = OrThrow(ReadFile(path));
  const auto expect_refused = [&](const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomically(path, bytes).ok());
    const absl::StatusOr<CacheManifest> manifest = ReadManifest(root);
    EXPECT_EQ(manifest.status().code(), absl::StatusCode::kDataLoss) << manifest.status();
    ExpectNamed(manifest.status(), path);
  };
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string bytes = whole;
    bytes[at] ^= static_cast<char>(1 << (at % 8));
    expect_refused(bytes);
  }
  NumpyRandomState random(0);
  for (int i = 0; i < 200; ++i) {
    expect_refused(whole.substr(0, static_cast<size_t>(random.Double() * static_cast<double>(whole.size()))));
  }
  expect_refused(whole + std::string(1, '\0'));
  expect_refused(whole + whole);
  ASSERT_TRUE(WriteFileAtomically(path, whole).ok());
  EXPECT_TRUE(ReadManifest(root).ok());
}

// A file that was right and is then replaced is looked at again.
TEST(ShapeFile, IsVerifiedAgainAfterAChange) {
  const std::string root = testing::TempDir() + "/corruption_again", path = root + "/train/c/s.npz";
  fs::remove_all(root);
  const auto write = [&](float value) {
    ASSERT_TRUE(WriteNpz(path, std::vector<NamedArray>{{"x", MakeArray<float>({value, 2}, {2})}}).ok());
  };
  write(1);
  const CacheManifest manifest = OrThrow(IndexCache(root, 1, true));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ShapeFile::Open(path, manifest.shapes(0), manifest).ok());
  write(3);
  const absl::Status status = ShapeFile::Open(path, manifest.shapes(0), manifest).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(absl::StrContains(status.message(), path) && absl::StrContains(status.message(), "checksum"))
      << status;
  write(1);
  EXPECT_TRUE(ShapeFile::Open(path, manifest.shapes(0), manifest).ok());
}

}  // namespace
}  // namespace manyform
