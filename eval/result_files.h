/// \file
/// Result files of the pipeline read back without being told whose they are.
#pragma once

#include <string>
#include <variant>

#include "absl/status/statusor.h"
#include "proto/cache.pb.h"
#include "proto/demo.pb.h"
#include "proto/eval.pb.h"
#include "proto/probe.pb.h"
#include "proto/split.pb.h"
#include "proto/train.pb.h"

namespace manyform {

/// A measurement: what //eval:table aggregates.
struct MeasuredFile {
  std::string path;
  std::variant<UcprResult, CpacResult, FinetuneResult, ClassifyResult, ProbeResult> result;
  const ResultRecord& record() const;
  const Provenance& provenance() const;
};

/// .json, .textproto or .binpb; the record's stage says which message it is.
/// \error as ReadResult; InvalidArgument naming the path if it holds no measurement.
absl::StatusOr<MeasuredFile> ReadMeasuredFile(const std::string& path);

/// A step of the pipeline that made something: its name and what it counted, in words.
struct StageSummary {
  std::string stage;  ///< the program's name
  std::string what;   ///< "120 built, 3 skipped, 1 failed; 14.2 MiB; 3.9 shapes/s"
  Provenance provenance;
};
/// Records of import_furniture, build_cache, split_unpaired, materialize and pretrain by the program named in
/// them. \error as above; InvalidArgument for another program's.
absl::StatusOr<StageSummary> ReadStageRecord(const std::string& path);

}  // namespace manyform
