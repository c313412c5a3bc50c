/// \file
/// Which class was taken for which.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "google/protobuf/repeated_field.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "proto/train.pb.h"

namespace manyform {

class Confusion {
 public:
  explicit Confusion(int64_t classes) : classes_(classes), counts_(classes * classes) {}
  /// Counts these answers. \returns the share of right ones
  double Add(std::span<const int64_t> labels, std::span<const int64_t> predictions);
  /// Accuracy of each class, none for one that was not asked, and the counts, rows true classes.
  void Write(std::span<const std::string> class_names,
             google::protobuf::RepeatedPtrField<ClassAccuracy>* classes,
             google::protobuf::RepeatedField<int64_t>* confusion) const;

 private:
  int64_t classes_;
  std::vector<int64_t> counts_;  // row-major
};

}  // namespace manyform
