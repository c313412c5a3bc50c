#include "tools/demo/properties.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace manyform {
namespace {

constexpr absl::string_view kBlank = " \t\f";

bool IsBlank(char c) { return absl::StrContains(kBlank, c); }

absl::string_view WithoutLeadingBlanks(absl::string_view text) {
  return text.substr(std::min(text.find_first_not_of(kBlank), text.size()));
}

void AppendUtf8(uint32_t code, std::string* out) {
  if (code < 0x80) {
    out->push_back(static_cast<char>(code));
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr uint8_t kLead[] = {0, 0xC0, 0xE0, 0xF0};
  out->push_back(static_cast<char>(kLead[more] | code >> 6 * more));
  for (int i = more; i-- > 0;) out->push_back(static_cast<char>(0x80 | (code >> 6 * i & 0x3F)));
}

/// UTF-16 units in, UTF-8 out.
class Utf8Builder {
 public:
  void Add(uint32_t unit) {
    const bool low = unit >= 0xDC00 && unit < 0xE000;
    if (high_ != 0 && low) {
      AppendUtf8(0x10000 + ((high_ - 0xD800) << 10) + (unit - 0xDC00), &text_);
      high_ = 0;
      return;
    }
    Flush();
    if (unit >= 0xD800 && unit < 0xDC00) {
      high_ = unit;
    } else {
      AppendUtf8(low ? kReplacement : unit, &text_);
    }
  }
  std::string Finish() && {
    Flush();
    return std::move(text_);
  }

 private:
  static constexpr uint32_t kReplacement = 0xFFFD;
  void Flush() {
    if (high_ != 0) AppendUtf8(kReplacement, &text_);
    high_ = 0;
  }
  std::string text_;
  uint32_t high_ = 0;
};

absl::StatusOr<std::string> Unescape(absl::string_view text, int line) {
  Utf8Builder out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out.Add(static_cast<uint8_t>(text[i]));
      continue;
    }
    const char c = text[++i];
    if (c == 'u') {
      uint32_t unit = 0;
      for (int digit = 0; digit < 4; ++digit) {
        ++i;
        if (i >= text.size() || !absl::ascii_isxdigit(text[i])) {
          return absl::InvalidArgumentError(
              absl::StrFormat("line %d: \\u needs four hexadecimal digits", line));
        }
        unit = unit * 16 + (absl::ascii_isdigit(text[i]) ? text[i] - '0' : (text[i] | 0x20) - 'a' + 10);
      }
      out.Add(unit);
    } else {
      constexpr absl::string_view kNames = "tnrf", kControls = "\t\n\r\f";
      const size_t at = kNames.find(c);
      out.Add(static_cast<uint8_t>(at == absl::string_view::npos ? c : kControls[at]));
    }
  }
  return std::move(out).Finish();
}

/// The text up to the next \n, \r or \r\n, which are taken from `rest` as well.
absl::string_view TakeLine(absl::string_view* rest) {
  const size_t end = std::min(rest->find_first_of("\r\n"), rest->size());
  const absl::string_view line = rest->substr(0, end);
  rest->remove_prefix(end);
  if (!rest->empty()) rest->remove_prefix(absl::StartsWith(*rest, "\r\n") ? 2 : 1);
  return line;
}

bool EndsInOddBackslashes(absl::string_view line) {
  size_t n = 0;
  while (n < line.size() && line[line.size() - 1 - n] == '\\') ++n;
  return n % 2 == 1;
}

/// Where the key ends: at the first blank, '=' or ':' that no backslash precedes.
size_t KeyEnd(absl::string_view line) {
  size_t i = 0;
  while (i < line.size() && line[i] != '=' && line[i] != ':' && !IsBlank(line[i])) {
    i += line[i] == '\\' ? 2 : 1;
  }
  return std::min(i, line.size());
}

}  // namespace

absl::StatusOr<std::map<std::string, std::string>> ParseProperties(absl::string_view bytes) {
  std::map<std::string, std::string> properties;
  for (int number = 1; !bytes.empty(); ++number) {
    const int first = number;
    std::string line(WithoutLeadingBlanks(TakeLine(&bytes)));
    if (line.empty() || line[0] == '#' || line[0] == '!') continue;
    while (EndsInOddBackslashes(line)) {
      line.pop_back();
      if (bytes.empty()) break;
      ++number;
      const absl::string_view more = WithoutLeadingBlanks(TakeLine(&bytes));
      line.append(more.data(), more.size());
    }
    const size_t end = KeyEnd(line);
    absl::string_view value = WithoutLeadingBlanks(absl::string_view(line).substr(end));
    if (!value.empty() && (value[0] == '=' || value[0] == ':')) {
      value = WithoutLeadingBlanks(value.substr(1));
    }
    MF_ASSIGN_OR_RETURN(std::string key, Unescape(absl::string_view(line).substr(0, end), first));
    MF_ASSIGN_OR_RETURN(properties[std::move(key)], Unescape(value, first));
  }
  return properties;
}

}  // namespace manyform
