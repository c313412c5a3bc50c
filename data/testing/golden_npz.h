/// \file
/// Golden arrays and parameters, as the tests of data read them.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "data/npz.h"
#include "nlohmann/json.hpp"

namespace manyform {

/// The value, or an exception, which fails the test.
template <class T>
T OrThrow(absl::StatusOr<T> value) {
  if (!value.ok()) throw std::runtime_error(value.status().ToString());
  return *std::move(value);
}

/// Arrays of one .npz below testdata/golden.
class GoldenNpz {
 public:
  explicit GoldenNpz(const std::string& name)
      : npz_(OrThrow(NpzReader::Open(absl::StrCat("testdata/golden/", name)))) {}
  template <class T>
  std::vector<T> Get(const std::string& name) const {
    return OrThrow(OrThrow(npz_.Read(name)).Values<T>());
  }
  const NpzReader& npz() const { return npz_; }

 private:
  NpzReader npz_;
};

inline nlohmann::json GoldenJson(const std::string& name) {
  return nlohmann::json::parse(OrThrow(ReadFile(absl::StrCat("testdata/golden/", name))));
}

}  // namespace manyform
