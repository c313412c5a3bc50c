#include "model/classifier_head.h"

#include <ATen/ATen.h>

#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/numpy_random.h"

namespace manyform {
namespace {

constexpr char kWeight[] = "cls.weight";
constexpr char kBias[] = "cls.bias";

at::Tensor Uniform(at::IntArrayRef shape, double bound, NumpyRandomState& random) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  for (int64_t i = 0; i < tensor.numel(); ++i)
    tensor.data_ptr<float>()[i] = static_cast<float>(random.Uniform(-bound, bound));
  return tensor;
}

NamedTensors FreshLinear(int64_t d_model, int64_t classes, uint64_t seed) {
  NumpyRandomState random(Md5Prefix32(absl::StrCat("head ", seed)));
  const double bound = 1 / std::sqrt(static_cast<double>(d_model));
  NamedTensors parameters;
  parameters.emplace_back(kWeight, Uniform({classes, d_model}, bound, random));
  parameters.emplace_back(kBias, Uniform({classes}, bound, random));
  return parameters;
}

}  // namespace

ClassifierHead::ClassifierHead(int64_t d_model, int64_t classes, uint64_t seed)
    : ClassifierHead(FreshLinear(d_model, classes, seed)) {}

ClassifierHead::ClassifierHead(NamedTensors parameters) : parameters_(std::move(parameters)) {
  for (auto& [name, tensor] : parameters_) tensor.set_requires_grad(true);
}

absl::StatusOr<ClassifierHead> ClassifierHead::FromTensors(int64_t d_model, int64_t classes,
                                                           const NamedTensors& tensors) {
  std::map<std::string, at::Tensor> given(tensors.begin(), tensors.end());
  const auto fits = [&](const char* name, at::IntArrayRef shape) {
    return given.contains(name) && given[name].scalar_type() == at::kFloat && given[name].sizes() == shape;
  };
  if (given.size() != 2 || !fits(kWeight, {classes, d_model}) || !fits(kBias, {classes}))
    return absl::InvalidArgumentError(
        absl::StrCat("no classifier of ", classes, " classes on ", d_model, " features"));
  return ClassifierHead({{kWeight, given[kWeight].clone()}, {kBias, given[kBias].clone()}});
}

void ClassifierHead::To(c10::Device device) {
  for (auto& [name, tensor] : parameters_) tensor = tensor.detach().to(device).requires_grad_(true);
}

at::Tensor ClassifierHead::Logits(const at::Tensor& pooled) const {
  return at::linear(pooled, parameters_[0].second, parameters_[1].second);
}

}  // namespace manyform
