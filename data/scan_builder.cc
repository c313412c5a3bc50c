#include "data/scan_builder.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "base/config.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "data/collection_builder.h"
#include "data/hdf5_reader.h"
#include "data/mesh_list.h"
#include "data/point_reader.h"
#include "data/scan_arrays.h"
#include "data/scan_list.h"
#include "data/scan_stream.h"
#include "data/shard.h"

namespace manyform {
namespace {

constexpr uint64_t kTestSeedOffset = 12345;

std::string FullKey(const ShapeEntry& shape) {
  return absl::StrCat(shape.split(), "/", shape.class_name(), "/", shape.id());
}

// The shortest text that reads as the same number, never without a point or an exponent: Python's.
std::string PythonFloat(double value) {
  std::array<char, 32> text;
  char* end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  std::string result(text.data(), end);
  return result.find_first_of(".e") == std::string::npos ? result + ".0" : result;
}

ScanPoolOptions PoolOptions(const BuildScanCacheConfig& config) {
  ScanPoolOptions options;
  options.pt_pool = config.pt_pool();
  options.ray_pool = config.ray_pool();
  options.surface_ratio = config.pt_surface_ratio();
  options.surface_sigma = config.pt_surface_sigma();
  return options;
}

absl::StatusOr<uint32_t> SplitSeed(const BuildScanCacheConfig& config, bool test) {
  const uint64_t seed = config.seed() + (test ? kTestSeedOffset : 0);
  if (seed <= std::numeric_limits<uint32_t>::max()) return static_cast<uint32_t>(seed);
  return BadConfigError(absl::StrCat("seed: ", config.seed(), " leaves no 32-bit seed for test, which has ",
                                     kTestSeedOffset, " more"));
}

// A scan of as many points as are asked for, and which of its rows they are.
struct Observed {
  PointsF xyz, normals;
};

Observed Resample(Observed cloud, int64_t n, NumpyRandomState& random, ScanInfo* info) {
  const int64_t num_points = cloud.xyz.rows();
  info->set_observed_points(num_points);
  info->set_resampled(num_points < n);
  if (n == 0 || num_points == n) return cloud;
  const std::vector<int64_t> rows = PickScanPoints(num_points, n, random);
  cloud.xyz = TakeRows(cloud.xyz, rows);
  if (cloud.normals.rows() > 0) cloud.normals = TakeRows(cloud.normals, rows);
  return cloud;
}

// What the two kinds of source have in common.
struct ScanSources {
  std::vector<ShapeEntry> shapes;
  std::vector<std::string> splits;
  std::vector<std::pair<std::string, std::string>> notes;
  std::vector<LeftOutScan> left_out;
  int64_t most_points = 0;  // of a shape

  void LeaveOut(const std::string& source, absl::string_view reason) {
    LogLine(absl::StrCat("left out: ", source, ": ", reason));
    LeftOutScan& scan = left_out.emplace_back();
    scan.set_source(source);
    scan.set_reason(std::string(reason));
  }
};

// HDF5 files, and the stream that runs through the scans of each split.
class Hdf5Source {
 public:
  explicit Hdf5Source(const BuildScanCacheConfig& config) : config_(config) {}

  absl::Status AddSplit(bool test, ScanSources* sources) {
    MF_ASSIGN_OR_RETURN(const std::vector<std::string> files, FindScanFiles(config_.scan_root(), test));
    if (!config_.allow_duplicate_stems()) MF_RETURN_IF_ERROR(CheckStemsDiffer(files));
    MF_ASSIGN_OR_RETURN(const uint32_t seed, SplitSeed(config_, test));
    NoteSeed(test ? "test" : "train", seed);
    std::vector<int64_t> num_points;
    for (const std::string& path : files) {
      MF_RETURN_IF_ERROR(AddFile(path, test, seed, sources, &num_points));
    }
    const std::string split = test ? "test" : "train";
    LogLine(absl::StrCat(config_.scan_root(), ": ", files.size(), " files of ", split, ", ",
                         num_points.size(), " scans"));
    streams_[test] = std::make_unique<ScanStream>(seed, std::move(num_points), PoolOptions(config_));
    sources->notes.emplace_back(absl::StrCat("_meta/scanobjectnn_", split, "_source.txt"),
                                SourceNote(split, seed, files));
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<NamedArray>> Make(ShapeEntry* shape) {
    const bool test = shape->split() == "test";
    const File& file = files_.at(shape->source());
    const int64_t row = shape->scan().row();
    const auto at = [&](const absl::Status& status) {
      return absl::Status(status.code(),
                          absl::StrCat(shape->source(), ": row ", row, ": ", status.message()));
    };
    MF_ASSIGN_OR_RETURN(const PointsF points, file.scans->Scan(row));
    absl::StatusOr<PointsF> normalized = NormalizeScan(points);
    if (!normalized.ok()) return at(normalized.status());
    // The split's stream draws the pool alone, so that it does not depend on a choice of points.
    NumpyRandomState picks(
        Md5Prefix32(absl::StrCat("pc_points:", shape->class_name(), "/", shape->id(), ":", shape->seed())));
    const Observed cloud =
        Resample({*std::move(normalized), PointsF(0, 3)}, config_.pc_points(), picks, shape->mutable_scan());
    MF_ASSIGN_OR_RETURN(const ScanDraws draws, streams_[test]->Draws(numbers_.at(FullKey(*shape))));
    return BuildScanArrays(cloud.xyz, cloud.normals, draws, PoolOptions(config_));
  }

  absl::Status ReadNames() {
    if (config_.class_names().empty()) return absl::OkStatus();
    MF_ASSIGN_OR_RETURN(class_names_, ReadClassNames(config_.class_names()));
    return absl::OkStatus();
  }

 private:
  struct File {
    std::unique_ptr<Hdf5Scans> scans;
    bool usable = true;
  };

  absl::Status AddFile(const std::string& path, bool test, uint32_t seed, ScanSources* sources,
                       std::vector<int64_t>* num_points) {
    File& file = files_[path];
    if (file.scans == nullptr && file.usable) {
      absl::StatusOr<std::unique_ptr<Hdf5Scans>> scans = Hdf5Scans::Open(path);
      if (absl::IsFailedPrecondition(scans.status())) {
        file.usable = false;
        reasons_[path] = std::string(absl::StripPrefix(scans.status().message(), absl::StrCat(path, ": ")));
      } else {
        MF_RETURN_IF_ERROR(scans.status());
        file.scans = *std::move(scans);
      }
    }
    if (!file.usable) {
      sources->LeaveOut(path, reasons_[path]);
      return absl::OkStatus();
    }
    const int64_t asked = config_.pc_points() > 0 ? config_.pc_points() : file.scans->points_per_scan();
    sources->most_points = std::max(sources->most_points, asked);
    for (int64_t row = 0; row < file.scans->num_scans(); ++row) {
      ShapeEntry shape;
      MF_ASSIGN_OR_RETURN(*shape.mutable_class_name(), ClassName(path, row, file.scans->labels()[row]));
      shape.set_split(test ? "test" : "train");
      shape.set_id(absl::StrFormat("%s_%06d", FileStem(path), row));
      shape.set_source(path);
      shape.set_seed(seed);
      shape.mutable_scan()->set_row(row);
      shape.mutable_scan()->set_label(file.scans->labels()[row]);
      const std::string key = FullKey(shape);
      if (!numbers_.try_emplace(key, static_cast<int64_t>(num_points->size())).second) {
        sources->LeaveOut(absl::StrCat(path, ": row ", row),
                          absl::StrCat("a file before it has made shape ", key));
        continue;
      }
      num_points->push_back(asked);
      sources->shapes.push_back(std::move(shape));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> ClassName(const std::string& path, int64_t row, int64_t label) const {
    if (class_names_.empty()) return absl::StrFormat("class_%03d", label);
    if (label < static_cast<int64_t>(class_names_.size())) return class_names_[label];
    return absl::InvalidArgumentError(absl::StrCat(path, ": label of row ", row, " is ", label,
                                                   ", but class_names has ", class_names_.size(), " lines"));
  }

  // The published file's lines.
  std::string SourceNote(const std::string& split, uint32_t seed,
                         const std::vector<std::string>& files) const {
    std::string note = absl::StrCat("scan_root=", config_.scan_root(), "\nsplit=", split, "\nseed=", seed,
                                    "\npt_pool=", config_.pt_pool(), "\nray_pool=", config_.ray_pool(),
                                    "\npt_surface_ratio=", PythonFloat(config_.pt_surface_ratio()),
                                    "\npt_surface_sigma=", PythonFloat(config_.pt_surface_sigma()),
                                    "\nh5_count=", files.size(), "\n");
    for (const std::string& path : files) absl::StrAppend(&note, path, "\n");
    return note;
  }

  const BuildScanCacheConfig& config_;
  std::vector<std::string> class_names_;
  absl::flat_hash_map<std::string, File> files_;
  absl::flat_hash_map<std::string, std::string> reasons_;  // of files that are not usable
  absl::flat_hash_map<std::string, int64_t> numbers_;      // of split/class/id in the split's stream
  std::unique_ptr<ScanStream> streams_[2];
};

absl::Status AddClouds(const BuildScanCacheConfig& config, const std::vector<MeshSource>& clouds, bool test,
                       ScanSources* sources) {
  MF_ASSIGN_OR_RETURN(const uint32_t first_seed, SplitSeed(config, test));
  NoteSeed(test ? "test" : "train", first_seed);
  uint64_t seed = first_seed;
  for (const MeshSource& cloud : clouds) {
    if (cloud.test != test) continue;
    if (seed > std::numeric_limits<uint32_t>::max()) {
      return BadConfigError(absl::StrCat("seed: ", config.seed(), " leaves no 32-bit seed for ", cloud.path));
    }
    ShapeEntry& shape = sources->shapes.emplace_back();
    shape.set_split(test ? "test" : "train");
    shape.set_class_name(cloud.class_name);
    shape.set_id(cloud.id);
    shape.set_source(cloud.path);
    shape.set_seed(static_cast<uint32_t>(seed++));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<NamedArray>> MakeFromCloud(const BuildScanCacheConfig& config, ShapeEntry* shape) {
  MF_ASSIGN_OR_RETURN(PointCloudFile file, ReadPoints(shape->source()));
  absl::StatusOr<PointsF> normalized = NormalizeScan(file.xyz);
  if (!normalized.ok()) {
    return absl::Status(normalized.status().code(),
                        absl::StrCat(shape->source(), ": ", normalized.status().message()));
  }
  NumpyRandomState random(shape->seed());
  const Observed cloud = Resample({*std::move(normalized), std::move(file.normals)}, config.pc_points(),
                                  random, shape->mutable_scan());
  MF_ASSIGN_OR_RETURN(const ScanDraws draws, DrawScan(cloud.xyz.rows(), PoolOptions(config), random));
  return BuildScanArrays(cloud.xyz, cloud.normals, draws, PoolOptions(config));
}

absl::Status CheckSources(const BuildScanCacheConfig& config) {
  const bool scans = !config.scan_root().empty(), clouds = !config.cloud_root().empty();
  if (scans == clouds) {
    return BadConfigError(scans ? "scan_root, cloud_root: both are given; exactly one is needed"
                                : "scan_root, cloud_root: neither is given; exactly one is needed");
  }
  if (clouds && !config.class_names().empty()) {
    return BadConfigError(
        "class_names: only HDF5 files have labels; the classes of cloud_root are its folders");
  }
  // Before files are read.
  return ParseShard(config.shard()).status();
}

}  // namespace

absl::StatusOr<BuildScanCacheResult> BuildScanCache(const BuildScanCacheConfig& given) {
  BuildScanCacheConfig config = given;
  FillDefaults(&config);
  MF_RETURN_IF_ERROR(CheckSources(config));
  const bool from_hdf5 = !config.scan_root().empty();
  Hdf5Source hdf5(config);
  MF_RETURN_IF_ERROR(hdf5.ReadNames());
  std::vector<MeshSource> clouds;
  if (!from_hdf5) {
    MF_ASSIGN_OR_RETURN(clouds,
                        FindPointClouds(config.cloud_root(), config.test_ratio(), config.split_seed()));
  }
  ScanSources sources;
  for (const bool test : {false, true}) {
    const std::string split = test ? "test" : "train";
    if (config.split() != "all" && config.split() != split) continue;
    sources.splits.push_back(split);
    MF_RETURN_IF_ERROR(from_hdf5 ? hdf5.AddSplit(test, &sources) : AddClouds(config, clouds, test, &sources));
  }
  if (sources.shapes.empty()) {
    return absl::NotFoundError(absl::StrCat("no scan of ",
                                            from_hdf5 ? config.scan_root() : config.cloud_root(),
                                            " is in split=", config.split()));
  }

  std::atomic<int64_t> resampled = 0;
  Collection collection;
  collection.program = "build_scan_cache";
  collection.out_root = config.out_root();
  collection.shapes = std::move(sources.shapes);
  collection.splits = sources.splits;
  collection.config = &config;
  collection.unfingerprinted = {"split"};
  collection.overwrite = config.overwrite();
  collection.compress = config.compress();
  collection.num_threads = config.num_threads();
  collection.shard = config.shard();
  collection.notes = std::move(sources.notes);
  // Clouds have as many points as they have: of each, one is sure.
  const int64_t points = from_hdf5 ? sources.most_points : std::max(config.pc_points(), 1);
  MF_ASSIGN_OR_RETURN(collection.bytes_per_shape,
                      StoredNpzSize(ScanArraysWithoutData(points, PoolOptions(config))));
  collection.least_bytes_per_shape = LeastDeflatedSize(config.pt_pool());
  collection.may_be_larger = !from_hdf5 && config.pc_points() == 0;
  collection.make = [&](ShapeEntry* shape) {
    absl::StatusOr<std::vector<NamedArray>> arrays =
        from_hdf5 ? hdf5.Make(shape) : MakeFromCloud(config, shape);
    if (arrays.ok() && shape->scan().resampled()) ++resampled;
    return arrays;
  };
  MF_ASSIGN_OR_RETURN(CollectionOutcome outcome, BuildCollection(collection));

  BuildScanCacheResult result;
  result.set_built(outcome.built);
  result.set_skipped(outcome.skipped);
  for (FailedShape& failed : outcome.failed) *result.add_failed() = std::move(failed);
  for (LeftOutScan& left_out : sources.left_out) *result.add_left_out() = std::move(left_out);
  result.set_resampled(resampled);
  if (resampled > 0) {
    LogLine(absl::StrCat(resampled.load(), " scans had fewer than ", config.pc_points(),
                         " points: others of theirs were drawn again"));
  }
  result.set_cache_bytes(outcome.cache_bytes);
  result.set_shapes_per_second(outcome.shapes_per_second);
  result.set_manifest(outcome.manifest);
  return result;
}

}  // namespace manyform
