#include "model/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/string_views.h"

namespace manyform {
namespace {

using Kind = PickleValue::Kind;

static_assert(std::endian::native == std::endian::little, "so are the stream's integers");

// A tensor's description takes some 150 bytes: 100,000 tensors.
constexpr uint64_t kMaxBytes = 16 << 20;
// Names come again and again, for two bytes each.
constexpr uint64_t kMaxUnfolding = 16;
constexpr char kOrderedDict[] = "collections.OrderedDict";
constexpr char kNamespace[] = "argparse.Namespace";

// Python's pickletools lists what each does.
enum Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinFloat = 'G',
  kBinPersistentId = 'Q',
  kReduce = 'R',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kSetItems = 'u',
  kEmptyTuple = ')',
  kEmptyList = ']',
  kEmptyDict = '}',
  kProtocol = 0x80,
  kNewObject = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kTrue = 0x88,
  kFalse = 0x89,
  kLong1 = 0x8a,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

class Unpickler {
 public:
  Unpickler(const std::string& name, std::span<const uint8_t> bytes,
            std::span<const std::string_view> allowed, std::deque<PickleValue>* values)
      : name_(name), bytes_(bytes), allowed_(allowed), values_(*values) {}

  absl::StatusOr<const PickleValue*> Run() {
    if (bytes_.size() > kMaxBytes) return Error("is longer than any description of tensors");
    while (status_.ok()) {
      const auto opcode = Number<uint8_t>();
      if (opcode == kStop && status_.ok()) return Finish();
      if (status_.ok()) Step(opcode);
    }
    return status_;
  }

 private:
  absl::Status Error(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(name_, ": pickle: ", what));
  }
  // Noted once; Run ends after the current opcode, until which values are empty.
  void Refuse(absl::string_view what) {
    if (status_.ok()) status_ = Error(absl::StrCat("at byte ", at_, ": ", what));
  }
  void Damaged(absl::string_view what) {
    if (status_.ok())
      status_ = absl::DataLossError(absl::StrCat(name_, ": pickle: at byte ", at_, ": ", what));
  }

  std::string_view Take(uint64_t size) {
    if (size > bytes_.size() - at_) {
      Damaged("truncated");
      return {};
    }
    at_ += size;
    return {reinterpret_cast<const char*>(bytes_.data()) + at_ - size, size};
  }
  template <class T>
  T Number() {
    T value = 0;
    const std::string_view bytes = Take(sizeof(T));
    if (!bytes.empty()) memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  std::string_view Line() {
    const auto* begin = bytes_.data() + at_;
    const auto* end = std::find(begin, bytes_.data() + bytes_.size(), '\n');
    const std::string_view line = Take(end - begin);
    Take(1);
    return line;
  }

  PickleValue* Push(Kind kind) {
    PickleValue* value = &values_.emplace_back();
    value->kind = kind;
    stack_.push_back(value);
    return value;
  }
  void PushInt(int64_t value, Kind kind = Kind::kInt) { Push(kind)->integer = value; }
  void PushString(std::string_view text) { Push(Kind::kString)->text = text; }
  // The top, which is never below the last mark.
  PickleValue* Top() {
    if (stack_.size() > (marks_.empty() ? 0 : marks_.back())) return stack_.back();
    Damaged("takes from an empty stack");
    return &values_.emplace_back();
  }
  PickleValue* Pop() {
    PickleValue* top = Top();
    if (status_.ok()) stack_.pop_back();
    return top;
  }
  std::vector<const PickleValue*> PopToMark() {
    if (marks_.empty()) {
      Damaged("no mark on the stack");
      return {};
    }
    std::vector<const PickleValue*> items(stack_.begin() + static_cast<int64_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  std::vector<const PickleValue*> PopItems(int count) {
    std::vector<const PickleValue*> items(count);
    for (int i = count; i-- > 0;) items[i] = Pop();
    return items;
  }

  void Step(uint8_t opcode);
  void PushGlobal(std::string_view module, std::string_view name);
  void PushTuple(std::vector<const PickleValue*> items) { Push(Kind::kTuple)->items = std::move(items); }
  void Extend(Kind kind, const std::vector<const PickleValue*>& items);
  void Remember(uint64_t key) { memo_[key] = Top(); }
  void Recall(uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) return Damaged("recalls what was not remembered");
    stack_.push_back(found->second);
  }
  void PushLong();
  void PushFloat();
  void Reduce();
  void NewObject();
  void Build();
  absl::StatusOr<const PickleValue*> Finish();

  const std::string& name_;
  const std::span<const uint8_t> bytes_;
  const std::span<const std::string_view> allowed_;
  std::deque<PickleValue>& values_;
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;
  absl::flat_hash_map<uint64_t, PickleValue*> memo_;
  absl::Status status_;
  uint64_t at_ = 0, copied_ = 0;
};

void Unpickler::Step(uint8_t opcode) {
  switch (opcode) {
    case kProtocol:
      if (const auto version = Number<uint8_t>(); version < 2 || version > 5)
        Refuse(absl::StrCat("protocol ", version, ", expected 2 to 5"));
      return;
    case kFrame:
      Number<uint64_t>();
      return;
    case kMark:
      return marks_.push_back(stack_.size());
    case kPop:
      Pop();
      return;
    case kPopMark:
      PopToMark();
      return;
    case kNone:
      Push(Kind::kNone);
      return;
    case kTrue:
    case kFalse:
      return PushInt(opcode == kTrue ? 1 : 0, Kind::kBool);
    case kBinInt:
      return PushInt(Number<int32_t>());
    case kBinInt1:
      return PushInt(Number<uint8_t>());
    case kBinInt2:
      return PushInt(Number<uint16_t>());
    case kLong1:
      return PushLong();
    case kBinFloat:
      return PushFloat();
    case kShortBinUnicode:
      return PushString(Take(Number<uint8_t>()));
    case kBinUnicode:
      return PushString(Take(Number<uint32_t>()));
    case kBinUnicode8:
      return PushString(Take(Number<uint64_t>()));
    case kEmptyTuple:
      return PushTuple({});
    case kTuple1:
    case kTuple2:
    case kTuple3:
      return PushTuple(PopItems(opcode - kTuple1 + 1));
    case kTuple:
      return PushTuple(PopToMark());
    case kEmptyList:
      Push(Kind::kList);
      return;
    case kAppend:
      return Extend(Kind::kList, PopItems(1));
    case kAppends:
      return Extend(Kind::kList, PopToMark());
    case kEmptyDict:
      Push(Kind::kDict);
      return;
    case kSetItem:
      return Extend(Kind::kDict, PopItems(2));
    case kSetItems:
      return Extend(Kind::kDict, PopToMark());
    case kBinPut:
      return Remember(Number<uint8_t>());
    case kLongBinPut:
      return Remember(Number<uint32_t>());
    case kMemoize:
      return Remember(memo_.size());
    case kBinGet:
      return Recall(Number<uint8_t>());
    case kLongBinGet:
      return Recall(Number<uint32_t>());
    case kGlobal: {
      const std::string_view module = Line(), name = Line();
      return PushGlobal(module, name);
    }
    case kStackGlobal: {
      const PickleValue* name = Pop();
      const PickleValue* module = Pop();
      if (name->kind != Kind::kString || module->kind != Kind::kString)
        return Damaged("imports by what is no name");
      return PushGlobal(module->text, name->text);
    }
    case kBinPersistentId: {
      const PickleValue* id = Pop();
      Push(Kind::kPersistentId)->items = {id};
      return;
    }
    case kReduce:
      return Reduce();
    case kNewObject:
      return NewObject();
    case kBuild:
      return Build();
    default:
      Refuse(absl::StrFormat("opcode 0x%02x is beyond tensors, containers, numbers and strings", opcode));
  }
}

void Unpickler::PushLong() {
  const std::string_view bytes = Take(Number<uint8_t>());
  if (bytes.size() > sizeof(int64_t)) return Refuse("an integer beyond 64 bits");
  int64_t value = !bytes.empty() && static_cast<int8_t>(bytes.back()) < 0 ? -1 : 0;
  if (!bytes.empty()) memcpy(&value, bytes.data(), bytes.size());
  PushInt(value);
}

void Unpickler::PushFloat() {
  Push(Kind::kFloat)->number = std::bit_cast<double>(__builtin_bswap64(Number<uint64_t>()));
}

void Unpickler::PushGlobal(std::string_view module, std::string_view name) {
  const std::string full = absl::StrCat(ToAbsl(module), ".", ToAbsl(name));
  if (full != kOrderedDict && full != kNamespace &&
      std::find(allowed_.begin(), allowed_.end(), full) == allowed_.end())
    return Refuse(absl::StrCat("asks for ", full, ", which is no tensor, container, number or string"));
  Push(Kind::kGlobal)->text = full;
}

void Unpickler::Extend(Kind kind, const std::vector<const PickleValue*>& items) {
  PickleValue* container = Top();
  if (container->kind != kind) return Damaged("adds items to what is no such container");
  if (kind == Kind::kDict && items.size() % 2 != 0) return Damaged("a dict's key without a value");
  container->items.insert(container->items.end(), items.begin(), items.end());
}

void Unpickler::Reduce() {
  const PickleValue* arguments = Pop();
  const PickleValue* callee = Pop();
  if (callee->kind != Kind::kGlobal || arguments->kind != Kind::kTuple)
    return Damaged("calls what is no function");
  if (callee->text == kNamespace || (callee->text == kOrderedDict && !arguments->items.empty()))
    return Refuse(absl::StrCat(callee->text, " made in an unknown way"));
  PickleValue* value = Push(callee->text == kOrderedDict ? Kind::kDict : Kind::kCall);
  value->text = callee->text;
  value->items = arguments->items;
  copied_ += arguments->items.size();
  if (copied_ > bytes_.size()) Refuse("the same arguments too often");
}

void Unpickler::NewObject() {
  const PickleValue* arguments = Pop();
  const PickleValue* type = Pop();
  if (type->kind != Kind::kGlobal || arguments->kind != Kind::kTuple) return Damaged("makes no object");
  if (type->text != kNamespace || !arguments->items.empty())
    return Refuse(absl::StrCat("makes an object of ", type->text));
  Push(Kind::kDict)->text = kNamespace;
}

void Unpickler::Build() {
  const PickleValue* state = Pop();
  PickleValue* object = Top();
  if (object->kind != Kind::kDict || object->text.empty() || state->kind != Kind::kDict || state == object)
    return Refuse("sets attributes of what has none");
  if (object->text == kOrderedDict) return;
  copied_ += state->items.size();
  if (copied_ > bytes_.size()) return Refuse("the same attributes too often");
  object->items.insert(object->items.end(), state->items.begin(), state->items.end());
}

absl::StatusOr<const PickleValue*> Unpickler::Finish() {
  const PickleValue* root = Pop();
  if (status_.ok() && !stack_.empty()) Damaged("ends with more than one value");
  if (at_ != bytes_.size()) Damaged("goes on after its end");
  if (status_.ok()) status_ = CheckTree(name_, *root, kMaxUnfolding * bytes_.size());
  if (!status_.ok()) return status_;
  return root;
}

}  // namespace

absl::StatusOr<Pickle> Pickle::Parse(const std::string& name, std::span<const uint8_t> bytes,
                                     std::span<const std::string_view> allowed) {
  Pickle pickle;
  absl::StatusOr<const PickleValue*> root = Unpickler(name, bytes, allowed, &pickle.values_).Run();
  if (!root.ok()) return root.status();
  pickle.root_ = *root;
  return pickle;
}

}  // namespace manyform
