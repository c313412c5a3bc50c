// Configs: the first line is taken as an override, the rest as a config file.
#include <cstdint>
#include <string>

#include "base/config.h"
#include "base/provenance.h"
#include "base/testing/test_config.pb.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(text.find('\n'), text.size());
  manyform::TestConfig config;
  // What is refused is refused; what is accepted must survive everything that is done to a config.
  if (!manyform::MergeConfigText(text.substr(end), "fuzz", &config).ok()) config.Clear();
  (void)manyform::ApplyOverride(text.substr(0, end), &config);
  if (manyform::CheckConfig(config).ok() && config.root().empty()) __builtin_trap();
  manyform::FillDefaults(&config);
  (void)manyform::ConfigFingerprint(config);
  return 0;
}
