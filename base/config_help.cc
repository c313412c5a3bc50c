#include "base/config_help.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/config.h"
#include "proto/options.pb.h"

namespace manyform {
namespace {

using google::protobuf::FieldDescriptor;

constexpr size_t kColumns = 100;
constexpr size_t kWidestName = 30;

using Row = std::pair<std::string, std::string>;

std::string DefaultText(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(field.default_value_int32());
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat(field.default_value_int64());
    case FieldDescriptor::CPPTYPE_UINT32:
      return absl::StrCat(field.default_value_uint32());
    case FieldDescriptor::CPPTYPE_UINT64:
      return absl::StrCat(field.default_value_uint64());
    case FieldDescriptor::CPPTYPE_FLOAT:
      return absl::StrCat(field.default_value_float());
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return FormatNumber(field.default_value_double());
    case FieldDescriptor::CPPTYPE_BOOL:
      return field.default_value_bool() ? "true" : "false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return field.default_value_enum()->name();
    default:
      return field.default_value_string().empty() ? "\"\"" : field.default_value_string();
  }
}

// "an integer >= 1, default 256: points a sequence"
std::string Describe(const FieldDescriptor& field) {
  std::string text = field.is_repeated() ? "list; each " : "";
  absl::StrAppend(&text, ExpectedValue(field));
  if (field.options().GetExtension(required)) absl::StrAppend(&text, ", required");
  if (field.has_default_value()) absl::StrAppend(&text, ", default ", DefaultText(field));
  if (field.options().HasExtension(help)) absl::StrAppend(&text, ": ", field.options().GetExtension(help));
  return text;
}

// `left` padded to `indent`, then `text` wrapped to the right of it.
std::string Wrap(const std::string& left, const std::string& text, size_t indent) {
  std::string lines, line = left;
  if (!line.empty() && line.size() + 2 > indent) {
    lines = line + "\n";
    line.clear();
  }
  line.resize(indent, ' ');
  bool empty = true;
  for (const absl::string_view word : absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
    if (!empty && line.size() + 1 + word.size() > kColumns) {
      absl::StrAppend(&lines, line, "\n");
      line.assign(indent, ' ');
      empty = true;
    }
    absl::StrAppend(&line, empty ? "" : " ", word);
    empty = false;
  }
  return absl::StrCat(lines, absl::StripTrailingAsciiWhitespace(line), "\n");
}

std::string Table(const std::vector<Row>& rows) {
  size_t widest = 0;
  for (const Row& row : rows) widest = std::max(widest, std::min(row.first.size(), kWidestName));
  std::string text;
  for (const Row& row : rows) absl::StrAppend(&text, Wrap("  " + row.first, row.second, widest + 4));
  return text;
}

}  // namespace

std::string HelpText(const std::string& program, const std::string& about,
                     const google::protobuf::Descriptor& config) {
  std::vector<std::string> paragraphs;
  for (const absl::string_view paragraph : absl::StrSplit(about, "\n\n")) {
    paragraphs.push_back(Wrap("", std::string(paragraph), 0));
  }
  std::vector<Row> fields;
  for (const ConfigField& field : ListConfigFields(config)) {
    fields.emplace_back(field.path, Describe(*field.field));
  }
  return absl::StrCat(
      absl::StrJoin(paragraphs, "\n"), "\nUsage: ", program,
      " [--config FILE.textproto]... [--log FILE] [field=value]...\n", "\nOptions:\n",
      Table({{"--config FILE", absl::StrCat("config as textproto (", config.full_name(),
                                            "); repeatable, later files win; field=value wins over files")},
             {"--log FILE", "append what is said on stderr to FILE"},
             {"--help", "print this"}}),
      "\nFields (a list takes commas, empty clears it; x[].y only in a --config file):\n", Table(fields),
      "\nExit codes:\n",
      Table({{"0", "done"},
             {"1", "failed while running"},
             {"2", "bad config: unknown or missing field, wrong type, out of range"},
             {"3", "done, and the result has findings"}}));
}

}  // namespace manyform
