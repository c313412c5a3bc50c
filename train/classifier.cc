#include "train/classifier.h"

#include <ATen/ATen.h>

#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/numpy_random.h"
#include "data/tokens.h"

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

absl::StatusOr<Pooling> ParsePooling(const std::string& name, bool qa_tokens) {
  const std::map<std::string, Pooling> names = {
      {"auto", qa_tokens ? Pooling::kMeanAnswers : Pooling::kEos},
      {"eos", Pooling::kEos},
      {"bos", Pooling::kBos},
      {"mean", Pooling::kMean},
      {"mean_no_special", Pooling::kMeanNoSpecial},
      {"mean_pts", Pooling::kMeanPoints},
      {"mean_a", Pooling::kMeanAnswers},
  };
  const auto found = names.find(name);
  if (found == names.end())
    return absl::InvalidArgumentError(absl::StrCat("cls_pooling: unknown pooling '", name, "'"));
  return found->second;
}

at::Tensor PooledTokens(const at::Tensor& type_id, Pooling pooling) {
  const auto only = [&](int64_t token) {
    at::Tensor mask = at::zeros_like(type_id, at::kBool);
    mask.select(1, token).fill_(true);
    return mask;
  };
  switch (pooling) {
    case Pooling::kEos:
      return only(type_id.size(1) - 1);
    case Pooling::kBos:
      return only(0);
    case Pooling::kMean:
      return at::ones_like(type_id, at::kBool);
    case Pooling::kMeanNoSpecial:
      return type_id.ne(kBos) & type_id.ne(kEos);
    case Pooling::kMeanPoints:
      return type_id.eq(kPoint) | type_id.eq(kQueryPoint) | type_id.eq(kAnswerPoint);
    case Pooling::kMeanAnswers: {
      const at::Tensor answers = type_id.eq(kAnswerPoint) | type_id.eq(kAnswerRay);
      return answers.any().item<bool>() ? answers : only(type_id.size(1) - 1);
    }
  }
  return {};
}

at::Tensor PooledHidden(const QueryTransformer& model, const at::Tensor& feat, const at::Tensor& type_id,
                        Pooling pooling, bool causal) {
  const at::Tensor mask = PooledTokens(type_id, pooling);
  const at::Tensor rows = mask.flatten().nonzero().squeeze(1);
  const Hidden hidden = model.Forward(feat, type_id, {.causal = causal, .need_z_hat = false, .rows = rows});
  const at::Tensor sum = at::zeros({type_id.size(0), hidden.h.size(1)}, hidden.h.options())
                             .index_add(0, at::floor_divide(rows, type_id.size(1)), hidden.h);
  return sum / mask.sum(1, /*keepdim=*/true).clamp_min(1);
}

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
