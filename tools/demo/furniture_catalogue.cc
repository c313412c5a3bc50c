#include "tools/demo/furniture_catalogue.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace manyform {
namespace {

std::string Tidy(std::string text) {
  absl::RemoveExtraAsciiWhitespace(&text);
  return text;
}

}  // namespace

std::vector<FurnitureEntry> FurnitureEntries(const std::map<std::string, std::string>& properties) {
  const auto value = [&](const std::string& key) {
    const auto found = properties.find(key);
    return found == properties.end() ? std::string() : Tidy(found->second);
  };
  std::vector<FurnitureEntry> entries;
  for (const auto& [key, model] : properties) {
    absl::string_view number = key;
    FurnitureEntry entry;
    if (!absl::ConsumePrefix(&number, "model#") || !absl::SimpleAtoi(number, &entry.number) ||
        entry.number < 1) {
      continue;
    }
    const auto own = [&](absl::string_view name) { return value(absl::StrCat(name, "#", number)); };
    entry.name = own("name");
    entry.category = own("category");
    for (const absl::string_view tag : absl::StrSplit(own("tags"), ',', absl::SkipWhitespace())) {
      entry.tags.emplace_back(absl::StripAsciiWhitespace(tag));
    }
    entry.author = own("creator");
    entry.licence = own("license");
    if (entry.licence.empty()) entry.licence = value("license");
    entry.model = std::string(absl::StripAsciiWhitespace(model));
    entry.rotation = own("modelRotation");
    entries.push_back(std::move(entry));
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const FurnitureEntry& a, const FurnitureEntry& b) { return a.number < b.number; });
  return entries;
}

std::string Slug(absl::string_view text) {
  std::string slug;
  for (const char c : text) {
    if (absl::ascii_isalnum(c)) {
      slug.push_back(absl::ascii_tolower(c));
    } else if (!slug.empty() && slug.back() != '_') {
      slug.push_back('_');
    }
  }
  if (absl::EndsWith(slug, "_")) slug.pop_back();
  return slug;
}

}  // namespace manyform
