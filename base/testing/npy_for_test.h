/// \file
/// Golden arrays for tests below the room that reads .npz: .npy members of a ustar file.
#pragma once

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace manyform {

/// The values of member `name` of the archive `tar`. \pre `descr` ("<i8") is the member's type and T's.
/// Throws, which fails the test, when the member is missing or of another type.
template <class T>
std::vector<T> NpyFromTar(absl::string_view tar, absl::string_view name, absl::string_view descr) {
  constexpr size_t kBlock = 512;
  for (size_t at = 0; at + kBlock <= tar.size() && tar[at] != '\0';) {
    const size_t size = strtoull(std::string(tar.substr(at + 124, 12)).c_str(), nullptr, 8);
    if (absl::string_view(tar.data() + at) == name) {
      const absl::string_view npy = tar.substr(at + kBlock, size);
      uint16_t header = 0;
      memcpy(&header, npy.data() + 8, sizeof(header));
      if (npy.substr(10, header).find(absl::StrCat("'descr': '", descr, "'")) == absl::string_view::npos)
        break;
      const absl::string_view bytes = npy.substr(10 + header);
      std::vector<T> values(bytes.size() / sizeof(T));
      memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
      return values;
    }
    at += kBlock + (size + kBlock - 1) / kBlock * kBlock;
  }
  throw std::runtime_error(absl::StrCat("no array ", name, " of type ", descr));
}

}  // namespace manyform
