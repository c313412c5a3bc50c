/// \file
/// The golden evaluation set for tests: its folder, JSON, arrays and checkpoints.
#pragma once

#include <unistd.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "data/npz.h"
#include "model/checkpoint.h"
#include "model/safetensors.h"
#include "nlohmann/json.hpp"

namespace manyform {

/// The value, or a failed test with the status.
template <class T>
T ValueOrDie(absl::StatusOr<T> value) {
  if (!value.ok()) throw std::runtime_error(value.status().ToString());
  return *std::move(value);
}

/// Seeds hash the cache's root as typed, which was "c40" in the folder of the golden set. Once a process.
inline void EnterGoldenFolder() {
  static const bool entered = chdir("testdata/golden/f_eval") == 0;
  if (!entered) throw std::runtime_error("no testdata/golden/f_eval");
}

inline nlohmann::json GoldenJson(const std::string& path) {
  return nlohmann::json::parse(ValueOrDie(ReadFile(path)));
}

template <class T>
std::vector<T> GoldenArray(const NpzReader& npz, const std::string& name) {
  return ValueOrDie(ValueOrDie(npz.Read(name)).Values<T>());
}

/// ckpt/<name>.safetensors, with a header made of the arguments it was trained with.
inline LoadedModel GoldenModel(const std::string& name) {
  const SafeTensors file = ValueOrDie(ReadSafeTensors(absl::StrCat("ckpt/", name, ".safetensors")));
  const nlohmann::json args = GoldenJson(absl::StrCat("ckpt/", name, ".args.json"));
  TransformerConfig config = {.d_model = args["d_model"], .layers = args["layers"], .heads = args["heads"]};
  config.arch = ValueOrDie(ParseArchitecture(args["arch"]));
  if (config.arch == Architecture::kEncoderDecoder) {
    config.topology = {.k = args["topo_k"], .ray_place = ValueOrDie(ParseRayPlace(args["topo_ray_coord"]))};
    config.topology.ray_box = args["topo_ray_bbox"];
  }
  for (const auto& [tensor, value] : file.tensors) {
    if (tensor == "type_emb.weight") config.n_types = value.size(0);
    if (tensor == "pos_emb") config.max_len = value.size(1);
  }
  LoadedModel model = {ValueOrDie(QueryTransformer::FromTensors(config, file.tensors)), {}, name};
  model.model.SetRequiresGrad(false);
  model.header.set_n_point(args["n_point"]);
  model.header.set_n_ray(args["n_ray"]);
  model.header.set_qa_tokens(args["qa_tokens"] == 1);
  model.header.set_qa_layout(args["qa_layout"]);
  model.header.set_add_eos(args["add_eos"] == 1);
  return model;
}

/// GoldenModel as a checkpoint file of ours in a folder of that name: its path.
inline std::string WriteGoldenCheckpoint(const std::string& name, const std::string& folder) {
  const LoadedModel model = GoldenModel(name);
  Checkpoint checkpoint = {.header = model.header, .model = model.model.parameters()};
  checkpoint.header.set_stage("pretrain");
  SetSizes(model.model.config(), &checkpoint.header);
  const std::string path = absl::StrCat(folder, "/", name, "/last.safetensors");
  const absl::Status status = WriteCheckpoint(path, checkpoint);
  if (!status.ok()) throw std::runtime_error(status.ToString());
  return path;
}

/// Applies a published command line ("--n_context", "24") to a config with the same names.
template <class Config>
void ApplyPublishedArguments(const nlohmann::json& args, Config* config) {
  const auto* reflection = config->GetReflection();
  for (size_t i = 0; i < args.size(); ++i) {
    std::string name = args[i].template get<std::string>().substr(2);
    const auto* field = config->GetDescriptor()->FindFieldByName(name);
    if (field == nullptr) throw std::runtime_error("no field " + name);
    const bool has_value = i + 1 < args.size() && args[i + 1].template get<std::string>().rfind("--", 0) != 0;
    const std::string value = has_value ? args[++i].template get<std::string>() : "1";
    using Field = google::protobuf::FieldDescriptor;
    switch (field->cpp_type()) {
      case Field::CPPTYPE_INT32:
        reflection->SetInt32(config, field, std::stoi(value));
        break;
      case Field::CPPTYPE_INT64:
        reflection->SetInt64(config, field, std::stoll(value));
        break;
      case Field::CPPTYPE_DOUBLE:
        reflection->SetDouble(config, field, std::stod(value));
        break;
      case Field::CPPTYPE_BOOL:
        reflection->SetBool(config, field, value == "1");
        break;
      default:
        reflection->SetString(config, field, value);
    }
  }
}

}  // namespace manyform
