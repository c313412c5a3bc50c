/// \file
/// What tensors a transformer consists of, and how they start.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "model/attention_masks.h"
#include "model/named_tensors.h"

namespace manyform {

enum class Architecture {
  kCausal,         ///< one stack of layers over the sequence
  kEncoderDecoder  ///< queries are encoded, answers decoded from them (split layout)
};
/// "causal" or "encdec". \error InvalidArgument with these.
absl::StatusOr<Architecture> ParseArchitecture(const std::string& name);
const char* ArchitectureName(Architecture architecture);

struct TransformerConfig {
  int64_t d_model = 384, layers = 8, heads = 6;
  int64_t n_types = 5;  ///< 5 legacy, 9 with query/answer tokens
  int64_t max_len = 0;
  Architecture arch = Architecture::kCausal;
  Topology topology;               ///< encdec: who sees whom among the queries
  bool encdec_src_causal = false;  ///< encdec: queries see earlier ones only
};

/// Names and shapes of a config's parameters, in the module's order.
/// \error InvalidArgument if heads does not divide d_model, or a size is not positive or beyond what the
/// options allow.
absl::StatusOr<std::vector<std::pair<std::string, std::vector<int64_t>>>> ParameterShapes(
    const TransformerConfig& config);

/// Fresh weights, as the published module initialises them in distribution; `seed` decides them, the same on
/// every machine. All layers of a stack start as copies of one. \error as ParameterShapes.
absl::StatusOr<NamedTensors> FreshParameters(const TransformerConfig& config, uint64_t seed);

/// Copies of `tensors` in the module's order. \error InvalidArgument naming the first tensor that is missing,
/// surplus, not f32 or of another shape.
absl::StatusOr<NamedTensors> CheckedParameters(const TransformerConfig& config, const NamedTensors& tensors);

}  // namespace manyform
