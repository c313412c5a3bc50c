/// \file
/// Numbers and lines of text formats for meshes, read in place.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace manyform {

/// Walks a text token by token. Lines end with \n, \r or both; a backslash before the end of a line joins it
/// with the next; '#' starts a comment where a token could.
class TextScanner {
 public:
  explicit TextScanner(std::string_view text) : p_(text.data()), end_(text.data() + text.size()) {}

  int64_t line() const { return line_; }
  int64_t bytes_left() const { return end_ - p_; }
  bool AtEnd() const { return p_ == end_; }

  /// Skips blanks, and says whether the line (or its meaningful part) ends here.
  bool AtLineEnd() {
    while (p_ != end_) {
      if (IsBlank(*p_)) {
        ++p_;
      } else if (!SkipJoin()) {
        return IsBreak(*p_) || *p_ == '#';
      }
    }
    return true;
  }
  /// To the start of the next line.
  void NextLine() {
    while (p_ != end_ && !IsBreak(*p_)) {
      if (!SkipJoin()) ++p_;
    }
    if (p_ != end_) SkipBreak();
  }
  /// The token here, up to a blank or the end of the line; empty at the end of a line.
  std::string_view Word() {
    if (AtLineEnd()) return {};
    const char* start = p_;
    while (p_ != end_ && !IsBlank(*p_) && !IsBreak(*p_)) ++p_;
    return {start, static_cast<size_t>(p_ - start)};
  }
  /// What is left of the line, without blanks around it.
  std::string_view RestOfLine() {
    AtLineEnd();
    const char* start = p_;
    while (p_ != end_ && !IsBreak(*p_)) ++p_;
    const char* last = p_;
    while (last != start && IsBlank(last[-1])) --last;
    return {start, static_cast<size_t>(last - start)};
  }
  /// As strtod rounds it; false, without moving on, where no number stands.
  bool Number(double* value) {
    if (AtLineEnd()) return false;
    const char* start = SkipPlus();
    const auto [rest, error] = std::from_chars(start, end_, *value);
    if (error == std::errc::invalid_argument || (rest != end_ && !EndsToken(*rest))) return false;
    // Too large or too small for from_chars, which then leaves `value`: infinity or zero.
    if (error == std::errc::result_out_of_range) *value = strtod(std::string(start, rest).c_str(), nullptr);
    p_ = rest;
    return true;
  }
  /// A decimal integer; what follows it is the caller's to look at.
  bool Integer(int32_t* value) {
    const char* start = SkipPlus();
    const auto [rest, error] = std::from_chars(start, end_, *value);
    if (error != std::errc()) return false;
    p_ = rest;
    return true;
  }
  bool Eat(char c) {
    if (p_ == end_ || *p_ != c) return false;
    ++p_;
    return true;
  }
  /// True if a token ends here.
  bool AtTokenEnd() const { return p_ == end_ || EndsToken(*p_); }

 private:
  static bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\v' || c == '\f'; }
  static bool IsBreak(char c) { return c == '\n' || c == '\r'; }
  static bool EndsToken(char c) { return IsBlank(c) || IsBreak(c) || c == '#' || c == '\\'; }
  const char* SkipPlus() const {
    // "+-1" is no number.
    return p_ != end_ && *p_ == '+' && p_ + 1 != end_ && p_[1] != '-' ? p_ + 1 : p_;
  }
  void SkipBreak() {
    if (*p_ == '\r' && p_ + 1 != end_ && p_[1] == '\n') ++p_;
    ++p_;
    ++line_;
  }
  // Past a backslash and the break it hides, if that is what is here.
  bool SkipJoin() {
    if (*p_ != '\\' || p_ + 1 == end_ || !IsBreak(p_[1])) return false;
    ++p_;
    SkipBreak();
    return true;
  }

  const char* p_;
  const char* end_;
  int64_t line_ = 1;
};

}  // namespace manyform
