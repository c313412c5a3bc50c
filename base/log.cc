#include "base/log.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "base/follower.h"
#include "base/string_views.h"

namespace manyform {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kBarPeriod{100};
constexpr std::chrono::seconds kLinePeriod{5};
constexpr absl::string_view kClearLine = "\r\x1b[K";

// Stderr and the log file, shared by all threads. Never destroyed: threads may log until the very end.
struct Sink {
  std::mutex mutex;
  FILE* file = nullptr;
  std::string bar;

  void WriteError(absl::string_view text) {
    fwrite(text.data(), 1, text.size(), stderr);
    fflush(stderr);
  }
  void WriteFile(absl::string_view line) {
    if (file == nullptr) return;
    absl::FPrintF(file, "%s\n", line);
    fflush(file);
  }
};

Sink& TheSink() {
  static Sink* const sink = new Sink;
  return *sink;
}

double Seconds(steady_clock::duration time) { return std::chrono::duration<double>(time).count(); }

// Code points: what a terminal shows of UTF-8, wide characters aside.
size_t Width(absl::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

bool IsNumber(absl::string_view cell) {
  double value;
  // "12.3%" too.
  return absl::SimpleAtod(absl::StripSuffix(cell, "%"), &value);
}

}  // namespace

void LogLine(std::string_view text) {
  if (IsFollower()) return;
  const absl::string_view line = ToAbsl(text);
  Sink& sink = TheSink();
  const std::lock_guard lock(sink.mutex);
  sink.WriteError(absl::StrCat(sink.bar.empty() ? "" : kClearLine, line, "\n", sink.bar));
  sink.WriteFile(line);
}

absl::Status SetLogFile(const std::string& path) {
  Sink& sink = TheSink();
  const std::lock_guard lock(sink.mutex);
  FILE* const file = fopen(path.c_str(), "ae");
  if (file == nullptr) {
    return absl::UnavailableError(absl::StrCat(path, ": cannot open the log file: ", strerror(errno)));
  }
  if (sink.file != nullptr) fclose(sink.file);
  sink.file = file;
  return absl::OkStatus();
}

Progress::Progress(std::string what, std::string unit, int64_t total)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      total_(total),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(steady_clock::now()),
      drawn_(start_),
      lined_(start_) {}

Progress::~Progress() {
  const std::lock_guard lock(mutex_);
  Draw(true);
}

void Progress::Add(int64_t n, bool skipped) {
  const std::lock_guard lock(mutex_);
  done_ += n;
  if (skipped) skipped_ += n;
  Draw(false);
}

void Progress::SetNote(std::string note) {
  const std::lock_guard lock(mutex_);
  note_ = std::move(note);
}

// "build_cache: 120/400 shapes (30 already done), 3.5 shapes/s, 1 min 20 s left, note"
std::string Progress::Text(double seconds) const {
  std::string text = absl::StrCat(what_, ": ", done_, "/", total_, " ", unit_);
  if (skipped_ > 0) absl::StrAppend(&text, " (", skipped_, " already done)");
  const double rate = seconds > 0 ? static_cast<double>(done_ - skipped_) / seconds : 0;
  if (rate > 0) {
    // Three digits: slow loops count in minutes an item.
    absl::StrAppendFormat(&text, ", %.3g %s/s", rate, unit_);
    if (done_ < total_)
      absl::StrAppend(&text, ", ", HumanDuration(static_cast<double>(total_ - done_) / rate), " left");
  }
  if (!note_.empty()) absl::StrAppend(&text, ", ", note_);
  return text;
}

void Progress::Draw(bool last) {
  if (IsFollower()) return;
  const steady_clock::time_point now = steady_clock::now();
  const bool bar = terminal_ && !last && now - drawn_ >= kBarPeriod;
  const bool line = last || now - lined_ >= kLinePeriod;
  if (!bar && !line) return;
  std::string text = Text(Seconds(now - start_));
  Sink& sink = TheSink();
  const std::lock_guard lock(sink.mutex);
  if (line) {
    lined_ = now;
    if (last) absl::StrAppend(&text, ", ", HumanDuration(Seconds(now - start_)));
    if (terminal_ && last) sink.WriteError(sink.bar.empty() ? "" : kClearLine);
    if (!terminal_ || last) sink.WriteError(text + "\n");
    sink.WriteFile(text);
    if (last) sink.bar.clear();
  }
  if (bar) {
    drawn_ = now;
    constexpr int kCells = 24;
    const double part =
        total_ > 0 ? std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0) : 0;
    const int full = static_cast<int>(part * kCells);
    sink.bar = absl::StrCat("[", std::string(full, '='), std::string(kCells - full, ' '), "] ", text);
    sink.WriteError(absl::StrCat(kClearLine, sink.bar));
  }
}

std::string HumanDuration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "unknown";
  if (seconds < 59.95) return absl::StrFormat("%.1f s", seconds);
  // Beyond what 64 bits count nobody waits.
  const int64_t whole = std::llround(std::min(seconds, 1e15));
  if (whole < 3600) return absl::StrFormat("%d min %02d s", whole / 60, whole % 60);
  const int64_t minutes = (whole + 30) / 60;
  return absl::StrFormat("%d h %02d min", minutes / 60, minutes % 60);
}

std::string HumanBytes(uint64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  // 1023.95 would be printed as 1024.0.
  for (; value >= 1023.95 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

std::string AlignedTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const std::vector<std::string>& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], Width(row[c]));
  }
  std::string text;
  for (const std::vector<std::string>& row : rows) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string padding(widths[c] - Width(row[c]), ' ');
      absl::StrAppend(&line, c > 0 ? "  " : "", IsNumber(row[c]) ? padding + row[c] : row[c] + padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&text, line, "\n");
  }
  return text;
}

}  // namespace manyform
