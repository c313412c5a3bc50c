#include "eval/confusion.h"

#include <numeric>

namespace manyform {

double Confusion::Add(std::span<const int64_t> labels, std::span<const int64_t> predictions) {
  int64_t right = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    ++counts_[labels[i] * classes_ + predictions[i]];
    right += labels[i] == predictions[i];
  }
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

void Confusion::Write(std::span<const std::string> class_names,
                      google::protobuf::RepeatedPtrField<ClassAccuracy>* classes,
                      google::protobuf::RepeatedField<int64_t>* confusion) const {
  for (int64_t c = 0; c < classes_; ++c) {
    const auto row = counts_.begin() + c * classes_;
    const int64_t asked = std::accumulate(row, row + classes_, int64_t{0});
    ClassAccuracy& accuracy = *classes->Add();
    accuracy.set_class_name(class_names[c]);
    accuracy.set_test_shapes(asked);
    if (asked > 0) accuracy.set_accuracy(static_cast<double>(row[c]) / static_cast<double>(asked));
  }
  confusion->Add(counts_.begin(), counts_.end());
}

}  // namespace manyform
