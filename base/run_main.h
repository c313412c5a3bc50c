/// \file
/// What every program of the pipeline does alike around its one function.
///
/// int main(int argc, char** argv) {
///   return manyform::RunMain<BuildCacheConfig, BuildCacheResult>(
///       argc, argv, "Turns a folder of meshes into a shape cache.", manyform::BuildCache);
/// }
///
/// Arguments: `--config FILE.textproto` (repeatable, later ones win), positional `field.path=value` overrides
/// (they win over files; repeated fields take commas, an empty value clears them), `--log FILE`, `--help`.
/// A config field carries its help, range, choices and whether it is required as options
/// (proto/options.proto). The field marked (result_file) names where the result goes, as .binpb, .textproto
/// or .json by its ending. Relative paths mean the folder the user typed them in, under `bazel run` too;
/// typed strings stay as typed. Exit codes: 0 done; 1 failed while running: one line `error: <what>`; 2 a bad
/// config; 3 the result's repeated field `findings` is not empty: strings are said line by line, messages
/// only counted.
#pragma once

#include <functional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message.h"

namespace manyform {

/// The untyped half: `result` is filled by `run`, gets its field `provenance` set and is written. Exceptions
/// that escape `run` become exit code 1.
int RunMainUntyped(int argc, char** argv, std::string_view about, google::protobuf::Message& config,
                   google::protobuf::Message& result, const std::function<absl::Status()>& run);

template <class Config, class Result>
int RunMain(int argc, char** argv, std::string_view about,
            absl::StatusOr<Result> (*function)(const Config&)) {
  Config config;
  Result result;
  return RunMainUntyped(argc, argv, about, config, result, [&]() -> absl::Status {
    absl::StatusOr<Result> made = function(config);
    if (!made.ok()) return made.status();
    result = *std::move(made);
    return absl::OkStatus();
  });
}

}  // namespace manyform
