#include "data/ply_check.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/string_views.h"
#include "data/text_scanner.h"

namespace manyform {
namespace {

struct Element {
  std::string name;
  int32_t count = 0;
  std::vector<bool> is_list;  // a property
};

}  // namespace

absl::Status CheckAsciiPly(std::string_view text, std::string_view path) {
  TextScanner scan(text);
  const auto error = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(ToAbsl(path), ":", scan.line(), ": ", what));
  };
  if (scan.Word() != "ply") return error("\"ply\" expected");
  std::vector<Element> elements;
  while (true) {
    scan.NextLine();
    if (scan.AtEnd()) return error("the header does not end");
    const std::string_view keyword = scan.Word();
    if (keyword == "end_header") break;
    if (keyword == "format" && scan.Word() != "ascii") return absl::OkStatus();
    if (keyword == "element") {
      Element& element = elements.emplace_back(Element{std::string(scan.Word())});
      if (scan.AtLineEnd() || !scan.Integer(&element.count) || element.count < 0) {
        return error("an element needs a name and a count");
      }
    }
    if (keyword == "property") {
      if (elements.empty()) return error("a property without element");
      elements.back().is_list.push_back(scan.Word() == "list");
    }
  }
  for (const Element& element : elements) {
    for (int32_t i = 0; i < element.count; ++i) {
      do {
        if (scan.AtEnd()) {
          return error(absl::StrCat("the file ends after ", i, " of ", element.count, " elements \"",
                                    element.name, "\""));
        }
        scan.NextLine();
      } while (scan.AtLineEnd());
      for (const bool is_list : element.is_list) {
        double values = 1;
        if (is_list && !scan.Number(&values)) return error("a list needs its length");
        for (double k = 0; k < values; ++k) {
          if (scan.Word().empty()) return error("values are missing");
        }
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace manyform
