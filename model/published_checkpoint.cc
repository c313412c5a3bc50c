#include "model/published_checkpoint.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "model/published_args.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

using Kind = PickleValue::Kind;

constexpr char kHeadPrefix[] = "aux_heads.";

absl::Status Bad(const std::string& name, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(name, ": ", what));
}

std::string ShapeText(const at::Tensor& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.sizes(), ","), "]");
}

bool HoldsTensors(const PickleValue& value) {
  return value.kind == Kind::kCall ||
         std::any_of(value.items.begin(), value.items.end(),
                     [](const PickleValue* item) { return HoldsTensors(*item); });
}

// Floating-point tensors as f32; others stay, for whoever checks them.
at::Tensor AsFloat(const at::Tensor& tensor) {
  return at::isFloatingType(tensor.scalar_type()) ? tensor.to(at::kFloat).contiguous() : tensor;
}

// Counters, the model's weights in the module's order, and all else that a header decides.
absl::Status Complete(const std::string& name, const std::string& args, int64_t epoch, int64_t step,
                      Checkpoint* checkpoint, std::vector<std::string>* remarks) {
  bool converted = false;
  for (NamedTensors* group : {&checkpoint->model, &checkpoint->aux_heads})
    for (auto& [tensor_name, tensor] : *group) {
      converted |= at::isFloatingType(tensor.scalar_type()) && tensor.scalar_type() != at::kFloat;
      tensor = AsFloat(tensor);
    }
  if (converted) remarks->push_back("weights that are not f32 were converted to it");
  if (epoch < 0 || step < 0) return Bad(name, "epoch or step is negative");
  MF_ASSIGN_OR_RETURN(checkpoint->header, HeaderOfArgs(name, args, checkpoint->model, remarks));
  checkpoint->header.set_epoch(epoch);
  checkpoint->header.set_step(step);
  absl::StatusOr<NamedTensors> weights = CheckedParameters(ConfigOf(checkpoint->header), checkpoint->model);
  if (!weights.ok()) return Bad(name, std::string(weights.status().message()));
  checkpoint->model = *std::move(weights);
  return absl::OkStatus();
}

class TorchImporter {
 public:
  TorchImporter(const std::string& name, const TorchFile& file, std::vector<std::string>* remarks)
      : name_(name), file_(file), remarks_(*remarks) {}

  absl::StatusOr<Checkpoint> Import(const PublishedOptions& options);

 private:
  const PickleValue* Find(std::initializer_list<std::string_view> keys) const {
    for (const std::string_view key : keys)
      if (const PickleValue* found = file_.root().Find(key); found != nullptr && found->kind != Kind::kNone)
        return found;
    return nullptr;
  }
  absl::Status Refuse(absl::string_view what) const { return Bad(name_, what); }
  absl::StatusOr<int64_t> Counter(std::string_view key) const;
  absl::Status AddTensors(const std::string& prefix, const PickleValue& value, NamedTensors* tensors) const;
  absl::Status AddOptimizer(const PickleValue& optimizer, const NamedTensors& parameters);
  absl::StatusOr<std::map<int64_t, size_t>> ParameterOrder(const PickleValue& optimizer, size_t count) const;
  absl::Status AddMoments(const PickleValue& state, const std::string& parameter, const at::Tensor& weight);
  std::string Rest();

  const std::string& name_;
  const TorchFile& file_;
  std::vector<std::string>& remarks_;
  Checkpoint checkpoint_;
};

absl::StatusOr<Checkpoint> TorchImporter::Import(const PublishedOptions& options) {
  const PickleValue* model = Find({"model"});
  const PickleValue* args = Find({"args"});
  if (args != nullptr && !options.args.empty()) return Refuse("holds its own args; give no others");
  MF_RETURN_IF_ERROR(AddTensors("", model != nullptr ? *model : file_.root(), &checkpoint_.model));
  if (const PickleValue* heads = Find({"aux_heads"}))
    MF_RETURN_IF_ERROR(AddTensors("", *heads, &checkpoint_.aux_heads));
  NamedTensors parameters = checkpoint_.model;
  for (const auto& [head, tensor] : checkpoint_.aux_heads)
    parameters.emplace_back(kHeadPrefix + head, tensor);

  // There, the index of the last epoch that was finished.
  MF_ASSIGN_OR_RETURN(const int64_t epoch, Counter("epoch"));
  MF_ASSIGN_OR_RETURN(const int64_t step, Counter("step"));
  const std::string text = args != nullptr ? JsonText(*args) : options.args;
  if (text.empty()) return Refuse("holds no args; give them as JSON (args=FILE.json)");
  MF_RETURN_IF_ERROR(Complete(name_, text, epoch + 1, std::max<int64_t>(step, 0), &checkpoint_, &remarks_));

  const PickleValue* optimizer = Find({"opt", "optimizer"});
  if (optimizer != nullptr && !options.optimizer) remarks_.push_back("the optimizer's state is left out");
  if (optimizer != nullptr && options.optimizer) MF_RETURN_IF_ERROR(AddOptimizer(*optimizer, parameters));
  if (model != nullptr) checkpoint_.header.set_published_rest(Rest());
  return std::move(checkpoint_);
}

// -1 without one.
absl::StatusOr<int64_t> TorchImporter::Counter(std::string_view key) const {
  const PickleValue* value = Find({key});
  if (value == nullptr) return -1;
  if (value->kind != Kind::kInt || value->integer < 0 || value->integer == INT64_MAX)
    return Refuse(absl::StrCat(std::string(key), " is no counter"));
  return value->integer;
}

// Dicts within dicts are named through dots.
absl::Status TorchImporter::AddTensors(const std::string& prefix, const PickleValue& value,
                                       NamedTensors* tensors) const {
  if (value.kind != Kind::kDict)
    return Refuse(absl::StrCat("no state_dict: '", prefix, "' is neither a tensor nor a dict of them"));
  for (size_t i = 0; i < value.items.size(); i += 2) {
    const PickleValue& key = *value.items[i];
    const PickleValue& item = *value.items[i + 1];
    if (key.kind != Kind::kString) return Refuse(absl::StrCat("no state_dict: '", prefix, "' has numbers"));
    const std::string full = absl::StrCat(prefix, prefix.empty() ? "" : ".", key.text);
    if (const at::Tensor* tensor = file_.TensorOf(item)) {
      tensors->emplace_back(full, *tensor);
    } else {
      MF_RETURN_IF_ERROR(AddTensors(full, item, tensors));
    }
  }
  return absl::OkStatus();
}

// Which parameter (of `count`) an index of the optimizer's state is: groups list them in order.
absl::StatusOr<std::map<int64_t, size_t>> TorchImporter::ParameterOrder(const PickleValue& optimizer,
                                                                        size_t count) const {
  std::map<int64_t, size_t> order;
  size_t listed = 0;
  const PickleValue* groups = optimizer.Find("param_groups");
  if (groups == nullptr) return Refuse("its optimizer has no param_groups");
  for (const PickleValue* group : groups->items) {
    const PickleValue* indices = group->Find("params");
    if (indices == nullptr) return Refuse("a group of its optimizer has no params");
    for (const PickleValue* index : indices->items)
      if (index->kind == Kind::kInt) order.emplace(index->integer, listed++);
  }
  if (order.size() != count || listed != count)
    return Refuse(absl::StrCat("its optimizer has ", listed, " parameters, model and heads have ", count,
                               "; optimizer=false leaves its state out"));
  return order;
}

absl::Status TorchImporter::AddOptimizer(const PickleValue& optimizer, const NamedTensors& parameters) {
  const PickleValue* states = optimizer.Find("state");
  if (states == nullptr || states->kind != Kind::kDict) return Refuse("its optimizer has no state");
  std::map<int64_t, size_t> order;
  MF_ASSIGN_OR_RETURN(order, ParameterOrder(optimizer, parameters.size()));
  for (size_t i = 0; i < states->items.size(); i += 2) {
    const PickleValue& index = *states->items[i];
    const auto found = order.find(index.integer);
    if (index.kind != Kind::kInt || found == order.end())
      return Refuse(absl::StrCat("its optimizer has state ", JsonText(index), " of no parameter"));
    const auto& [parameter, weight] = parameters[found->second];
    MF_RETURN_IF_ERROR(AddMoments(*states->items[i + 1], parameter, weight));
  }
  return absl::OkStatus();
}

absl::Status TorchImporter::AddMoments(const PickleValue& state, const std::string& parameter,
                                       const at::Tensor& weight) {
  const auto bad = [&](absl::string_view what) {
    return Refuse(absl::StrCat("optimizer state of ", parameter, " ", what));
  };
  const auto tensor = [&](std::string_view key) -> const at::Tensor* {
    const PickleValue* value = state.Find(key);
    return value == nullptr ? nullptr : file_.TensorOf(*value);
  };
  if (state.Find("max_exp_avg_sq") != nullptr) return bad("is AMSGrad's, which pretraining here is not");
  const at::Tensor *average = tensor("exp_avg"), *square = tensor("exp_avg_sq");
  if (average == nullptr || square == nullptr) return bad("is not AdamW's: no exp_avg, exp_avg_sq");
  for (const at::Tensor* moment : {average, square})
    if (moment->sizes() != weight.sizes() || !at::isFloatingType(moment->scalar_type()))
      return bad(absl::StrCat("is ", ShapeText(*moment), ", expected ", ShapeText(weight)));
  // A number before PyTorch 1.12.
  const PickleValue* step = state.Find("step");
  const at::Tensor* step_tensor = tensor("step");
  const bool number = step != nullptr && (step->kind == Kind::kInt || step->kind == Kind::kFloat);
  if (!number && (step_tensor == nullptr || step_tensor->numel() != 1 ||
                  (step_tensor->scalar_type() != at::kFloat && step_tensor->scalar_type() != at::kLong)))
    return bad("has no step");
  checkpoint_.exp_avg.emplace_back(parameter, AsFloat(*average));
  checkpoint_.exp_avg_sq.emplace_back(parameter, AsFloat(*square));
  const double steps = !number                    ? step_tensor->item().toDouble()
                       : step->kind == Kind::kInt ? static_cast<double>(step->integer)
                                                  : step->number;
  checkpoint_.step.emplace_back(parameter, at::scalar_tensor(steps, at::kFloat));
  return absl::OkStatus();
}

// What is neither a tensor nor said elsewhere in the header.
std::string TorchImporter::Rest() {
  nlohmann::json rest = nlohmann::json::object();
  const auto keep = [&](const std::string& key, const PickleValue& value) {
    rest[key] = nlohmann::json::parse(JsonText(value), nullptr, /*allow_exceptions=*/false);
  };
  const auto& items = file_.root().items;
  for (size_t i = 0; i < items.size(); i += 2) {
    const std::string& key = items[i]->text;
    const PickleValue& value = *items[i + 1];
    if (key == "model" || key == "aux_heads" || key == "args" || key.empty()) continue;
    if (key == "opt" || key == "optimizer") {
      if (const PickleValue* groups = value.Find("param_groups")) keep("param_groups", *groups);
    } else if (HoldsTensors(value)) {
      remarks_.push_back(absl::StrCat("tensors under '", key, "' are left out"));
    } else {
      keep(key, value);
    }
  }
  return rest.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

absl::StatusOr<Checkpoint> CheckpointOfTorchFile(const std::string& name, const TorchFile& file,
                                                 const PublishedOptions& options,
                                                 std::vector<std::string>* remarks) {
  return TorchImporter(name, file, remarks).Import(options);
}

absl::StatusOr<Checkpoint> CheckpointOfStateDict(const std::string& name, const SafeTensors& file,
                                                 const PublishedOptions& options,
                                                 std::vector<std::string>* remarks) {
  const auto metadata = [&](const char* key) -> std::string {
    const auto found = file.metadata.find(key);
    return found == file.metadata.end() ? "" : found->second;
  };
  if (file.metadata.count(kCheckpointHeaderKey) > 0)
    return absl::FailedPreconditionError(absl::StrCat(name, ": is a checkpoint of ours already"));
  const std::string own = metadata("args");
  if (own.empty() == options.args.empty())
    return Bad(name, own.empty() ? "holds no args; give them as JSON (args=FILE.json)"
                                 : "holds its own args; give no others");
  int64_t epoch = -1, step = 0;
  if (!metadata("epoch").empty() && !absl::SimpleAtoi(metadata("epoch"), &epoch))
    return Bad(name, "metadata: epoch is no number");
  if (!metadata("step").empty() && !absl::SimpleAtoi(metadata("step"), &step))
    return Bad(name, "metadata: step is no number");
  if (epoch == INT64_MAX) return Bad(name, "metadata: epoch is too large");
  Checkpoint checkpoint;
  checkpoint.model = file.tensors;
  MF_RETURN_IF_ERROR(Complete(name, own.empty() ? options.args : own, epoch + 1, step, &checkpoint, remarks));
  return checkpoint;
}

}  // namespace manyform
