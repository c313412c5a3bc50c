/// \file
/// A program of ours as several processes that do one job.
#pragma once

#include <cmath>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/json_lines.h"
#include "gtest/gtest.h"
#include "train/testing/free_port.h"
#include "train/testing/program.h"

namespace manyform {

/// One process for each list of arguments; number r prints to `log`.r.
inline std::vector<pid_t> StartProcesses(const std::string& program,
                                         const std::vector<std::vector<std::string>>& arguments,
                                         const std::string& log) {
  const std::string port = absl::StrCat(FreePort());
  std::vector<pid_t> children;
  children.reserve(arguments.size());
  for (size_t rank = 0; rank < arguments.size(); ++rank)
    children.push_back(StartProgram(program, arguments[rank], absl::StrCat(log, ".", rank),
                                    {{"RANK", absl::StrCat(rank)},
                                     {"WORLD_SIZE", absl::StrCat(arguments.size())},
                                     {"MASTER_ADDR", "127.0.0.1"},
                                     {"MASTER_PORT", port}}));
  return children;
}

/// The rows of two log.jsonl: the same keys, and numbers within what the order of sums makes of them; but for
/// the times.
inline void ExpectSameCurve(const std::string& ours, const std::string& theirs) {
  const auto a = ReadJsonLines(ours), b = ReadJsonLines(theirs);
  ASSERT_TRUE(a.ok() && b.ok()) << a.status() << b.status();
  ASSERT_EQ(a->size(), b->size());
  for (size_t i = 0; i < a->size(); ++i) {
    const JsonRow &own = (*a)[i], &other = (*b)[i];
    ASSERT_EQ(own.size(), other.size());
    for (size_t k = 0; k < own.size(); ++k) {
      const auto& [key, value] = own[k];
      ASSERT_EQ(key, other[k].first);
      if (key == "samples_per_s" || key == "seconds") continue;
      ASSERT_EQ(value.index(), other[k].second.index()) << key;
      if (!std::holds_alternative<double>(value)) {
        EXPECT_EQ(value, other[k].second) << key << " of row " << i;
        continue;
      }
      const double expected = std::get<double>(other[k].second);
      EXPECT_NEAR(std::get<double>(value), expected, 1e-4 * (1 + std::abs(expected)))
          << key << " of row " << i;
    }
  }
}

}  // namespace manyform
