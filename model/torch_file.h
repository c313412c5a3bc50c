/// \file
/// Files of torch.save (.pt), read without Python: a zip of one pickle and of the bytes it speaks of.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "model/pickle.h"

namespace manyform {

class TorchFile {
 public:
  /// \error NotFound; InvalidArgument for what is no such file, or for a pickle that asks for more than
  /// tensors, containers, numbers and strings (model/pickle.h); DataLoss for damage: tensors beyond their
  /// storage, missing or short storages; Unimplemented for big-endian files. All with the path.
  static absl::StatusOr<TorchFile> Open(const std::string& path);
  /// Open of a file's bytes, which need not stay; `name` is what errors call them.
  static absl::StatusOr<TorchFile> Parse(const std::string& name, std::span<const uint8_t> bytes);

  /// A storage's bytes.
  using StorageReader = std::function<absl::StatusOr<std::string>(const std::string& key)>;
  /// The pickle alone. Tensors that spread what is stored to more than 16 times `file_size` are refused.
  static absl::StatusOr<TorchFile> FromPickle(const std::string& name, std::span<const uint8_t> pickle,
                                              const StorageReader& storages, uint64_t file_size);

  /// What was saved. Calls in it are tensors, all of them.
  const PickleValue& root() const { return pickle_.root(); }
  /// A kCall's tensor, with the strides and the sharing of the saved one; null for anything else.
  const at::Tensor* TensorOf(const PickleValue& value) const;

 private:
  using Tensors = absl::flat_hash_map<const PickleValue*, at::Tensor>;
  TorchFile(Pickle pickle, Tensors tensors) : pickle_(std::move(pickle)), tensors_(std::move(tensors)) {}
  Pickle pickle_;
  Tensors tensors_;
};

}  // namespace manyform
