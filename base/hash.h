/// \file
/// Digests: MD5 where the published protocol seeds with it, SHA-256 for fingerprints, XXH3 for checksums.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace manyform {

/// Lower-case hexadecimal.
std::string Md5Hex(std::string_view bytes);
std::string Sha256Hex(std::string_view bytes);
/// The 32-bit integer of the first 8 hex digits of the MD5: how the published system seeds by name.
uint32_t Md5Prefix32(std::string_view bytes);
uint64_t Xxh3(std::span<const uint8_t> bytes);
/// SHA-256 of a file's content in blocks. \error as files.h.
absl::StatusOr<std::string> Sha256HexOfFile(const std::string& path);

}  // namespace manyform
