#include "data/cache_builder.h"

#include <unistd.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "data/build_options.h"
#include "data/build_plan.h"
#include "data/cache_journal.h"
#include "data/manifest.h"
#include "data/mesh_list.h"
#include "data/mesh_reader.h"
#include "data/npz.h"
#include "data/shape_arrays.h"

namespace manyform {
namespace {

constexpr char kJournalName[] = "_meta/build_cache.journal";

// A failure of the machine rather than of one mesh: it ends the build.
bool EndsTheBuild(const absl::Status& status) {
  return absl::IsResourceExhausted(status) || absl::IsCancelled(status);
}

// Nothing where there is none; a damaged one is nothing to a build that replaces it.
absl::StatusOr<CacheManifest> ReadOldManifest(const BuildCacheConfig& config) {
  absl::StatusOr<CacheManifest> manifest = ReadManifest(config.out_root());
  if (absl::IsNotFound(manifest.status())) return CacheManifest();
  if (!absl::IsDataLoss(manifest.status()) || !config.overwrite()) return manifest;
  LogLine(absl::StrCat(manifest.status().message(), "; replaced"));
  return CacheManifest();
}

absl::Status WriteSplitLists(const std::string& root, const std::vector<MeshSource>& meshes) {
  std::string lists[2];
  for (const MeshSource& mesh : meshes) absl::StrAppend(&lists[mesh.test ? 1 : 0], mesh.path, "\n");
  MF_RETURN_IF_ERROR(WriteFileAtomically(JoinPath(root, "_splits/train.txt"), lists[0]));
  return WriteFileAtomically(JoinPath(root, "_splits/test.txt"), lists[1]);
}

class Builder {
 public:
  Builder(const BuildCacheConfig& config, std::vector<MeshSource> meshes, BuildPlan plan,
          std::unique_ptr<CacheJournal> journal)
      : config_(config),
        meshes_(std::move(meshes)),
        plan_(std::move(plan)),
        journal_(std::move(journal)),
        failures_(plan_.shapes.size()) {}

  absl::StatusOr<BuildCacheResult> Run() {
    MF_RETURN_IF_ERROR(CheckSpace());
    MF_RETURN_IF_ERROR(Prepare());
    MF_RETURN_IF_ERROR(BuildAll());
    return Finish();
  }

 private:
  int64_t num_shapes() const { return static_cast<int64_t>(plan_.shapes.size()); }

  absl::Status CheckSpace() const {
    MF_ASSIGN_OR_RETURN(const uint64_t size, StoredNpzSize(ShapeArraysWithoutData(config_)));
    MF_ASSIGN_OR_RETURN(const uint64_t free, FreeDiskBytes(config_.out_root()));
    const int64_t finished = plan_.num_finished(), to_build = num_shapes() - finished;
    const uint64_t needed = static_cast<uint64_t>(to_build) * size;
    std::set<std::string> classes;
    for (const ShapeEntry& shape : plan_.shapes) classes.insert(shape.class_name());
    LogLine(
        absl::StrFormat("%s: %d shapes of %d classes, %d already there; %d to build take %s%s, %s are free",
                        config_.out_root(), num_shapes(), classes.size(), finished, to_build,
                        config_.compress() ? "at most " : "", HumanBytes(needed), HumanBytes(free)));
    if (needed <= free || config_.compress()) return absl::OkStatus();
    return absl::ResourceExhaustedError(
        absl::StrFormat("%s: %d shapes of %d bytes need %d bytes, but only %d are free", config_.out_root(),
                        to_build, size, needed, free));
  }

  // Brings the folder into a state from which a killed run can go on.
  absl::Status Prepare() {
    const std::string& root = config_.out_root();
    std::set<std::string> folders = {root, JoinPath(root, "_splits")};
    for (const ShapeEntry& shape : plan_.shapes) {
      folders.insert(absl::StrCat(root, "/", shape.split(), "/", shape.class_name()));
    }
    for (const std::string& folder : folders) MF_RETURN_IF_ERROR(RemoveStaleTemporaries(folder));
    CacheManifest header;
    SetBuildOptions(config_, &header);
    if (config_.overwrite()) {
      // The old manifest must not vouch for files that are about to be replaced.
      MF_RETURN_IF_ERROR(journal_->Start(header));
      if (plan_.manifest.shapes_size() > 0) {
        MF_RETURN_IF_ERROR(WriteManifest(root, WithOptions(plan_.manifest)));
      } else {
        unlink(JoinPath(root, kManifestName).c_str());
      }
      for (const std::string& path : plan_.obsolete) {
        LogLine(absl::StrCat(path, ": removed, its mesh is no longer in the list"));
        unlink(path.c_str());
      }
    } else if (journal_->empty()) {
      MF_RETURN_IF_ERROR(journal_->Start(header));
    }
    return WriteSplitLists(root, meshes_);
  }

  CacheManifest WithOptions(CacheManifest manifest) const {
    SetBuildOptions(config_, &manifest);
    return manifest;
  }

  absl::Status BuildAll() {
    const auto start = std::chrono::steady_clock::now();
    {
      Progress progress("build_cache", "shapes", num_shapes());
      progress.Add(plan_.num_finished(), /*skipped=*/true);
      MF_RETURN_IF_ERROR(ParallelFor(num_shapes(), config_.num_threads(), [&](int64_t i) {
        if (plan_.finished[i]) return absl::OkStatus();
        MF_RETURN_IF_ERROR(BuildOne(i));
        progress.Add();
        return absl::OkStatus();
      }));
    }
    seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return absl::OkStatus();
  }

  absl::Status BuildOne(int64_t i) {
    ShapeEntry& shape = plan_.shapes[i];
    const std::string path = ShapePath(config_.out_root(), shape);
    absl::StatusOr<std::string> bytes = EncodeShape(&shape);
    if (!bytes.ok() && EndsTheBuild(bytes.status())) return bytes.status();
    if (!bytes.ok()) {
      failures_[i] = std::string(bytes.status().message());
      LogLine(absl::StrCat("failed: ", shape.split(), "/", ShapeKey(shape), ": ", failures_[i]));
      unlink(path.c_str());
      return absl::OkStatus();
    }
    MF_RETURN_IF_ERROR(WriteFileAtomically(path, *bytes));
    const std::span<const uint8_t> content(reinterpret_cast<const uint8_t*>(bytes->data()), bytes->size());
    shape.set_file_size(content.size());
    shape.set_checksum(Xxh3(content));
    MF_ASSIGN_OR_RETURN(const NpzReader npz, NpzReader::FromBytes(path, {content.begin(), content.end()}));
    const ArrayLayout layout = LayoutOf(npz);
    {
      const std::lock_guard lock(mutex_);
      SetLayout(&plan_.manifest, &shape, layout);
    }
    return journal_->Append(shape, layout);
  }

  // The bytes of a shape's file; describes its mesh in `shape`.
  absl::StatusOr<std::string> EncodeShape(ShapeEntry* shape) const {
    MF_ASSIGN_OR_RETURN(TriangleMesh mesh, ReadMesh(shape->source()));
    *shape->mutable_mesh() = DescribeMesh(mesh);
    absl::StatusOr<std::vector<NamedArray>> arrays =
        BuildShapeArrays(std::move(mesh), config_, shape->seed());
    if (!arrays.ok()) {
      return absl::Status(arrays.status().code(),
                          absl::StrCat(shape->source(), ": ", arrays.status().message()));
    }
    return EncodeNpz(*arrays, {.compress = config_.compress()});
  }

  absl::StatusOr<BuildCacheResult> Finish() {
    BuildCacheResult result;
    CacheManifest manifest = WithOptions(std::move(plan_.manifest));
    for (int64_t i = 0; i < num_shapes(); ++i) {
      const ShapeEntry& shape = plan_.shapes[i];
      if (failures_[i].empty()) {
        *manifest.add_shapes() = shape;
        continue;
      }
      FailedShape& failed = *result.add_failed();
      failed.set_split(shape.split());
      failed.set_class_name(shape.class_name());
      failed.set_id(shape.id());
      failed.set_source(shape.source());
      failed.set_reason(failures_[i]);
      *manifest.add_failed() = failed;
    }
    const int64_t finished = plan_.num_finished();
    if (result.failed_size() == num_shapes()) {
      MF_RETURN_IF_ERROR(journal_->Finish());
      return absl::InvalidArgumentError(absl::StrFormat("none of %d meshes could be built; the first: %s",
                                                        num_shapes(), result.failed(0).reason()));
    }
    result.set_built(num_shapes() - finished - result.failed_size());
    result.set_skipped(finished);
    uint64_t bytes = 0;
    for (const ShapeEntry& shape : manifest.shapes()) bytes += shape.file_size();
    result.set_cache_bytes(static_cast<int64_t>(bytes));
    if (seconds_ > 0) result.set_shapes_per_second(static_cast<double>(result.built()) / seconds_);
    result.set_manifest(JoinPath(config_.out_root(), kManifestName));
    MF_RETURN_IF_ERROR(WriteManifest(config_.out_root(), std::move(manifest)));
    MF_RETURN_IF_ERROR(journal_->Finish());
    LogLine(absl::StrFormat("%s: %d built, %d already there, %d failed; %s", result.manifest(),
                            result.built(), result.skipped(), result.failed_size(), HumanBytes(bytes)));
    return result;
  }

  const BuildCacheConfig& config_;
  const std::vector<MeshSource> meshes_;
  BuildPlan plan_;
  const std::unique_ptr<CacheJournal> journal_;
  std::vector<std::string> failures_;  // a shape; empty if it succeeded
  std::mutex mutex_;                   // of plan_.manifest's layouts
  double seconds_ = 0;
};

}  // namespace

absl::StatusOr<BuildCacheResult> BuildCache(const BuildCacheConfig& given) {
  // Threads read the config: no default is left for protobuf to make at first use.
  BuildCacheConfig config = given;
  FillDefaults(&config);
  MF_RETURN_IF_ERROR(CheckShapeOptions(config));
  NoteSeed("seed", config.seed());
  NoteSeed("split_seed", static_cast<uint64_t>(config.split_seed()));
  MF_ASSIGN_OR_RETURN(std::vector<MeshSource> meshes, FindMeshes(config.shapenet_root(), config.mesh_glob(),
                                                                 config.test_ratio(), config.split_seed()));
  MF_ASSIGN_OR_RETURN(std::vector<ShapeEntry> shapes, ListShapesToBuild(meshes, config));
  MF_ASSIGN_OR_RETURN(std::unique_ptr<CacheJournal> journal,
                      CacheJournal::Open(JoinPath(config.out_root(), kJournalName)));
  MF_ASSIGN_OR_RETURN(const CacheManifest manifest, ReadOldManifest(config));
  MF_ASSIGN_OR_RETURN(BuildPlan plan, PlanBuild(std::move(shapes), config, manifest, journal->content()));
  return Builder(config, std::move(meshes), std::move(plan), std::move(journal)).Run();
}

}  // namespace manyform
