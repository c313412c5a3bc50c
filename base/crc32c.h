/// \file
/// CRC-32C (Castagnoli), the checksum of TensorBoard's event files.
#pragma once

#include <cstdint>
#include <string_view>

namespace manyform {

/// As in RFC 3720, B.4.
uint32_t Crc32c(std::string_view bytes);

}  // namespace manyform
