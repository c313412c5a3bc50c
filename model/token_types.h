/// \file
/// The token types that a network looks at, numbered as in the tokens it is fed.
#pragma once

#include <cstdint>

namespace manyform {

struct TokenTypes {
  static constexpr int64_t kBos = 0, kPoint = 1, kRay = 2, kMissingRay = 3, kEos = 4, kQueryPoint = 5,
                           kAnswerPoint = 6, kQueryRay = 7, kAnswerRay = 8;
  static constexpr bool IsQuery(int64_t type) {
    return type == kPoint || type == kRay || type == kQueryPoint || type == kQueryRay;
  }
  static constexpr bool IsAnswer(int64_t type) { return type == kAnswerPoint || type == kAnswerRay; }
};

}  // namespace manyform
