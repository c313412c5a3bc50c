#include "model/safetensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/files.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

std::string TestPath(const std::string& name) { return testing::TempDir() + "/safetensors_" + name; }

std::string Bytes(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

absl::StatusOr<SafeTensors> Parse(const std::string& bytes) {
  return ParseSafeTensors("f", std::span(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
}

SafeTensors EveryType() {
  SafeTensors content;
  const at::Tensor values = at::tensor({0, 1, 1, 0, 1, 0}).view({2, 3});
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt,
                                    at::kShort, at::kChar, at::kByte, at::kBool, at::kUInt16})
    content.tensors.emplace_back(c10::toString(type), values.to(type));
  content.tensors.emplace_back("scalar", at::scalar_tensor(2.5));
  content.tensors.emplace_back("empty", at::empty({3, 0}));
  content.tensors.emplace_back("strided", at::arange(6).view({2, 3}).t());
  content.metadata = {{"made", "for a \"test\""}, {"\xc3\xa9", ""}};
  return content;
}

TEST(SafeTensorsTest, WhatIsWrittenIsRead) {
  const SafeTensors content = EveryType();
  const std::string path = TestPath("all.safetensors");
  ASSERT_TRUE(WriteSafeTensors(path, content).ok());
  const SafeTensors read = ReadSafeTensors(path).value();
  EXPECT_EQ(read.metadata, content.metadata);
  ASSERT_EQ(read.tensors.size(), content.tensors.size());
  for (const auto& [name, tensor] : content.tensors) {
    const auto found = std::find_if(read.tensors.begin(), read.tensors.end(),
                                    [&name = name](const auto& item) { return item.first == name; });
    ASSERT_NE(found, read.tensors.end()) << name;
    EXPECT_EQ(found->second.scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(found->second.is_contiguous());
    EXPECT_TRUE(found->second.equal(tensor)) << name;
  }
}

TEST(SafeTensorsTest, OrderOfTensorsDoesNotMatterAndDataIsAligned) {
  SafeTensors content = EveryType();
  ASSERT_TRUE(WriteSafeTensors(TestPath("a"), content).ok());
  std::reverse(content.tensors.begin(), content.tensors.end());
  ASSERT_TRUE(WriteSafeTensors(TestPath("b"), content).ok());
  const std::string bytes = ReadFile(TestPath("a")).value();
  EXPECT_EQ(bytes, ReadFile(TestPath("b")).value());
  uint64_t length = 0;
  memcpy(&length, bytes.data(), 8);
  EXPECT_EQ((8 + length) % 64, 0u);
  // Largest items first, so each tensor starts at a multiple of its item's size.
  const SafeTensors read = ReadSafeTensors(TestPath("a")).value();
  EXPECT_TRUE(std::is_sorted(read.tensors.begin(), read.tensors.end(), [](const auto& a, const auto& b) {
    return a.second.element_size() > b.second.element_size();
  }));
}

TEST(SafeTensorsTest, ReadsAFileMadeByTheReferenceWriter) {
  const SafeTensors read = ReadSafeTensors("testdata/golden/e_model/weights/causal9.safetensors").value();
  ASSERT_EQ(read.tensors.size(), 32u);
  EXPECT_EQ(read.tensors.front().first, "backbone.enc.layers.0.linear1.bias");
  EXPECT_EQ(read.tensors.back().first, "type_emb.weight");
  EXPECT_EQ(read.tensors.back().second.sizes(), (std::vector<int64_t>{9, 48}));
}

TEST(SafeTensorsTest, RefusesWhatTheFormatCannotHold) {
  const at::Tensor one = at::ones({1});
  const std::string path = TestPath("refused");
  EXPECT_EQ(WriteSafeTensors(path, {{{"a", one}, {"a", one}}, {}}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(WriteSafeTensors(path, {{{"__metadata__", one}}, {}}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(WriteSafeTensors(path, {{{"\xff", one}}, {}}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(WriteSafeTensors(path, {{{"c", one.to(at::kComplexFloat)}}, {}}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(FileExists(path));
}

TEST(SafeTensorsTest, MissingFile) {
  EXPECT_EQ(ReadSafeTensors(TestPath("nowhere")).status().code(), absl::StatusCode::kNotFound);
}

struct Malformed {
  const char* header;
  size_t data;
  const char* message;
};

TEST(SafeTensorsTest, MalformedHeadersAreNamed) {
  const Malformed cases[] = {
      {"[]", 0, "no JSON object"},
      {"{", 0, "no JSON object"},
      {"{\"\xff\":{}}", 0, "no JSON object"},
      {R"({"__metadata__":{"a":1}})", 0, "'a' is no string"},
      {R"({"__metadata__":[]})", 0, "__metadata__ is no JSON object"},
      {R"({"x":3})", 0, "tensor 'x'"},
      {R"({"x":{"dtype":"F32","shape":[1]}})", 4, "expected exactly"},
      {R"({"x":{"dtype":7,"shape":[1],"data_offsets":[0,4]}})", 4, "dtype is no string"},
      {R"({"x":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})", 4, "shape is no list"},
      {R"({"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "no size"},
      {R"({"x":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4, "no size"},
      {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, "no pair"},
      {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "no range"},
      {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 3, "ends at byte 4 of 3"},
      {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, "not those of its shape"},
      {R"({"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0, "not those of"},
      {R"({"x":{"dtype":"F32","shape":[0,9223372036854775807,9],"data_offsets":[0,0]}})", 0, "refuses"},
      {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 5, "fill 4 bytes, but 5"},
      {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8, "starts at byte 4, expected 0"},
      {R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
       R"("y":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
       3, "tensor 'y'"},
      {R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
       R"("x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
       1, "'x' twice"},
  };
  for (const Malformed& c : cases) {
    const absl::Status status = Parse(Bytes(c.header, std::string(c.data, '\0'))).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << c.header;
    EXPECT_TRUE(absl::StrContains(status.message(), c.message)) << c.header << " gave " << status;
    EXPECT_TRUE(absl::StartsWith(status.message(), "f: ")) << status;
  }
}

TEST(SafeTensorsTest, OtherDamage) {
  const std::string header = R"({"x":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})";
  EXPECT_TRUE(Parse(Bytes(header, "\1")).ok());
  EXPECT_EQ(Parse(Bytes(header, "\2")).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Parse("\1").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Parse(std::string(8, '\xff') + "{}").status().code(), absl::StatusCode::kDataLoss);
  const std::string foreign = R"({"x":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})";
  EXPECT_EQ(Parse(Bytes(foreign, "\1")).status().code(), absl::StatusCode::kUnimplemented);
  // Every truncation of a whole file is refused.
  const std::string whole = Bytes(header, "\1");
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(Parse(whole.substr(0, n)).ok()) << n;
}

}  // namespace
}  // namespace manyform
