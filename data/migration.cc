#include "data/migration.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/status_macros.h"
#include "data/npz_edit.h"
#include "geometry/nearest.h"
#include "geometry/ordering.h"
#include "geometry/types.h"

namespace manyform {
namespace {

constexpr char kDistances[] = "pt_dist_pc_pool";
constexpr int64_t kAlignment = 64;

bool IsOrder(const MigrateConfig& config) {
  return config.what() == "pt_fps_order" || config.what() == "pc_fps_order";
}

std::string PointKey(const MigrateConfig& config) {
  if (!config.pt_key().empty()) return config.pt_key();
  return config.what() == "pc_fps_order" ? "pc_xyz" : "pt_xyz_pool";
}

std::string OutKey(const MigrateConfig& config) {
  return config.out_key().empty() ? config.what() : config.out_key();
}

absl::Status In(const std::string& path, absl::string_view name, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(path, ": array \"", name, "\": ", status.message()));
}

bool Finite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

absl::StatusOr<PointsF> ReadPoints(const NpzReader& npz, const std::string& path, const std::string& name) {
  MF_ASSIGN_OR_RETURN(const Array array, npz.Read(name, /*verify=*/true));
  if (array.shape.size() != 2 || array.shape[1] != 3 || array.shape[0] == 0) {
    return In(path, name, absl::InvalidArgumentError("expected (N, 3) with N > 0"));
  }
  const absl::StatusOr<std::vector<float>> values = array.Values<float>();
  MF_RETURN_IF_ERROR(In(path, name, values.status()));
  if (!Finite(*values))
    return In(path, name, absl::InvalidArgumentError("has coordinates that are not finite"));
  return PointsF(Eigen::Map<const PointsF>(values->data(), array.shape[0], 3));
}

// Whether the array there is one that readers take as it is.
bool HasDistances(const NpzReader& npz, int64_t points) {
  if (!npz.Has(kDistances)) return false;
  const absl::StatusOr<Array> array = npz.Read(kDistances, /*verify=*/true);
  if (!array.ok() || array->shape != std::vector<int64_t>{points}) return false;
  const absl::StatusOr<std::vector<float>> values = array->Values<float>();
  return values.ok() &&
         std::all_of(values->begin(), values->end(), [](float d) { return std::isfinite(d) && d >= 0; });
}

bool HasOrder(const NpzReader& npz, const std::string& name, int64_t points) {
  if (!npz.Has(name) || points <= 0) return false;
  const absl::StatusOr<Array> array = npz.Read(name, /*verify=*/true);
  if (!array.ok() || array->shape.size() != 1 || array->size() == 0) return false;
  const absl::StatusOr<std::vector<int64_t>> values = array->Values<int64_t>();
  if (!values.ok()) return false;
  std::vector<bool> seen(points, false);
  for (const int64_t i : *values) {
    if (i < 0 || i >= points) return false;
    // Points that coincide with chosen ones are all called 0.
    if (seen[i] && i != 0) return false;
    seen[i] = true;
  }
  return true;
}

// Number of rows of an (N, 3) array, by its header alone; -1 where there is none.
int64_t RowsOf(const NpzReader& npz, const std::string& name) {
  for (const NpzMember& member : npz.members()) {
    if (member.name == name && member.shape.size() == 2 && member.shape[1] == 3) return member.shape[0];
  }
  return -1;
}

absl::StatusOr<NamedArray> Distances(const NpzReader& npz, const std::string& path) {
  MF_ASSIGN_OR_RETURN(const PointsF cloud, ReadPoints(npz, path, "pc_xyz"));
  MF_ASSIGN_OR_RETURN(const PointsF queries, ReadPoints(npz, path, "pt_xyz_pool"));
  absl::StatusOr<NearestPoints> nearest = NearestPoints::Create(cloud);
  MF_RETURN_IF_ERROR(In(path, "pc_xyz", nearest.status()));
  return NamedArray{kDistances, MakeArray(nearest->Distances(queries), {queries.rows()})};
}

absl::StatusOr<NamedArray> Order(const MigrateConfig& config, const NpzReader& npz, const std::string& path) {
  MF_ASSIGN_OR_RETURN(const PointsF points, ReadPoints(npz, path, PointKey(config)));
  std::vector<int32_t> order = FarthestPointOrder(points, config.fps_k());
  const int64_t k = static_cast<int64_t>(order.size());
  return NamedArray{OutKey(config), MakeArray(std::move(order), {k})};
}

bool IsPacked(const NpzReader& npz, bool compress) {
  return std::all_of(npz.members().begin(), npz.members().end(), [&](const NpzMember& member) {
    const bool c_order = !member.fortran_order || member.shape.size() < 2;
    return c_order && member.compressed == compress && (compress || member.offset % kAlignment == 0);
  });
}

absl::StatusOr<std::string> Repacked(const NpzReader& npz, bool compress, const std::string& path) {
  std::vector<NamedArray> arrays;
  arrays.reserve(npz.members().size());
  for (const NpzMember& member : npz.members()) {
    MF_ASSIGN_OR_RETURN(Array array, npz.Read(member.name, /*verify=*/true));
    arrays.push_back({member.name, InCOrder(array)});
  }
  absl::StatusOr<std::string> bytes = EncodeNpz(arrays, {.compress = compress});
  if (bytes.ok()) return bytes;
  return absl::Status(bytes.status().code(), absl::StrCat(path, ": ", bytes.status().message()));
}

}  // namespace

absl::Status CheckMigration(const MigrateConfig& config) {
  const auto only = [](absl::string_view field, absl::string_view what) {
    return BadConfigError(absl::StrCat("field ", field, ": only for what=", what));
  };
  if (!IsOrder(config)) {
    if (config.has_fps_k()) return only("fps_k", "pt_fps_order or pc_fps_order");
    if (!config.pt_key().empty()) return only("pt_key", "pt_fps_order or pc_fps_order");
    if (!config.out_key().empty()) return only("out_key", "pt_fps_order or pc_fps_order");
  }
  if (config.has_compress() && config.what() != "repack") return only("compress", "repack");
  if (config.has_checksums() && config.what() != "manifest") return only("checksums", "manifest");
  if (IsOrder(config) && PointKey(config) == OutKey(config)) {
    return BadConfigError("field out_key: is pt_key itself, which would be lost");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string>> MigratedBytes(const MigrateConfig& config, const NpzReader& npz,
                                                         std::span<const uint8_t> file,
                                                         const std::string& path) {
  const bool keep = !config.overwrite();
  if (config.what() == "repack") {
    if (keep && IsPacked(npz, config.compress())) return std::nullopt;
    return Repacked(npz, config.compress(), path);
  }
  absl::StatusOr<NamedArray> made;
  if (IsOrder(config)) {
    if (keep && HasOrder(npz, OutKey(config), RowsOf(npz, PointKey(config)))) return std::nullopt;
    made = Order(config, npz, path);
  } else {
    if (keep && HasDistances(npz, RowsOf(npz, "pt_xyz_pool"))) return std::nullopt;
    made = Distances(npz, path);
  }
  MF_RETURN_IF_ERROR(made.status());
  return EditNpz(path, file, {&*made, 1});
}

}  // namespace manyform
