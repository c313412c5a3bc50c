#include "model/torch_file.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/files.h"
#include "base/status_macros.h"
#include "base/zip_archive.h"

namespace manyform {
namespace {

using Kind = PickleValue::Kind;
using Tensors = absl::flat_hash_map<const PickleValue*, at::Tensor>;

// A weight may be saved under several names, but not everything under all of them.
constexpr uint64_t kMaxRepeats = 16;
constexpr size_t kMaxDimensions = 64;

constexpr std::string_view kRebuild = "torch._utils._rebuild_tensor";
constexpr std::string_view kRebuild2 = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view kRebuild3 = "torch._utils._rebuild_tensor_v3";
constexpr std::string_view kParameter = "torch._utils._rebuild_parameter";
// Its dtype is an argument of kRebuild3.
constexpr std::string_view kUntyped = "torch.storage.UntypedStorage";

struct Dtype {
  std::string_view storage, name;
  at::ScalarType type;
};
constexpr Dtype kDtypes[] = {
    {"torch.DoubleStorage", "torch.float64", at::kDouble},
    {"torch.FloatStorage", "torch.float32", at::kFloat},
    {"torch.HalfStorage", "torch.float16", at::kHalf},
    {"torch.BFloat16Storage", "torch.bfloat16", at::kBFloat16},
    {"torch.LongStorage", "torch.int64", at::kLong},
    {"torch.IntStorage", "torch.int32", at::kInt},
    {"torch.ShortStorage", "torch.int16", at::kShort},
    {"torch.CharStorage", "torch.int8", at::kChar},
    {"torch.ByteStorage", "torch.uint8", at::kByte},
    {"torch.BoolStorage", "torch.bool", at::kBool},
    {"", "torch.uint64", at::kUInt64},
    {"", "torch.uint32", at::kUInt32},
    {"", "torch.uint16", at::kUInt16},
};

std::vector<std::string_view> AllowedNames() {
  std::vector<std::string_view> names = {kRebuild, kRebuild2, kRebuild3, kParameter, kUntyped};
  for (const Dtype& dtype : kDtypes) {
    if (!dtype.storage.empty()) names.push_back(dtype.storage);
    names.push_back(dtype.name);
  }
  return names;
}

const Dtype* FindDtype(std::string_view Dtype::*field, const PickleValue& global) {
  const auto* found = std::find_if(std::begin(kDtypes), std::end(kDtypes),
                                   [&](const Dtype& dtype) { return dtype.*field == global.text; });
  return global.kind == Kind::kGlobal && found != std::end(kDtypes) ? found : nullptr;
}

struct Storage {
  std::shared_ptr<std::string> bytes;
  at::ScalarType type = at::kByte;
};

struct View {
  std::vector<int64_t> sizes, strides;
  int64_t offset = 0;
};

// Values of a view; those of the storage that it needs, from its beginning. Negative: not in 63 bits.
struct Extent {
  int64_t values = 1, needed = 0;
};
Extent ExtentOf(const View& view) {
  Extent extent;
  int64_t last = view.offset;
  bool overflows = false;
  for (size_t i = 0; i < view.sizes.size(); ++i) {
    int64_t way = 0;
    overflows |= __builtin_mul_overflow(extent.values, view.sizes[i], &extent.values);
    overflows |= __builtin_mul_overflow(view.sizes[i] - 1, view.strides[i], &way);
    overflows |= __builtin_add_overflow(last, way, &last);
  }
  const bool empty = std::find(view.sizes.begin(), view.sizes.end(), 0) != view.sizes.end();
  if (empty) return {0, view.offset};
  if (overflows || last == INT64_MAX) return {-1, -1};
  return {extent.values, last + 1};
}

// Makes the tensors that a pickle describes.
class Rebuilder {
 public:
  Rebuilder(const std::string& name, const TorchFile::StorageReader& storages, uint64_t file_size)
      : name_(name), storages_(storages), most_bytes_(kMaxRepeats * file_size) {}

  absl::Status Walk(const PickleValue& value) {
    switch (value.kind) {
      case Kind::kCall:
        return Tensor(value).status();
      case Kind::kGlobal:
        return Refuse(absl::StrCat("has ", value.text, " as a value"));
      case Kind::kPersistentId:
        return Refuse("has a storage outside of a tensor");
      default:
        for (const PickleValue* item : value.items) MF_RETURN_IF_ERROR(Walk(*item));
        return absl::OkStatus();
    }
  }
  Tensors TakeTensors() { return std::move(tensors_); }

 private:
  absl::Status Refuse(const std::string& what) const {
    return absl::InvalidArgumentError(absl::StrCat(name_, ": ", what));
  }
  absl::Status Damaged(const std::string& what) const {
    return absl::DataLossError(absl::StrCat(name_, ": ", what));
  }
  absl::StatusOr<at::Tensor> Tensor(const PickleValue& call);
  absl::StatusOr<at::Tensor> Rebuild(const PickleValue& call);
  absl::StatusOr<Storage> ReadStorage(const PickleValue& id);
  absl::StatusOr<View> ViewOf(const PickleValue& call) const;
  absl::StatusOr<at::Tensor> Place(const Storage& storage, const View& view);

  const std::string& name_;
  const TorchFile::StorageReader& storages_;
  const uint64_t most_bytes_;
  uint64_t bytes_ = 0;
  Tensors tensors_;
  absl::flat_hash_map<std::string, std::shared_ptr<std::string>> read_;
};

absl::StatusOr<at::Tensor> Rebuilder::Tensor(const PickleValue& call) {
  if (const auto found = tensors_.find(&call); found != tensors_.end()) return found->second;
  absl::StatusOr<at::Tensor> tensor = Rebuild(call);
  if (tensor.ok()) tensors_.emplace(&call, *tensor);
  return tensor;
}

absl::StatusOr<at::Tensor> Rebuilder::Rebuild(const PickleValue& call) {
  const auto& arguments = call.items;
  if (call.text == kParameter) {
    if (arguments.size() != 3 || arguments[0]->kind != Kind::kCall)
      return Damaged("a parameter that is no tensor");
    return Tensor(*arguments[0]);
  }
  const size_t count = arguments.size();
  const bool fits = call.text == kRebuild    ? count == 4
                    : call.text == kRebuild2 ? count == 6 || count == 7
                    : call.text == kRebuild3 ? count == 7 || count == 8
                                             : false;
  if (!fits) return Refuse(absl::StrCat("calls ", call.text, " with ", count, " arguments"));
  // What follows the hooks (and the dtype) marks conjugated and negated values.
  const size_t usual = call.text == kRebuild3 ? 7 : 6;
  if (count > usual && !arguments[usual]->items.empty())
    return Refuse("has a tensor with metadata, of which nothing is known");
  MF_ASSIGN_OR_RETURN(Storage storage, ReadStorage(*arguments[0]));
  if (call.text == kRebuild3) {
    const Dtype* dtype = FindDtype(&Dtype::name, *arguments[6]);
    if (dtype == nullptr) return Refuse("has a tensor of unknown dtype");
    storage.type = dtype->type;
  }
  MF_ASSIGN_OR_RETURN(const View view, ViewOf(call));
  return Place(storage, view);
}

// ('storage', type, key, device, how many values)
absl::StatusOr<Storage> Rebuilder::ReadStorage(const PickleValue& value) {
  const bool is_id = value.kind == Kind::kPersistentId && value.items[0]->kind == Kind::kTuple;
  const std::vector<const PickleValue*> id = is_id ? value.items[0]->items : value.items;
  if (!is_id || id.size() != 5 || id[0]->text != "storage" || id[1]->kind != Kind::kGlobal ||
      id[2]->kind != Kind::kString || id[4]->kind != Kind::kInt)
    return Damaged("a tensor's storage is none");
  Storage storage;
  if (id[1]->text != kUntyped) {
    const Dtype* dtype = FindDtype(&Dtype::storage, *id[1]);
    if (dtype == nullptr) return Refuse(absl::StrCat("has a storage of unknown type ", id[1]->text));
    storage.type = dtype->type;
  }
  const std::string& key = id[2]->text;
  storage.bytes = read_[key];
  if (storage.bytes == nullptr) {
    MF_ASSIGN_OR_RETURN(std::string bytes, storages_(key));
    storage.bytes = read_[key] = std::make_shared<std::string>(std::move(bytes));
  }
  const uint64_t size = storage.bytes->size(), item = c10::elementSize(storage.type);
  if (size % item != 0 || static_cast<int64_t>(size / item) != id[4]->integer)
    return Damaged(
        absl::StrCat("storage ", key, " has ", size, " bytes, not ", id[4]->integer, " values of ", item));
  return storage;
}

// (storage, offset, sizes, strides, ...)
absl::StatusOr<View> Rebuilder::ViewOf(const PickleValue& call) const {
  const auto numbers = [](const PickleValue& tuple, std::vector<int64_t>* out) {
    for (const PickleValue* item : tuple.items) {
      if (item->kind != Kind::kInt || item->integer < 0) return false;
      out->push_back(item->integer);
    }
    return tuple.kind == Kind::kTuple;
  };
  View view;
  view.offset = call.items[1]->integer;
  if (call.items[1]->kind != Kind::kInt || view.offset < 0 || !numbers(*call.items[2], &view.sizes) ||
      !numbers(*call.items[3], &view.strides) || view.sizes.size() != view.strides.size() ||
      view.sizes.size() > kMaxDimensions)
    return Damaged("a tensor's offset, sizes or strides are none");
  return view;
}

absl::StatusOr<at::Tensor> Rebuilder::Place(const Storage& storage, const View& view) {
  const auto shape = [&] { return absl::StrCat("[", absl::StrJoin(view.sizes, ","), "]"); };
  const auto item = static_cast<int64_t>(c10::elementSize(storage.type));
  const auto stored = static_cast<int64_t>(storage.bytes->size()) / item;
  const Extent extent = ExtentOf(view);
  if (extent.needed < 0 || extent.needed > stored)
    return Damaged(absl::StrCat("a tensor ", shape(), " reaches beyond its storage of ", stored, " values"));
  const uint64_t left = most_bytes_ - bytes_;
  if (static_cast<uint64_t>(extent.values) > left / item)
    return Refuse(absl::StrCat("repeats what it stores more than ", kMaxRepeats, " times"));
  bytes_ += extent.values * item;
  if (storage.type == at::kBool &&
      std::any_of(storage.bytes->begin(), storage.bytes->end(), [](char c) { return c != 0 && c != 1; }))
    return Damaged("a bool is neither 0 nor 1");
  try {
    const auto keep = [bytes = storage.bytes](void*) {};
    return at::from_blob(storage.bytes->data(), {stored}, keep, storage.type)
        .as_strided(view.sizes, view.strides, view.offset);
  } catch (const std::exception&) {
    return Damaged(absl::StrCat("LibTorch refuses a tensor ", shape()));
  }
}

// The one member "<folder>/data.pkl": its folder, with the slash.
absl::StatusOr<std::string> FolderOf(const std::string& name, const ZipArchive& zip) {
  constexpr absl::string_view kPickle = "/data.pkl";
  std::vector<std::string> folders;
  for (const std::string& member : zip.Names())
    if (absl::EndsWith(member, kPickle))
      folders.push_back(member.substr(0, member.size() + 1 - kPickle.size()));
  if (folders.size() == 1) return folders[0];
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": no file of torch.save: ", folders.size(), " members are called data.pkl"));
}

std::span<const uint8_t> BytesOf(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

absl::StatusOr<TorchFile> TorchFile::FromPickle(const std::string& name, std::span<const uint8_t> bytes,
                                                const StorageReader& storages, uint64_t file_size) {
  static const std::vector<std::string_view>& allowed = *new std::vector<std::string_view>(AllowedNames());
  MF_ASSIGN_OR_RETURN(Pickle pickle, Pickle::Parse(name, bytes, allowed));
  Rebuilder rebuilder(name, storages, file_size);
  MF_RETURN_IF_ERROR(rebuilder.Walk(pickle.root()));
  return TorchFile(std::move(pickle), rebuilder.TakeTensors());
}

absl::StatusOr<TorchFile> TorchFile::Parse(const std::string& name, std::span<const uint8_t> bytes) {
  absl::StatusOr<ZipArchive> zip = ZipArchive::Parse(name, bytes);
  if (!zip.ok())
    return absl::InvalidArgumentError(absl::StrCat(std::string(zip.status().message()),
                                                   "; no file of torch.save, or from before PyTorch 1.6"));
  MF_ASSIGN_OR_RETURN(const std::string folder, FolderOf(name, *zip));
  // Members may overlap, and inflate, but weights are no repetition.
  uint64_t left = kMaxRepeats * bytes.size();
  const auto read = [&](const std::string& member) -> absl::StatusOr<std::string> {
    MF_ASSIGN_OR_RETURN(std::string content, zip->Read(folder + member, left));
    left -= content.size();
    return content;
  };
  if (zip->Contains(folder + "byteorder")) {
    MF_ASSIGN_OR_RETURN(const std::string order, read("byteorder"));
    if (order != "little")
      return absl::UnimplementedError(absl::StrCat(name, ": written on a big-endian machine"));
  }
  MF_ASSIGN_OR_RETURN(const std::string pickle, read("data.pkl"));
  return FromPickle(
      name, BytesOf(pickle), [&](const std::string& key) { return read("data/" + key); }, bytes.size());
}

absl::StatusOr<TorchFile> TorchFile::Open(const std::string& path) {
  MF_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(path));
  return Parse(path, file->bytes());
}

const at::Tensor* TorchFile::TensorOf(const PickleValue& value) const {
  const auto found = tensors_.find(&value);
  return found == tensors_.end() ? nullptr : &found->second;
}

}  // namespace manyform
