/// \file
/// The list of models in a furniture library: numbered keys ("name#12") of its .properties file.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace manyform {

struct FurnitureEntry {
  int64_t number = 0;
  std::string name, category;
  std::vector<std::string> tags;
  std::string author;
  /// The entry's own, or else the library's.
  std::string licence;
  /// As written: a path with a leading '/', or anything else somebody put there.
  std::string model;
  /// As written: nine numbers, or empty.
  std::string rotation;
};

/// One entry for each "model#N" with N > 0, by ascending N. Texts are trimmed and runs of blanks in them are
/// one; absent keys are empty.
std::vector<FurnitureEntry> FurnitureEntries(const std::map<std::string, std::string>& properties);

/// Lower-case letters and digits, everything between them one '_': "Doors and windows" ->
/// "doors_and_windows". Empty if there is neither.
std::string Slug(absl::string_view text);

}  // namespace manyform
