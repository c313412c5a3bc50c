/// \file
/// Reference models and arrays from testdata/golden/e_model.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>

#include "gtest/gtest.h"
#include "model/query_transformer.h"
#include "model/safetensors.h"

namespace manyform {

inline const std::string kGolden = "testdata/golden/e_model/";

using Arrays = std::map<std::string, at::Tensor>;

inline NamedTensors GoldenTensors(const std::string& name) {
  return ReadSafeTensors(kGolden + name + ".safetensors").value().tensors;
}

inline Arrays GoldenArrays(const std::string& name) {
  const NamedTensors tensors = GoldenTensors(name);
  return {tensors.begin(), tensors.end()};
}

inline TransformerConfig GoldenConfig(int64_t n_types) {
  return {.d_model = 48, .layers = 2, .heads = 6, .n_types = n_types, .max_len = 64};
}

/// causal5, causal9 or encdec9; `config` adds to their sizes.
inline QueryTransformer GoldenModel(const std::string& name, TransformerConfig config = {}) {
  const TransformerConfig sizes = GoldenConfig(name == "causal5" ? 5 : 9);
  config.d_model = sizes.d_model;
  config.layers = sizes.layers;
  config.heads = sizes.heads;
  config.n_types = sizes.n_types;
  config.max_len = sizes.max_len;
  if (name == "encdec9") config.arch = Architecture::kEncoderDecoder;
  return QueryTransformer::FromTensors(config, GoldenTensors("weights/" + name)).value();
}

/// Largest absolute difference.
inline double Distance(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return (a - b).abs().max().item<double>();
}

/// np.packbits of a C-order bool array.
inline at::Tensor UnpackBits(const at::Tensor& packed, c10::IntArrayRef shape) {
  at::Tensor bits = at::empty(shape, at::kBool);
  for (int64_t i = 0; i < bits.numel(); ++i)
    bits.data_ptr<bool>()[i] = (packed.const_data_ptr<uint8_t>()[i / 8] >> (7 - i % 8) & 1) != 0;
  return bits;
}

}  // namespace manyform
