/// \file
/// A program of ours as several processes that do one job.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "train/testing/free_port.h"
#include "train/testing/program.h"

namespace manyform {

/// One process for each list of arguments; number r prints to `log`.r.
inline std::vector<pid_t> StartProcesses(const std::string& program,
                                         const std::vector<std::vector<std::string>>& arguments,
                                         const std::string& log) {
  const std::string port = absl::StrCat(FreePort());
  std::vector<pid_t> children;
  for (size_t rank = 0; rank < arguments.size(); ++rank)
    children.push_back(StartProgram(program, arguments[rank], absl::StrCat(log, ".", rank),
                                    {{"RANK", absl::StrCat(rank)},
                                     {"WORLD_SIZE", absl::StrCat(arguments.size())},
                                     {"MASTER_ADDR", "127.0.0.1"},
                                     {"MASTER_PORT", port}}));
  return children;
}

}  // namespace manyform
