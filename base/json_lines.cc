#include "base/json_lines.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <string_view>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

using nlohmann::ordered_json;

ordered_json ToJson(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}
ordered_json ToJson(int64_t value) { return value; }
ordered_json ToJson(const std::string& value) { return value; }

// Bytes that are not UTF-8 are replaced: a path may hold them, JSON may not.
std::string Dump(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::string FormatLine(const JsonRow& row) {
  std::string line = "{";
  for (const auto& [key, value] : row) {
    const ordered_json json = std::visit([](const auto& v) { return ToJson(v); }, value);
    absl::StrAppend(&line, line.size() > 1 ? ", " : "", Dump(key), ": ", Dump(json));
  }
  return line + "}\n";
}

// Receives one flat object; anything else makes it return false, which ends the parse.
class RowReader : public nlohmann::json_sax<ordered_json> {
 public:
  bool null() override { return false; }
  bool boolean(bool) override { return false; }
  bool number_integer(int64_t value) override { return Add(value); }
  bool number_unsigned(uint64_t value) override {
    return value > INT64_MAX ? Add(static_cast<double>(value)) : Add(static_cast<int64_t>(value));
  }
  bool number_float(double value, const std::string&) override { return std::isfinite(value) && Add(value); }
  bool string(std::string& value) override { return Add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return !std::exchange(open_, true); }
  bool key(std::string& key) override {
    row_.emplace_back(std::move(key), int64_t{0});
    return true;
  }
  bool end_object() override { return true; }
  bool start_array(size_t) override { return false; }
  bool end_array() override { return false; }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

  JsonRow Take() { return std::move(row_); }

 private:
  bool Add(JsonValue value) {
    if (!open_) return false;
    row_.back().second = std::move(value);
    return true;
  }
  JsonRow row_;
  bool open_ = false;
};

absl::Status Failed(const std::string& path, absl::string_view what) {
  const std::string text = absl::StrCat(path, ": cannot ", what, ": ", strerror(errno));
  return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? absl::ResourceExhaustedError(text)
                                                              : absl::InternalError(text);
}

// The size up to and with the last newline.
absl::StatusOr<off_t> WholeLines(const std::string& path, int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return Failed(path, "stat");
  char block[4096];
  for (off_t end = info.st_size; end > 0;) {
    const off_t begin = std::max<off_t>(0, end - static_cast<off_t>(sizeof(block)));
    const ssize_t got = pread(fd, block, static_cast<size_t>(end - begin), begin);
    if (got != end - begin) return Failed(path, "read");
    const size_t newline = std::string_view(block, static_cast<size_t>(got)).rfind('\n');
    if (newline != std::string_view::npos) return begin + static_cast<off_t>(newline) + 1;
    end = begin;
  }
  return 0;
}

}  // namespace

absl::Status AppendJsonLine(const std::string& path, const JsonRow& row) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) return Failed(path, "open");
  const auto close_fd = absl::MakeCleanup([fd] { close(fd); });
  MF_ASSIGN_OR_RETURN(const off_t whole, WholeLines(path, fd));
  if (ftruncate(fd, whole) != 0) return Failed(path, "cut a torn line off");
  const std::string line = FormatLine(row);
  size_t done = 0;
  while (done < line.size()) {
    const ssize_t put = write(fd, line.data() + done, line.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      absl::Status status = Failed(path, absl::StrCat("append ", line.size(), " bytes"));
      // Should this fail too, the next reader and writer drop the torn line.
      (void)!ftruncate(fd, whole);
      return status;
    }
    done += static_cast<size_t>(put);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<JsonRow>> ReadJsonLines(const std::string& path) {
  MF_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return ParseJsonLines(text, path);
}

absl::StatusOr<std::vector<JsonRow>> ParseJsonLines(const std::string& text, const std::string& name) {
  std::vector<JsonRow> rows;
  size_t begin = 0;
  for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    RowReader reader;
    if (!ordered_json::sax_parse(text.data() + begin, text.data() + end, &reader)) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ":", rows.size() + 1, ": expected a flat JSON object of numbers and strings"));
    }
    rows.push_back(reader.Take());
    begin = end + 1;
  }
  return rows;
}

}  // namespace manyform
