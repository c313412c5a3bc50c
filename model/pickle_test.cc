#include "model/pickle.h"

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "base/files.h"
#include "gtest/gtest.h"
#include "model/pickle_value.h"
#include "model/testing/make_torch_file.h"

namespace manyform {
namespace {

using namespace pickled;  // NOLINT: opcodes by name

constexpr std::string_view kAllowed[] = {"torch.FloatStorage", "torch.rebuild"};

absl::StatusOr<Pickle> Parse(const std::string& stream) {
  return Pickle::Parse("x.pt", {reinterpret_cast<const uint8_t*>(stream.data()), stream.size()}, kAllowed);
}
std::string Json(const std::string& stream) {
  const auto pickle = Parse(stream);
  return pickle.ok() ? JsonText(pickle->root()) : pickle.status().ToString();
}
std::string Seed(const std::string& name) { return ReadFile("testdata/fuzz/torch_file/" + name).value(); }

// A refusal of that code, whose message has `what`.
void ExpectRefused(const std::string& stream, absl::StatusCode code, const std::string& what) {
  const absl::Status status = Parse(stream).status();
  EXPECT_EQ(status.code(), code) << status << ", expected " << what;
  EXPECT_TRUE(absl::StartsWith(status.message(), "x.pt: pickle: ")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), what)) << status << ", expected " << what;
}
constexpr auto kRefused = absl::StatusCode::kInvalidArgument;
constexpr auto kDamaged = absl::StatusCode::kDataLoss;

TEST(PickleTest, WhatPythonWroteInEachProtocol) {
  const std::string expected =
      R"({"3":70000,"a":[1,-2,1099511627776,-4611686018427387904,2.5,null,true,false],"again":["x"],"e":[],)"
      R"("four":[1,2,3,4],"n":{"lr":0.001,"name":"é"},"o":{"k":{},"l":[]},"s":256,"t":["x"],)"
      R"("three":[1,2,3],"two":[1,2]})";
  for (const char* seed : {"python_protocol2.pkl", "python_protocol4.pkl", "python_protocol5.pkl"})
    EXPECT_EQ(Json(Seed(seed)), expected) << seed;
}

TEST(PickleTest, KindsAndLookup) {
  const Pickle pickle = Parse(Stream(Dict({{Text("t"), Ints({1, 2})},
                                           {Text("l"), List({Float(-0.5), Bool(true)})},
                                           {Int(0), Text("zero")},
                                           {Text("g"), Global("torch", "FloatStorage")},
                                           {Text("c"), Call(Global("torch", "rebuild"), {Int(7)})},
                                           {Text("p"), Text("id") + "Q"}})))
                            .value();
  const PickleValue& root = pickle.root();
  EXPECT_EQ(root.Find("t")->kind, PickleValue::Kind::kTuple);
  EXPECT_EQ(root.Find("l")->kind, PickleValue::Kind::kList);
  EXPECT_EQ(root.Find("l")->items[0]->number, -0.5);
  EXPECT_EQ(root.Find("g")->kind, PickleValue::Kind::kGlobal);
  EXPECT_EQ(root.Find("g")->text, "torch.FloatStorage");
  EXPECT_EQ(root.Find("c")->kind, PickleValue::Kind::kCall);
  EXPECT_EQ(root.Find("c")->text, "torch.rebuild");
  EXPECT_EQ(root.Find("c")->items[0]->integer, 7);
  EXPECT_EQ(root.Find("p")->kind, PickleValue::Kind::kPersistentId);
  EXPECT_EQ(root.Find("p")->items[0]->text, "id");
  EXPECT_EQ(root.Find("none"), nullptr);
  EXPECT_EQ(root.Find("zero"), nullptr);
  EXPECT_EQ(root.Find("t")->Find("x"), nullptr);
}

TEST(PickleTest, RecalledValuesAreTheSameOnes) {
  // A list is remembered while empty, filled, and recalled.
  const Pickle pickle = Parse(Stream(std::string("(]q\5(") + Int(1) + "eh\5t")).value();
  ASSERT_EQ(pickle.root().items.size(), 2u);
  EXPECT_EQ(pickle.root().items[0], pickle.root().items[1]);
  EXPECT_EQ(JsonText(pickle.root()), "[[1],[1]]");
}

TEST(PickleTest, StateDictsLoseTheirAttributes) {
  EXPECT_EQ(Json(Stream(Ordered({{Text("a"), Int(1)}}) + Dict({{Text("_metadata"), Int(2)}}) + "b")),
            R"({"a":1})");
}

TEST(PickleTest, NothingIsCalled) {
  ExpectRefused(Seed("system.pkl"), kRefused, "asks for posix.system");
  for (const auto& [module, name] : {std::pair("builtins", "eval"),
                                     {"__builtin__", "exec"},
                                     {"os", "system"},
                                     {"torch", "load"},
                                     {"torch", "FloatStorage.x"}}) {
    ExpectRefused(Stream(Call(Global(module, name), {Text("1")})), kRefused, "asks for");
    ExpectRefused(Stream(Text(module) + Text(name) + "\x93"), kRefused, "asks for");
  }
  ExpectRefused(Seed("object.pkl"), kRefused, "asks for __main__.O");
  // What is allowed as a name makes no objects and has no attributes.
  ExpectRefused(Stream(Global("torch", "rebuild") + ")\x81"), kRefused, "makes an object");
  ExpectRefused(Stream(Global("torch", "rebuild") + "}b"), kRefused, "sets attributes");
  ExpectRefused(Stream(Dict({}) + "}b"), kRefused, "sets attributes");
  ExpectRefused(Stream(Call(Global("argparse", "Namespace"), {})), kRefused, "unknown way");
  ExpectRefused(Stream(Call(Global("collections", "OrderedDict"), {List({})})), kRefused, "unknown way");
  // INST, OBJ, EXT1, NEWOBJ_EX, text persistent ids, bytes, sets.
  for (const char* opcode : {"i", "o", "\x82", "\x92", "P", "C", "\x8f"})
    ExpectRefused(Stream(opcode), kRefused, "opcode 0x");
  ExpectRefused(Seed("bytes.pkl"), kRefused, "opcode 0x43");
}

TEST(PickleTest, SizesAreTheStreams) {
  ExpectRefused(Seed("loop.pkl"), kRefused, "in itself");
  ExpectRefused(Seed("deep.pkl"), kRefused, "nested deeper");
  ExpectRefused(Seed("laughs.pkl"), kRefused, "unfolds");
  ExpectRefused(Seed("long.pkl"), kRefused, "64 bits");
  // A long text, recalled often.
  std::string often = Text(std::string(1000, 'x')) +
                      "q\1"
                      "0(";
  for (int i = 0; i < 1000; ++i) often += "h\1";
  ExpectRefused(Stream(often + "t"), kRefused, "unfolds");
  // The attributes of one dict for many objects, and one tuple's arguments for many calls.
  std::string nones;
  for (int i = 0; i < 100; ++i) nones += Int(i) + None();
  std::string objects = "}(" + nones + "uq\1" + Global("argparse", "Namespace") + "q\2(";
  std::string calls = "(" + nones + "tq\1" + Global("torch", "rebuild") + "q\2(";
  for (int i = 0; i < 100; ++i) {
    objects += "h\2)\x81h\1b";
    calls += "h\2h\1R";
  }
  ExpectRefused(Stream("(" + objects + "tt"), kRefused, "too often");
  ExpectRefused(Stream("(" + calls + "tt"), kRefused, "too often");
  // Claimed, not there.
  for (const char* claim :
       {"X\xff\xff\xff\xff", "\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "\x8c\xff", "\x8a\xff", "Ja"})
    ExpectRefused(std::string("\x80\x02") + claim, kDamaged, "truncated");
}

TEST(PickleTest, KeysAreNamesOrNumbersAndUnique) {
  ExpectRefused(Seed("twice.pkl"), kRefused, "'1' twice");
  ExpectRefused(Stream(Dict({{Text("a"), None()}, {Text("a"), None()}})), kRefused, "'a' twice");
  ExpectRefused(Stream(Dict({{None(), None()}})), kRefused, "neither a string nor an integer");
  EXPECT_EQ(Json(Stream(Dict({{Int(1), None()}, {Text("1x"), None()}}))), R"({"1":null,"1x":null})");
}

TEST(PickleTest, DamageIsFound) {
  const std::string stream = Seed("python_protocol2.pkl");
  for (size_t size = 0; size < stream.size(); ++size)
    EXPECT_EQ(Parse(stream.substr(0, size)).status().code(), kDamaged) << size;
  ExpectRefused(stream + "N", kDamaged, "goes on after its end");
  ExpectRefused(Stream(None() + None()), kDamaged, "more than one value");
  ExpectRefused(Stream(""), kDamaged, "empty stack");
  ExpectRefused(Stream("t"), kDamaged, "no mark");
  ExpectRefused(Stream("N(0"), kDamaged, "empty stack");
  ExpectRefused(Stream("]h\7"), kDamaged, "not remembered");
  ExpectRefused(Stream("}Na"), kDamaged, "no such container");
  ExpectRefused(Stream("}(Nu"), kDamaged, "without a value");
  ExpectRefused(Stream("N)R"), kDamaged, "no function");
  ExpectRefused(Stream(")N\x81"), kDamaged, "no object");
  ExpectRefused(Stream("NN\x93"), kDamaged, "no name");
  ExpectRefused("\x80\x06N.", kRefused, "protocol 6");
}

TEST(PickleTest, JsonOfOddValues) {
  EXPECT_EQ(Json(Stream(List({Float(1.0 / 0.0), Float(0.1), Text("\xff"), Text("\"\n")}))),
            "[\"inf\",0.1,\"\uFFFD\",\"\\\"\\n\"]");
}

}  // namespace
}  // namespace manyform
