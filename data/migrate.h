/// \file
/// Caches made before, brought up to date in place.
#pragma once

#include "absl/status/statusor.h"
#include "proto/migrate.pb.h"

namespace manyform {

/// Runs the migration over the chosen shapes: see proto/migrate.proto for what there is, data/migration.h for
/// what becomes of a file. Links are followed to the real file, which is changed once however many shapes
/// lead to it: a temporary file in its own folder takes its name. Files that are hard links of one another
/// stay so if this run meets all their names; names elsewhere keep the old content, and a line says so. What
/// is already migrated is skipped, so that a killed run can be started again. A shape that fails is listed,
/// and its file is as it was.
///
/// Manifests follow: the root's, and that of every cache its links lead to. Views that lead to this cache
/// cannot be known: reading them fails by the size of the file until the migration is run on them, too, which
/// then only renews their manifests. what = manifest writes the root's manifest alone, where entries of files
/// that have not changed since are kept as they are.
///
/// \error InvalidArgument for options that do not go together or a split that is not there; NotFound without
/// shapes; ResourceExhausted or Cancelled if the disk is full or the run interrupted, when the manifests have
/// been updated for what was done.
absl::StatusOr<MigrateResult> Migrate(const MigrateConfig& config);

/// The same as a program: if shapes failed, the record is written all the same, and it is an error.
absl::StatusOr<MigrateResult> MigrateOrFail(const MigrateConfig& config);

}  // namespace manyform
