#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/published_checkpoint.h"
#include "model/torch_file.h"

namespace {

// A zip file, or else the pickle alone, which then finds storages of a few bytes under every name.
absl::StatusOr<manyform::TorchFile> Read(std::span<const uint8_t> bytes) {
  if (bytes.size() > 1 && bytes[0] == 'P' && bytes[1] == 'K')
    return manyform::TorchFile::Parse("fuzzed", bytes);
  const auto storage = [](const std::string& key) { return std::string(key == "1" ? 48 : 480, '\1'); };
  return manyform::TorchFile::FromPickle("fuzzed", bytes, storage, 1000);
}

void TouchTensors(const manyform::TorchFile& file, const manyform::PickleValue& value) {
  if (const at::Tensor* tensor = file.TensorOf(value)) (void)tensor->to(at::kDouble).sum();
  for (const manyform::PickleValue* item : value.items) TouchTensors(file, *item);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::StatusOr<manyform::TorchFile> file = Read({data, size});
  if (!file.ok()) return 0;
  (void)JsonText(file->root());
  TouchTensors(*file, file->root());
  std::vector<std::string> remarks;
  (void)CheckpointOfTorchFile("fuzzed", *file, {}, &remarks);
  (void)CheckpointOfTorchFile("fuzzed", *file, {.args = R"({"heads": 1})"}, &remarks);
  return 0;
}
