/// \file
/// What a migration makes of one shape's file.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "data/npz.h"
#include "proto/migrate.pb.h"

namespace manyform {

/// \error InvalidArgument naming the option that the migration does not have.
absl::Status CheckMigration(const MigrateConfig& config);

/// The file's new bytes, or nothing where it already is as the migration leaves it (`overwrite`: made anew
/// all the same). `npz` and `file` are the same file; the result depends on nothing else.
///
/// pt_dist_pc_pool: the distance of each of pt_xyz_pool to the nearest of pc_xyz; remade if the one there has
/// another length, negative or non-finite values. pt_fps_order, pc_fps_order: FarthestPointOrder of pt_key;
/// remade if the one there is no list of distinct indices into it. repack: every array stored and aligned in
/// C order, or every one deflated. \pre CheckMigration; not for what = manifest \error NotFound if an array
/// that is needed is missing; InvalidArgument for its shape or values, DataLoss for what is damaged, all with
/// the file's path.
absl::StatusOr<std::optional<std::string>> MigratedBytes(const MigrateConfig& config, const NpzReader& npz,
                                                         std::span<const uint8_t> file,
                                                         const std::string& path);

}  // namespace manyform
