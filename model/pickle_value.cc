#include "model/pickle_value.h"

#include <cmath>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

using Kind = PickleValue::Kind;
using Json = nlohmann::json;

constexpr int kMaxDepth = 64;

class TreeChecker {
 public:
  TreeChecker(const std::string& name, uint64_t most) : name_(name), left_(most) {}

  absl::Status Check(const PickleValue& value, int depth) {
    if (depth > kMaxDepth) return Error(absl::StrCat("is nested deeper than ", kMaxDepth, ", or in itself"));
    if (left_ <= value.text.size()) return Error("unfolds to far more than it holds");
    left_ -= 1 + value.text.size();
    if (value.kind == Kind::kDict) MF_RETURN_IF_ERROR(CheckKeys(value));
    for (const PickleValue* item : value.items) MF_RETURN_IF_ERROR(Check(*item, depth + 1));
    return absl::OkStatus();
  }

 private:
  absl::Status Error(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(name_, ": pickle: ", what));
  }
  absl::Status CheckKeys(const PickleValue& dict) const {
    absl::flat_hash_set<std::string_view> names;
    absl::flat_hash_set<int64_t> numbers;
    for (size_t i = 0; i < dict.items.size(); i += 2) {
      const PickleValue& key = *dict.items[i];
      if (key.kind != Kind::kString && key.kind != Kind::kInt)
        return Error("a dict's key is neither a string nor an integer");
      if (!(key.kind == Kind::kString ? names.insert(key.text).second : numbers.insert(key.integer).second))
        return Error(absl::StrCat("a dict has the key '", KeyText(key), "' twice"));
    }
    return absl::OkStatus();
  }

  const std::string& name_;
  uint64_t left_;
};

Json ToJson(const PickleValue& value) {
  switch (value.kind) {
    case Kind::kNone:
      return nullptr;
    case Kind::kBool:
      return value.integer != 0;
    case Kind::kInt:
      return value.integer;
    case Kind::kFloat:
      return std::isfinite(value.number) ? Json(value.number) : Json(absl::StrCat(value.number));
    case Kind::kDict: {
      Json object = Json::object();
      for (size_t i = 0; i < value.items.size(); i += 2)
        object[KeyText(*value.items[i])] = ToJson(*value.items[i + 1]);
      return object;
    }
    case Kind::kTuple:
    case Kind::kList: {
      Json list = Json::array();
      for (const PickleValue* item : value.items) list.push_back(ToJson(*item));
      return list;
    }
    default:
      return value.text;
  }
}

}  // namespace

const PickleValue* PickleValue::Find(std::string_view key) const {
  if (kind != Kind::kDict) return nullptr;
  for (size_t i = 0; i < items.size(); i += 2)
    if (items[i]->kind == Kind::kString && items[i]->text == key) return items[i + 1];
  return nullptr;
}

std::string KeyText(const PickleValue& key) {
  return key.kind == Kind::kString ? key.text : absl::StrCat(key.integer);
}

absl::Status CheckTree(const std::string& name, const PickleValue& root, uint64_t most) {
  return TreeChecker(name, most).Check(root, 0);
}

std::string JsonText(const PickleValue& value) {
  return ToJson(value).dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace manyform
