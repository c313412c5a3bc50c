/// \file
/// The safetensors format: an 8-byte header length, a JSON header, the tensors' bytes.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/named_tensors.h"

namespace manyform {

struct SafeTensors {
  NamedTensors tensors;  ///< in file order; CPU, contiguous
  std::map<std::string, std::string> metadata;
};

/// Names sorted by dtype size, largest first, then name; data aligned to 64 bytes: equal content is equal
/// bytes. Atomic. \error InvalidArgument for a repeated, reserved or non-UTF-8 name, or a dtype the format
/// lacks; otherwise as WriteFileAtomically.
absl::Status WriteSafeTensors(const std::string& path, const SafeTensors& content);
/// \error NotFound; DataLoss with path and tensor for a header that is malformed, has tensors that overlap,
/// leave gaps or leave the file; Unimplemented for a dtype that LibTorch has no arithmetic for.
absl::StatusOr<SafeTensors> ReadSafeTensors(const std::string& path);
/// ReadSafeTensors of a file's bytes; `name` is what errors call them. The tensors are copies.
absl::StatusOr<SafeTensors> ParseSafeTensors(const std::string& name, std::span<const uint8_t> bytes);

}  // namespace manyform
