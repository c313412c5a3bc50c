#include "model/safetensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <optional>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/files.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

using Json = nlohmann::ordered_json;
static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kAlignment = 64;
// The limit of the reference reader.
constexpr uint64_t kMaxHeader = 100'000'000;
constexpr char kMetadata[] = "__metadata__";

struct DtypeName {
  const char* name;
  at::ScalarType type;
};
constexpr DtypeName kDtypes[] = {
    {"F64", at::kDouble}, {"F32", at::kFloat},  {"F16", at::kHalf},   {"BF16", at::kBFloat16},
    {"I64", at::kLong},   {"I32", at::kInt},    {"I16", at::kShort},  {"I8", at::kChar},
    {"U64", at::kUInt64}, {"U32", at::kUInt32}, {"U16", at::kUInt16}, {"U8", at::kByte},
    {"BOOL", at::kBool},
};

std::optional<std::string> NameOf(at::ScalarType type) {
  const auto* found = std::find_if(std::begin(kDtypes), std::end(kDtypes),
                                   [&](const DtypeName& dtype) { return dtype.type == type; });
  return found == std::end(kDtypes) ? std::nullopt : std::optional<std::string>(found->name);
}

std::optional<at::ScalarType> TypeOf(const std::string& name) {
  const auto* found = std::find_if(std::begin(kDtypes), std::end(kDtypes),
                                   [&](const DtypeName& dtype) { return name == dtype.name; });
  return found == std::end(kDtypes) ? std::nullopt : std::optional<at::ScalarType>(found->type);
}

// What a header says of one tensor.
struct Entry {
  std::string name;
  at::ScalarType type = at::kFloat;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;
};

// Overrides nothing: a key that comes twice would silently hide a tensor.
Json ParseJson(const char* begin, const char* end, std::string* repeated) {
  std::vector<std::set<std::string>> keys;
  const auto note = [&](int depth, Json::parse_event_t event, Json& value) {
    if (event != Json::parse_event_t::key) return true;
    const auto level = static_cast<size_t>(depth);
    if (keys.size() <= level) keys.resize(level + 1);
    for (size_t deeper = level + 1; deeper < keys.size(); ++deeper) keys[deeper].clear();
    const auto& key = value.get_ref<const std::string&>();
    if (!keys[level].insert(key).second) *repeated = key;
    return true;
  };
  return Json::parse(begin, end, note, /*allow_exceptions=*/false);
}

std::optional<uint64_t> Unsigned(const Json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  return value.get<uint64_t>();
}

class HeaderParser {
 public:
  HeaderParser(const std::string& file, uint64_t data_size) : file_(file), data_size_(data_size) {}

  absl::StatusOr<std::vector<Entry>> Parse(const char* begin, const char* end,
                                           std::map<std::string, std::string>* metadata) {
    std::string repeated;
    const Json header = ParseJson(begin, end, &repeated);
    if (header.is_discarded() || !header.is_object()) return Bad("the header is no JSON object");
    if (!repeated.empty()) return Bad(absl::StrCat("the header names '", repeated, "' twice"));
    std::vector<Entry> entries;
    for (const auto& item : header.items()) {
      if (item.key() == kMetadata) {
        MF_RETURN_IF_ERROR(ParseMetadata(item.value(), metadata));
        continue;
      }
      MF_ASSIGN_OR_RETURN(Entry entry, ParseEntry(item.key(), item.value()));
      entries.push_back(std::move(entry));
    }
    MF_RETURN_IF_ERROR(CheckCover(&entries));
    return entries;
  }

 private:
  absl::Status Bad(const std::string& what) const {
    return absl::DataLossError(absl::StrCat(file_, ": ", what));
  }
  absl::Status BadTensor(const std::string& tensor, const std::string& what) const {
    return Bad(absl::StrCat("tensor '", tensor, "': ", what));
  }

  absl::Status ParseMetadata(const Json& value, std::map<std::string, std::string>* metadata) const {
    if (!value.is_object()) return Bad("__metadata__ is no JSON object");
    for (const auto& item : value.items()) {
      if (!item.value().is_string()) return Bad(absl::StrCat("__metadata__ '", item.key(), "' is no string"));
      (*metadata)[item.key()] = item.value().get<std::string>();
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Entry> ParseEntry(const std::string& name, const Json& value) const {
    if (!value.is_object()) return BadTensor(name, "its description is no JSON object");
    if (value.size() != 3 || !value.contains("dtype") || !value.contains("shape") ||
        !value.contains("data_offsets"))
      return BadTensor(name, "expected exactly dtype, shape and data_offsets");
    const Json& dtype = value["dtype"];
    const Json& shape = value["shape"];
    const Json& offsets = value["data_offsets"];
    if (!dtype.is_string()) return BadTensor(name, "dtype is no string");
    Entry entry;
    entry.name = name;
    const std::optional<at::ScalarType> type = TypeOf(dtype.get<std::string>());
    if (!type)
      return absl::UnimplementedError(
          absl::StrCat(file_, ": tensor '", name, "': unknown dtype '", dtype.get<std::string>(), "'"));
    entry.type = *type;
    uint64_t bytes = c10::elementSize(*type);
    if (!shape.is_array()) return BadTensor(name, "shape is no list");
    bool empty = false;
    for (const Json& side : shape) {
      const std::optional<uint64_t> size = Unsigned(side);
      if (!size || *size > static_cast<uint64_t>(INT64_MAX))
        return BadTensor(name, "shape has an entry that is no size");
      empty |= *size == 0;
      entry.shape.push_back(static_cast<int64_t>(*size));
      // Capped by the file, which also keeps the product from overflowing.
      if (*size != 0 && bytes > data_size_ / *size)
        bytes = data_size_ + 1;
      else if (*size != 0)
        bytes *= *size;
      if (bytes > data_size_) bytes = data_size_ + 1;
    }
    if (empty) bytes = 0;
    if (!offsets.is_array() || offsets.size() != 2) return BadTensor(name, "data_offsets is no pair");
    const std::optional<uint64_t> begin = Unsigned(offsets[0]), end = Unsigned(offsets[1]);
    if (!begin || !end || *begin > *end) return BadTensor(name, "data_offsets is no range");
    if (*end > data_size_)
      return BadTensor(name, absl::StrCat("its data ends at byte ", *end, " of ", data_size_));
    if (*end - *begin != bytes)
      return BadTensor(name, absl::StrCat("has ", *end - *begin, " bytes, not those of its shape [",
                                          absl::StrJoin(entry.shape, ","), "]"));
    entry.begin = *begin;
    entry.end = *end;
    return entry;
  }

  // The format has neither gaps nor overlaps.
  absl::Status CheckCover(std::vector<Entry>* entries) const {
    std::sort(entries->begin(), entries->end(), [](const Entry& a, const Entry& b) {
      return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
    });
    uint64_t at = 0;
    for (const Entry& entry : *entries) {
      if (entry.begin != at)
        return BadTensor(entry.name,
                         absl::StrCat("its data starts at byte ", entry.begin, ", expected ", at));
      at = entry.end;
    }
    if (at != data_size_)
      return Bad(absl::StrCat("the tensors fill ", at, " bytes, but ", data_size_, " follow the header"));
    return absl::OkStatus();
  }

  const std::string& file_;
  const uint64_t data_size_;
};

absl::StatusOr<at::Tensor> CopyTensor(const std::string& file, const Entry& entry, const uint8_t* data) {
  const uint64_t size = entry.end - entry.begin;
  if (entry.type == at::kBool &&
      std::any_of(data + entry.begin, data + entry.end, [](uint8_t byte) { return byte > 1; }))
    return absl::DataLossError(absl::StrCat(file, ": tensor '", entry.name, "': a BOOL is neither 0 nor 1"));
  try {
    at::Tensor tensor = at::empty(entry.shape, entry.type);
    if (size > 0) memcpy(tensor.data_ptr(), data + entry.begin, size);
    return tensor;
  } catch (const std::exception& e) {
    return absl::DataLossError(absl::StrCat(file, ": tensor '", entry.name, "': LibTorch refuses its shape [",
                                            absl::StrJoin(entry.shape, ","), "]"));
  }
}

struct Planned {
  std::string name;
  at::Tensor tensor;
  std::string dtype;
};

absl::StatusOr<std::vector<Planned>> Plan(const std::string& path, const NamedTensors& tensors) {
  std::vector<Planned> plan;
  for (const auto& [name, tensor] : tensors) {
    const auto bad = [&, &name = name](const std::string& what) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": tensor '", name, "' ", what));
    };
    if (name == kMetadata) return bad("has the name of the metadata");
    if (!tensor.defined()) return bad("is undefined");
    const std::optional<std::string> dtype = NameOf(tensor.scalar_type());
    if (!dtype)
      return bad(absl::StrCat("has dtype ", c10::toString(tensor.scalar_type()), ", which the format lacks"));
    plan.push_back({name, tensor.detach().cpu().contiguous(), *dtype});
  }
  std::sort(plan.begin(), plan.end(), [](const Planned& a, const Planned& b) {
    const size_t size_a = a.tensor.element_size(), size_b = b.tensor.element_size();
    return size_a != size_b ? size_a > size_b : a.name < b.name;
  });
  for (size_t i = 1; i < plan.size(); ++i)
    if (plan[i].name == plan[i - 1].name)
      return absl::InvalidArgumentError(absl::StrCat(path, ": tensor '", plan[i].name, "' comes twice"));
  return plan;
}

// Length and JSON, padded with spaces so that the data is aligned.
absl::StatusOr<std::string> EncodeHeader(const std::string& path, const std::vector<Planned>& plan,
                                         const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  uint64_t at = 0;
  for (const Planned& item : plan) {
    const uint64_t end = at + item.tensor.nbytes();
    header[item.name] = {
        {"dtype", item.dtype}, {"shape", item.tensor.sizes().vec()}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::exception&) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": a tensor's name or the metadata is not UTF-8"));
  }
  text.resize((kLengthBytes + text.size() + kAlignment - 1) / kAlignment * kAlignment - kLengthBytes, ' ');
  if (text.size() > kMaxHeader)
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": a header of ", text.size(), " bytes is too long"));
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), kLengthBytes) + text;
}

}  // namespace

absl::Status WriteSafeTensors(const std::string& path, const SafeTensors& content) {
  MF_ASSIGN_OR_RETURN(const std::vector<Planned> plan, Plan(path, content.tensors));
  MF_ASSIGN_OR_RETURN(const std::string header, EncodeHeader(path, plan, content.metadata));
  MF_ASSIGN_OR_RETURN(AtomicFileWriter writer, AtomicFileWriter::Create(path));
  MF_RETURN_IF_ERROR(writer.Append(header));
  for (const Planned& item : plan)
    if (item.tensor.nbytes() > 0)
      MF_RETURN_IF_ERROR(writer.Append(item.tensor.data_ptr(), item.tensor.nbytes()));
  return writer.Commit();
}

absl::StatusOr<SafeTensors> ParseSafeTensors(const std::string& name, std::span<const uint8_t> bytes) {
  const auto bad = [&](const std::string& what) {
    return absl::DataLossError(absl::StrCat(name, ": ", what));
  };
  uint64_t length = 0;
  if (bytes.size() < kLengthBytes) return bad("too short for a safetensors file");
  if (memcmp(bytes.data(), "PK\3\4", 4) == 0)
    return bad("a zip file; a published .pt goes through //model:import_checkpoint first");
  memcpy(&length, bytes.data(), kLengthBytes);
  if (length > bytes.size() - kLengthBytes || length > kMaxHeader)
    return bad(absl::StrCat("its header would have ", length, " bytes of ", bytes.size()));
  const char* begin = reinterpret_cast<const char*>(bytes.data()) + kLengthBytes;
  if (length == 0 || *begin != '{') return bad("the header is no JSON object");
  const std::span<const uint8_t> data = bytes.subspan(kLengthBytes + length);

  SafeTensors content;
  HeaderParser parser(name, data.size());
  MF_ASSIGN_OR_RETURN(const std::vector<Entry> entries,
                      parser.Parse(begin, begin + length, &content.metadata));
  for (const Entry& entry : entries) {
    MF_ASSIGN_OR_RETURN(at::Tensor tensor, CopyTensor(name, entry, data.data()));
    content.tensors.emplace_back(entry.name, std::move(tensor));
  }
  return content;
}

absl::StatusOr<SafeTensors> ReadSafeTensors(const std::string& path) {
  MF_ASSIGN_OR_RETURN(const auto file, MappedFile::Open(path));
  return ParseSafeTensors(path, file->bytes());
}

}  // namespace manyform
