#include "model/checkpoint.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "google/protobuf/util/json_util.h"
#include "model/safetensors.h"

namespace manyform {
namespace {

constexpr int64_t kFeat = 15;

struct Group {
  const char* prefix;
  NamedTensors Checkpoint::*tensors;
};
constexpr Group kGroups[] = {
    {"model.", &Checkpoint::model},
    {"aux_heads.", &Checkpoint::aux_heads},
    {"optimizer.exp_avg.", &Checkpoint::exp_avg},
    {"optimizer.exp_avg_sq.", &Checkpoint::exp_avg_sq},
    {"optimizer.step.", &Checkpoint::step},
    {"rng.", &Checkpoint::rng},
};

absl::StatusOr<CheckpointHeader> ParseHeader(const std::string& path, const SafeTensors& file) {
  const auto found = file.metadata.find(kCheckpointHeaderKey);
  if (found == file.metadata.end())
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": no checkpoint of ours: its __metadata__ has no '", kCheckpointHeaderKey,
                     "'; //model:import_checkpoint makes one of a published state_dict"));
  CheckpointHeader header;
  const auto parsed = google::protobuf::util::JsonStringToMessage(found->second, &header);
  if (!parsed.ok())
    return absl::InvalidArgumentError(absl::StrCat(path, ": __metadata__ '", kCheckpointHeaderKey,
                                                   "' is no checkpoint header: ", parsed.ToString()));
  if (header.has_arch() && !ParseArchitecture(header.arch()).ok())
    return absl::InvalidArgumentError(absl::StrCat(path, ": unknown architecture '", header.arch(), "'"));
  return header;
}

// Moves the weights into the module's order and checks that they are what the header says.
absl::Status CheckWeights(const std::string& path, Checkpoint* checkpoint) {
  const absl::StatusOr<QueryTransformer> model =
      QueryTransformer::FromTensors(ConfigOf(checkpoint->header), checkpoint->model);
  if (!model.ok())
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", std::string(model.status().message())));
  checkpoint->model.clear();
  for (const auto& [name, tensor] : model->parameters())
    checkpoint->model.emplace_back(name, tensor.detach());
  return absl::OkStatus();
}

}  // namespace

TransformerConfig ConfigOf(const CheckpointHeader& header) {
  TransformerConfig config = {.d_model = header.d_model(),
                              .layers = header.layers(),
                              .heads = header.heads(),
                              .n_types = header.n_types(),
                              .max_len = header.max_len()};
  if (header.arch() != ArchitectureName(Architecture::kEncoderDecoder)) return config;
  config.arch = Architecture::kEncoderDecoder;
  config.topology.k = header.topo_k();
  config.topology.ray_place = ParseRayPlace(header.topo_ray_coord()).value_or(RayPlace::kOrigin);
  config.topology.ray_box = header.topo_ray_bbox();
  config.encdec_src_causal = header.encdec_src_causal();
  return config;
}

void SetSizes(const TransformerConfig& sizes, CheckpointHeader* header) {
  header->set_d_model(static_cast<int32_t>(sizes.d_model));
  header->set_layers(static_cast<int32_t>(sizes.layers));
  header->set_heads(static_cast<int32_t>(sizes.heads));
  header->set_n_types(static_cast<int32_t>(sizes.n_types));
  header->set_max_len(static_cast<int32_t>(sizes.max_len));
  header->set_arch(ArchitectureName(sizes.arch));
  if (sizes.arch == Architecture::kCausal) return;
  header->set_topo_k(static_cast<int32_t>(sizes.topology.k));
  header->set_topo_ray_coord(RayPlaceName(sizes.topology.ray_place));
  header->set_topo_ray_bbox(sizes.topology.ray_box);
  header->set_encdec_src_causal(sizes.encdec_src_causal);
}

absl::Status WriteCheckpoint(const std::string& path, const Checkpoint& checkpoint) {
  SafeTensors file;
  for (const Group& group : kGroups)
    for (const auto& [name, tensor] : checkpoint.*group.tensors)
      file.tensors.emplace_back(absl::StrCat(group.prefix, name), tensor);
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string header;
  const auto printed = google::protobuf::util::MessageToJsonString(checkpoint.header, &header, options);
  if (!printed.ok()) return absl::InternalError(absl::StrCat(path, ": header: ", printed.ToString()));
  file.metadata[kCheckpointHeaderKey] = header;
  return WriteSafeTensors(path, file);
}

absl::StatusOr<Checkpoint> ReadCheckpoint(const std::string& path) {
  MF_ASSIGN_OR_RETURN(SafeTensors file, ReadSafeTensors(path));
  Checkpoint checkpoint;
  MF_ASSIGN_OR_RETURN(checkpoint.header, ParseHeader(path, file));
  for (auto& [name, tensor] : file.tensors) {
    const Group* group = std::find_if(std::begin(kGroups), std::end(kGroups), [&name = name](const Group& g) {
      return absl::StartsWith(name, g.prefix);
    });
    if (group == std::end(kGroups))
      return absl::InvalidArgumentError(absl::StrCat(path, ": tensor '", name, "' belongs to no group"));
    (checkpoint.*group->tensors)
        .emplace_back(name.substr(std::string(group->prefix).size()), std::move(tensor));
  }
  MF_RETURN_IF_ERROR(CheckWeights(path, &checkpoint));
  return checkpoint;
}

absl::StatusOr<LoadedModel> LoadModel(const std::string& path, c10::Device device) {
  MF_ASSIGN_OR_RETURN(Checkpoint checkpoint, ReadCheckpoint(path));
  TransformerConfig config = ConfigOf(checkpoint.header);
  // Published measures never encode queries causally, whatever a model was trained with.
  config.encdec_src_causal = false;
  MF_ASSIGN_OR_RETURN(QueryTransformer model, QueryTransformer::FromTensors(config, checkpoint.model));
  model.SetRequiresGrad(false);
  model.To(device);
  std::string hash = HashTensors(checkpoint.model);
  return LoadedModel{std::move(model), std::move(checkpoint.header), std::move(hash)};
}

std::string HashTensors(const NamedTensors& tensors) {
  std::vector<std::string> lines;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor bytes = tensor.detach().cpu().contiguous();
    const std::string_view view(static_cast<const char*>(bytes.const_data_ptr()), bytes.nbytes());
    lines.push_back(absl::StrCat(name, " ", c10::toString(bytes.scalar_type()), " [",
                                 absl::StrJoin(bytes.sizes(), ","), "] ", Sha256Hex(view), "\n"));
  }
  std::sort(lines.begin(), lines.end());
  return Sha256Hex(absl::StrJoin(lines, ""));
}

int SetTensorThreads(int num_threads) {
  const int threads = ResolveThreads(num_threads);
  at::set_num_threads(threads);
  return threads;
}

at::Tensor FeatureTensor(const float* feat, int64_t batch, int64_t length, c10::Device device) {
  return at::from_blob(const_cast<float*>(feat), {batch, length, kFeat}, at::kFloat)
      .to(device, /*non_blocking=*/true);
}

at::Tensor TypeTensor(const uint8_t* type, int64_t batch, int64_t length, c10::Device device) {
  return at::from_blob(const_cast<uint8_t*>(type), {batch, length}, at::kByte)
      .to(device, /*non_blocking=*/true)
      .to(at::kLong);
}

}  // namespace manyform
