/// \file
/// Pickles and .pt files for tests, written opcode by opcode.
#pragma once

#include <ATen/ATen.h>

#include <bit>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/testing/make_zip.h"
#include "model/named_tensors.h"

namespace manyform::pickled {

/// Opcodes that leave one value on the stack.
using Code = std::string;

template <class T>
std::string Bytes(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}
inline Code Joined(const std::vector<Code>& items) {
  Code joined;
  for (const Code& item : items) joined += item;
  return joined;
}

inline Code Int(int64_t value) { return "\x8a\x08" + Bytes(value); }
inline Code Float(double value) { return "G" + Bytes(__builtin_bswap64(std::bit_cast<uint64_t>(value))); }
inline Code Text(const std::string& text) { return "X" + Bytes(static_cast<uint32_t>(text.size())) + text; }
inline Code None() { return "N"; }
inline Code Bool(bool value) { return value ? "\x88" : "\x89"; }
inline Code Tuple(const std::vector<Code>& items) { return "(" + Joined(items) + "t"; }
inline Code List(const std::vector<Code>& items) { return "](" + Joined(items) + "e"; }
using Pairs = std::vector<std::pair<Code, Code>>;
inline Code Items(const Pairs& pairs) {
  Code items = "(";
  for (const auto& [key, value] : pairs) items += key + value;
  return items + "u";
}
inline Code Dict(const Pairs& pairs) { return "}" + Items(pairs); }
inline Code Global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline Code Call(const Code& callee, const std::vector<Code>& arguments) {
  return callee + Tuple(arguments) + "R";
}
inline Code Ordered(const Pairs& pairs) {
  return Call(Global("collections", "OrderedDict"), {}) + Items(pairs);
}
inline Code Namespace(const Pairs& pairs) {
  return Global("argparse", "Namespace") + ")\x81" + Dict(pairs) + "b";
}
inline Code Ints(const std::vector<int64_t>& values) {
  std::vector<Code> items;
  items.reserve(values.size());
  for (const int64_t value : values) items.push_back(Int(value));
  return Tuple(items);
}

/// The whole stream.
inline std::string Stream(const Code& root) { return "\x80\x02" + root + "."; }

inline Code Storage(const Code& type, const std::string& key, int64_t numel) {
  return Tuple({Text("storage"), type, Text(key), Text("cpu"), Int(numel)}) + "Q";
}
inline Code Tensor(const Code& storage, int64_t offset, const std::vector<int64_t>& sizes,
                   const std::vector<int64_t>& strides) {
  return Call(Global("torch._utils", "_rebuild_tensor_v2"),
              {storage, Int(offset), Ints(sizes), Ints(strides), Bool(false), Ordered({})});
}

/// A .pt file's members: the pickle, and storages as they are added.
class TorchFileMaker {
 public:
  /// Adds bytes as a storage; its key.
  std::string Add(const std::string& bytes) {
    storages_.push_back(bytes);
    return std::to_string(storages_.size() - 1);
  }
  /// Adds an f32 tensor.
  Code Add(const at::Tensor& tensor) {
    const at::Tensor values = tensor.detach().contiguous();
    const std::string key = Add({static_cast<const char*>(values.const_data_ptr()), values.nbytes()});
    return Tensor(Storage(Global("torch", "FloatStorage"), key, values.numel()), 0, values.sizes().vec(),
                  values.strides().vec());
  }
  Code Add(const NamedTensors& tensors) {
    Pairs pairs;
    for (const auto& [name, tensor] : tensors) pairs.emplace_back(Text(name), Add(tensor));
    return Ordered(pairs);
  }
  void Write(const std::string& path, const Code& root, const std::string& byteorder = "little") const {
    std::vector<std::pair<std::string, std::string>> members = {
        {"archive/data.pkl", Stream(root)}, {"archive/byteorder", byteorder}, {"archive/version", "3\n"}};
    for (size_t i = 0; i < storages_.size(); ++i)
      members.emplace_back("archive/data/" + std::to_string(i), storages_[i]);
    MakeZip(path, members);
  }

 private:
  std::vector<std::string> storages_;
};

}  // namespace manyform::pickled
