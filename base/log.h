/// \file
/// What a person reads while a program runs: lines on stderr, copied to the --log file.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace manyform {

/// One line; a progress bar on the terminal is cleared first and redrawn after. Thread-safe.
void LogLine(std::string_view line);
/// Copies every later line to `path` (appended). \error if it cannot be opened.
absl::Status SetLogFile(const std::string& path);

/// Progress with rate and time left: a bar on a terminal, else a line every few seconds and one at the end.
/// The log file always gets the lines. Thread-safe.
class Progress {
 public:
  /// `unit` is plural: "shapes", "steps".
  Progress(std::string what, std::string unit, int64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// `n` more are done. `skipped` ones count as done but not into the rate.
  void Add(int64_t n = 1, bool skipped = false);
  /// Shown behind the rate: "loss 0.412".
  void SetNote(std::string note);

 private:
  std::string Text(double seconds) const;
  void Draw(bool last);
  const std::string what_, unit_;
  const int64_t total_;
  const bool terminal_;
  std::mutex mutex_;
  int64_t done_ = 0, skipped_ = 0;
  std::string note_;
  std::chrono::steady_clock::time_point start_, drawn_, lined_;
};

/// "3.4 s", "12 min 05 s", "2 h 10 min".
std::string HumanDuration(double seconds);
/// "512 B", "3.4 MiB".
std::string HumanBytes(uint64_t bytes);

/// Columns padded to their widest cell; cells that parse as numbers are right-aligned. The first row is the
/// header.
std::string AlignedTable(const std::vector<std::vector<std::string>>& rows);

}  // namespace manyform
