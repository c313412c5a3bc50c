/// \file
/// The safetensors format: an 8-byte header length, a JSON header, the tensors' bytes.
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/named_tensors.h"

namespace manyform {

struct SafeTensors {
  NamedTensors tensors;  ///< in file order; CPU, contiguous
  std::map<std::string, std::string> metadata;
};

/// Names sorted by dtype size then name, data aligned to 64 bytes: equal content is equal bytes. Atomic.
absl::Status WriteSafeTensors(const std::string& path, const SafeTensors& content);
/// \error NotFound; DataLoss with path and tensor for a header that is malformed, overlaps or leaves the
/// file.
absl::StatusOr<SafeTensors> ReadSafeTensors(const std::string& path);

}  // namespace manyform
