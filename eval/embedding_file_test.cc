#include "eval/embedding_file.h"

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

EmbeddedShapes Small() {
  EmbeddedShapes shapes = {.embedding = {1, 2, 3, -4, 5.5, 6},
                           .features = 2,
                           .labels = {1, 0, 1},
                           .class_names = {"chair", "tablé"},
                           .keys = {"tablé/a", "chair/b", "tablé/c"}};
  shapes.record.set_stage("embed");
  shapes.record.set_label("run");
  shapes.record.set_protocol_signature("abc");
  Setting* setting = shapes.record.add_settings();
  setting->set_name("pooling");
  setting->set_json("\"mean_a\"");
  return shapes;
}

TEST(EmbeddingFile, ComesBackAsItWent) {
  const std::string path = testing::TempDir() + "/small.npz";
  ASSERT_TRUE(WriteEmbeddings(path, Small()).ok());
  const absl::StatusOr<EmbeddedShapes> back = ReadEmbeddings(path);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->embedding, Small().embedding);
  EXPECT_EQ(back->features, 2);
  EXPECT_EQ(back->labels, Small().labels);
  EXPECT_EQ(back->class_names, Small().class_names);
  EXPECT_EQ(back->keys, Small().keys);
  EXPECT_EQ(back->record.SerializeAsString(), Small().record.SerializeAsString());
  const std::string bytes = *ReadFile(path);
  ASSERT_TRUE(WriteEmbeddings(path, Small()).ok());
  EXPECT_EQ(*ReadFile(path), bytes) << "equal content is equal bytes";
}

TEST(EmbeddingFile, ArraysAreWhatNumPyUsersExpect) {
  const std::string path = testing::TempDir() + "/arrays.npz";
  ASSERT_TRUE(WriteEmbeddings(path, Small()).ok());
  const NpzReader npz = NpzReader::Open(path).value();
  std::vector<std::string> names;
  for (const NpzMember& member : npz.members()) names.push_back(member.name);
  EXPECT_EQ(names, (std::vector<std::string>{"embedding", "label", "class_names", "key", "record"}));
  EXPECT_EQ(npz.Read("embedding", true)->dtype, DType::kF32);
  EXPECT_EQ(npz.Read("embedding")->shape, (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(npz.Read("label", true)->dtype, DType::kI64);
  EXPECT_EQ(npz.Read("key", true)->dtype, DType::kUnicode);
  EXPECT_EQ(npz.Read("class_names")->Strings().value()[1], "tablé");
}

TEST(EmbeddingFile, OthersMayWriteItToo) {
  const std::string path = testing::TempDir() + "/foreign.npz";
  const NamedArray arrays[] = {{"key", MakeStringArray({"a/0", "b/0"})},
                               {"class_names", MakeStringArray({"a", "b"})},
                               {"label", MakeArray<int32_t>({0, 1}, {2})},
                               {"embedding", MakeArray<double>({1, 2, 3, 4, 5, 6}, {2, 3})}};
  ASSERT_TRUE(WriteNpz(path, arrays, {.compress = true}).ok());
  const absl::StatusOr<EmbeddedShapes> shapes = ReadEmbeddings(path);
  ASSERT_TRUE(shapes.ok()) << shapes.status();
  EXPECT_EQ(shapes->features, 3);
  EXPECT_EQ(shapes->embedding[4], 5);
  EXPECT_EQ(shapes->record.ByteSizeLong(), 0);
}

TEST(EmbeddingFile, WhatDoesNotFitIsNamed) {
  const std::string path = testing::TempDir() + "/wrong.npz";
  const auto message = [&](const std::function<void(EmbeddedShapes*)>& change) {
    EmbeddedShapes shapes = Small();
    change(&shapes);
    EXPECT_TRUE(WriteEmbeddings(path, shapes).ok());
    const absl::Status status = ReadEmbeddings(path).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), path)) << status;
    return std::string(status.message());
  };
  EXPECT_TRUE(absl::StrContains(message([](auto* s) { s->labels[1] = 2; }), "label: 2, expected 0 to 1"));
  EXPECT_TRUE(absl::StrContains(message([](auto* s) { s->labels[1] = -1; }), "label"));
  EXPECT_TRUE(absl::StrContains(message([](auto* s) { s->embedding[2] = NAN; }), "not finite"));
  EXPECT_TRUE(absl::StrContains(message([](auto* s) { s->class_names[1] = "chair"; }), "class_names"));
  EXPECT_TRUE(
      absl::StrContains(message([](auto* s) { s->keys.pop_back(); }), "key: shape (2), expected (3)"));
  EXPECT_TRUE(absl::StrContains(message([](auto* s) { *s = {.class_names = {"a"}}; }), "embedding"));
  EXPECT_EQ(ReadEmbeddings("nothing.npz").status().code(), absl::StatusCode::kNotFound);

  const NamedArray words[] = {{"embedding", MakeStringArray({"a"})}};
  ASSERT_TRUE(WriteNpz(path, words).ok());
  EXPECT_FALSE(ReadEmbeddings(path).ok());
  const NamedArray alone[] = {{"embedding", MakeArray<float>({1}, {1, 1})}};
  ASSERT_TRUE(WriteNpz(path, alone).ok());
  EXPECT_TRUE(absl::StrContains(ReadEmbeddings(path).status().message(), "label"));
}

}  // namespace
}  // namespace manyform
