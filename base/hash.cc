#include "base/hash.h"

#include <openssl/evp.h>
#include <xxhash.h>

#include <cstdlib>
#include <fstream>
#include <memory>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/status_macros.h"

namespace manyform {
namespace {

class Digest {
 public:
  explicit Digest(const EVP_MD* kind) : context_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {
    Check(context_ != nullptr && EVP_DigestInit_ex(context_.get(), kind, nullptr) == 1);
  }
  void Add(const void* data, size_t size) { Check(EVP_DigestUpdate(context_.get(), data, size) == 1); }
  std::string Hex() {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    Check(EVP_DigestFinal_ex(context_.get(), bytes, &size) == 1);
    return absl::BytesToHexString({reinterpret_cast<const char*>(bytes), size});
  }

 private:
  // Only an OpenSSL without the digest fails, and nothing of the protocol can go on without it.
  static void Check(bool done) {
    if (done) return;
    fprintf(stderr, "error: this OpenSSL refuses MD5 or SHA-256\n");
    abort();
  }
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

std::string HexOf(const EVP_MD* kind, std::string_view bytes) {
  Digest digest(kind);
  digest.Add(bytes.data(), bytes.size());
  return digest.Hex();
}

}  // namespace

std::string Md5Hex(std::string_view bytes) { return HexOf(EVP_md5(), bytes); }
std::string Sha256Hex(std::string_view bytes) { return HexOf(EVP_sha256(), bytes); }

uint32_t Md5Prefix32(std::string_view bytes) {
  uint32_t value = 0;
  (void)absl::SimpleHexAtoi(Md5Hex(bytes).substr(0, 8), &value);
  return value;
}

uint64_t Xxh3(std::span<const uint8_t> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

absl::StatusOr<std::string> Sha256HexOfFile(const std::string& path) {
  // Mapped rather than read: nothing is copied, and the kernel reads ahead.
  MF_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::Open(path));
  constexpr size_t kBlock = 1 << 20;
  Digest digest(EVP_sha256());
  for (std::span<const uint8_t> left = file->bytes(); !left.empty();) {
    const std::span<const uint8_t> block = left.first(std::min(kBlock, left.size()));
    digest.Add(block.data(), block.size());
    left = left.subspan(block.size());
  }
  return digest.Hex();
}

}  // namespace manyform
