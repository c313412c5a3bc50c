// Result files: the first byte picks the format.
#include <cstdint>
#include <string>

#include "base/result_writer.h"
#include "base/testing/test_config.pb.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto format = static_cast<manyform::ResultFormat>(data[0] % 3);
  const std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  manyform::TestRecordResult result;
  if (!manyform::ParseResult(bytes, format, &result).ok()) return 0;
  // What was read can be written, and then reads as the same.
  const absl::StatusOr<std::string> written = manyform::FormatResult(result, manyform::ResultFormat::kBinary);
  manyform::TestRecordResult again;
  if (!written.ok() || !manyform::ParseResult(*written, manyform::ResultFormat::kBinary, &again).ok()) {
    __builtin_trap();
  }
  (void)manyform::FormatResult(result, manyform::ResultFormat::kJson);
  return 0;
}
