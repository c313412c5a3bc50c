/// \file
/// An .npz with a few arrays changed, without unpacking the others.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "data/npz.h"

namespace manyform {

/// The bytes of `file` with `arrays` in the places of members of the same names, new ones behind the last.
/// Every other member is copied as it is packed; stored ones come out 64-byte aligned, as do new ones unless
/// all of the file's members are deflated: then they are deflated, too. Equal input gives equal bytes. `path`
/// is for messages.
/// \error DataLoss as ReadZipDirectory, or if a stored member's checksum is wrong (a deflated one keeps its
/// own, wrong or not); InvalidArgument as EncodeNpz, or beyond 4 GiB.
absl::StatusOr<std::string> EditNpz(const std::string& path, std::span<const uint8_t> file,
                                    std::span<const NamedArray> arrays);

}  // namespace manyform
