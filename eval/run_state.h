/// \file
/// What a run folder says of its run: waiting, running, done, failed, died, or unreadable.
#pragma once

#include <optional>
#include <string>

#include "eval/experiment.h"
#include "proto/experiment.pb.h"

namespace manyform {

/// The files that tell, as far as they are there.
struct RunFiles {
  std::optional<std::string> record;    ///< record.binpb
  std::optional<std::string> status;    ///< status.textproto
  std::optional<std::string> lock;      ///< "host process"
  std::optional<std::string> last_log;  ///< last line of the program's log
  double silent_seconds = 0;            ///< since the status was written
  std::string error;                    ///< what kept one of them from being read
};
/// Never fails: see `error`. Files of more than 1 MiB (records: 64 MiB) are no run's and are not read.
RunFiles ReadRunFiles(const std::string& folder, const std::string& log);

/// `cell` is whose the folder should be; null for a pretraining. In this order: a record is a run that is
/// done; a lock of a live process, one that is starting unless the status is that process's; then the status;
/// then an error that ends the log. A process of another host counts as alive.
RunState StateOf(const RunFiles& files, const PlannedCell* cell);

}  // namespace manyform
