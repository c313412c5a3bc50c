/// \file
/// What a pickle holds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace manyform {

struct PickleValue {
  enum class Kind {
    kNone,
    kBool,
    kInt,
    kFloat,
    kString,
    kTuple,
    kList,
    kDict,
    kGlobal,
    kCall,
    kPersistentId
  };
  Kind kind = Kind::kNone;
  int64_t integer = 0;  ///< kInt; kBool: 0 or 1
  double number = 0;    ///< kFloat
  std::string text;     ///< kString; the name of a kGlobal or kCall: "torch._utils._rebuild_tensor_v2"
  /// Members of a container, a dict's keys (kString or kInt, no two alike) and values by turns; arguments of
  /// a kCall; the one value of a kPersistentId.
  std::vector<const PickleValue*> items;

  /// A dict's value; null if it has none, or this is no dict.
  const PickleValue* Find(std::string_view key) const;
};

/// Makes sure that a walk over `root` ends soon: it is nested at most 64 deep; values and letters that it
/// unfolds to are at most `most` (parts may be shared, even with what holds them); dicts have keys as they
/// should. \error InvalidArgument with `name`.
absl::Status CheckTree(const std::string& name, const PickleValue& root, uint64_t most);

/// A dict's key as text.
std::string KeyText(const PickleValue& key);

/// As one line of JSON: tuples as lists, numbers that JSON lacks as strings, names in place of what is no
/// data. Text that is not UTF-8 is mended.
std::string JsonText(const PickleValue& value);

}  // namespace manyform
