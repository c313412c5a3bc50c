/// \file
/// Python's pickles read as data: nothing that a stream asks to call is called.
///
/// Containers, numbers and strings become values, so do collections.OrderedDict and argparse.Namespace
/// (dicts both; attributes of the former are dropped). Any other name a stream imports stays a name, and what
/// it would be called with its arguments; names that the caller does not allow are refused.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "model/pickle_value.h"

namespace manyform {

/// A pickle of protocol 2 to 5.
class Pickle {
 public:
  /// `allowed`: names the stream may import besides the two. `name` is what errors call the bytes. Memory is
  /// at most a constant times the bytes, whatever they claim.
  /// \error DataLoss for a malformed stream; InvalidArgument for what is refused: another name, an opcode
  /// beyond data, an integer beyond 64 bits, nesting without end. Both with the byte's offset, where one is.
  static absl::StatusOr<Pickle> Parse(const std::string& name, std::span<const uint8_t> bytes,
                                      std::span<const std::string_view> allowed);
  Pickle(Pickle&&) = default;
  Pickle& operator=(Pickle&&) = default;

  /// A finite tree of bounded depth, to be walked without care. Equal parts may be one.
  const PickleValue& root() const { return *root_; }

 private:
  Pickle() = default;
  std::deque<PickleValue> values_;
  const PickleValue* root_ = nullptr;
};

}  // namespace manyform
