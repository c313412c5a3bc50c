/// \file
/// A run's state in one .safetensors file: weights, auxiliary heads, optimizer, random streams, counters.
///
/// Tensors: `model.<name>`, `aux_heads.<name>`, `optimizer.{exp_avg,exp_avg_sq,step}.<name>`, `rng.<stream>`.
/// Metadata `manyform`: CheckpointHeader as JSON. Optimizer state of a head is under `aux_heads.<name>`
/// there. `optimizer.exp_avg.model.x`.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/named_tensors.h"
#include "model/query_transformer.h"
#include "proto/train.pb.h"

namespace manyform {

/// The metadata key of the header.
inline constexpr char kCheckpointHeaderKey[] = "manyform";

struct Checkpoint {
  CheckpointHeader header;
  NamedTensors model, aux_heads, rng;
  NamedTensors exp_avg, exp_avg_sq, step;
};

absl::Status WriteCheckpoint(const std::string& path, const Checkpoint& checkpoint);
/// Foreign safetensors without our header are refused with a message that says what is missing.
/// \error as ReadSafeTensors; InvalidArgument if the header and the tensors disagree.
absl::StatusOr<Checkpoint> ReadCheckpoint(const std::string& path);

/// The sizes a header gives, and giving it them.
TransformerConfig ConfigOf(const CheckpointHeader& header);
void SetSizes(const TransformerConfig& sizes, CheckpointHeader* header);

/// What measuring needs of a checkpoint.
struct LoadedModel {
  QueryTransformer model;  ///< gradients off
  CheckpointHeader header;
  std::string hash;  ///< HashTensors of the model
};
absl::StatusOr<LoadedModel> LoadModel(const std::string& path, c10::Device device = c10::kCPU);

/// SHA-256 of the tensors' names, types, shapes and bytes, whatever their order.
std::string HashTensors(const NamedTensors& tensors);

/// Threads LibTorch uses, 0: all cores; returns how many.
int SetTensorThreads(int num_threads);
/// (B,T,15) and (B,T) tensors of a batch, types widened to i64. On the CPU the features are not copied; a GPU
/// copies from page-locked memory while the program goes on: leave it be until the GPU was waited for.
at::Tensor FeatureTensor(const float* feat, int64_t batch, int64_t length, c10::Device device = c10::kCPU);
at::Tensor TypeTensor(const uint8_t* type, int64_t batch, int64_t length, c10::Device device = c10::kCPU);

}  // namespace manyform
