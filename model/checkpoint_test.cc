#include "model/checkpoint.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/files.h"
#include "gtest/gtest.h"
#include "model/safetensors.h"

namespace manyform {
namespace {

std::string TestPath(const std::string& name) { return testing::TempDir() + "/checkpoint_" + name; }

Checkpoint Example() {
  Checkpoint checkpoint;
  CheckpointHeader& header = checkpoint.header;
  header.set_stage("pretrain");
  header.set_d_model(8);
  header.set_layers(2);
  header.set_heads(2);
  header.set_n_types(9);
  header.set_max_len(5);
  header.set_epoch(3);
  header.set_step(int64_t{1} << 40);
  header.set_qa_tokens(true);
  header.set_config("lr: 0.1\n");
  header.add_class_names("a \"b\"");
  const auto model = QueryTransformer::Create(ConfigOf(header), 1).value();
  for (const auto& [name, tensor] : model.parameters()) {
    checkpoint.model.emplace_back(name, tensor.detach());
    checkpoint.exp_avg.emplace_back(name, at::full_like(tensor, 0.5).detach());
    checkpoint.exp_avg_sq.emplace_back(name, at::full_like(tensor, 0.25).detach());
    checkpoint.step.emplace_back(name, at::scalar_tensor(7.0));
  }
  checkpoint.aux_heads.emplace_back("cls.weight", at::ones({2, 8}));
  checkpoint.rng.emplace_back("stream", at::arange(4));
  return checkpoint;
}

TEST(CheckpointTest, EverythingSurvives) {
  const Checkpoint written = Example();
  const std::string path = TestPath("all.safetensors");
  ASSERT_TRUE(WriteCheckpoint(path, written).ok());
  const Checkpoint read = ReadCheckpoint(path).value();
  EXPECT_EQ(read.header.SerializeAsString(), written.header.SerializeAsString());
  for (const auto group : {&Checkpoint::model, &Checkpoint::aux_heads, &Checkpoint::rng, &Checkpoint::exp_avg,
                           &Checkpoint::exp_avg_sq, &Checkpoint::step}) {
    EXPECT_EQ((read.*group).size(), (written.*group).size());
    EXPECT_EQ(HashTensors(read.*group), HashTensors(written.*group));
  }
  // The module's order, whatever the file's.
  EXPECT_EQ(read.model.front().first, "pos_emb");
  ASSERT_TRUE(WriteCheckpoint(TestPath("again.safetensors"), read).ok());
  EXPECT_EQ(ReadFile(path).value(), ReadFile(TestPath("again.safetensors")).value());
}

TEST(CheckpointTest, LoadedModelComputesWhatTheWrittenOneDid) {
  const std::string path = TestPath("load.safetensors");
  ASSERT_TRUE(WriteCheckpoint(path, Example()).ok());
  const LoadedModel loaded = LoadModel(path).value();
  const auto fresh = QueryTransformer::Create(ConfigOf(loaded.header), 1).value();
  const at::Tensor feat = at::ones({2, 5, 15}), type = at::ones({2, 5}, at::kLong);
  const Hidden a = loaded.model.Forward(feat, type), b = fresh.Forward(feat, type);
  EXPECT_TRUE(a.z_hat.equal(b.z_hat));
  EXPECT_FALSE(a.z_hat.requires_grad());
  EXPECT_EQ(loaded.header.step(), int64_t{1} << 40);
  EXPECT_EQ(loaded.hash, HashTensors(Example().model));
}

TEST(CheckpointTest, TheHashSeesNamesShapesAndBytesButNotOrder) {
  const at::Tensor a = at::arange(4), b = at::ones({2, 2}, at::kLong);
  const std::string hash = HashTensors({{"a", a}, {"b", b}});
  EXPECT_EQ(hash, HashTensors({{"b", b}, {"a", a}}));
  EXPECT_NE(hash, HashTensors({{"a", b}, {"b", a}}));
  EXPECT_NE(hash, HashTensors({{"a", a}, {"b", b.view({4})}}));
  EXPECT_NE(hash, HashTensors({{"a", a + 1}, {"b", b}}));
}

TEST(CheckpointTest, ForeignFilesAreRefusedWithAReason) {
  const Checkpoint example = Example();
  const std::string path = TestPath("foreign.safetensors");
  const auto message = [&](const absl::Status& write) {
    EXPECT_TRUE(write.ok()) << write;
    const absl::Status status = ReadCheckpoint(path).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(LoadModel(path).status(), status);
    return std::string(status.message());
  };
  EXPECT_TRUE(absl::StrContains(message(WriteSafeTensors(path, {example.model, {}})), "__metadata__"));
  EXPECT_TRUE(
      absl::StrContains(message(WriteSafeTensors(path, {{}, {{"manyform", "{\"colour\":3}"}}})), "header"));
  Checkpoint narrow = example;
  narrow.header.set_d_model(4);
  EXPECT_TRUE(absl::StrContains(message(WriteCheckpoint(path, narrow)), "pos_emb"));
  Checkpoint shallow = example;
  shallow.header.set_layers(1);
  EXPECT_TRUE(absl::StrContains(message(WriteCheckpoint(path, shallow)), "layers.1"));
  Checkpoint huge = example;
  huge.header.set_layers(2000000000);
  EXPECT_TRUE(absl::StrContains(message(WriteCheckpoint(path, huge)), "layers"));
  EXPECT_TRUE(absl::StrContains(
      message(WriteSafeTensors(path, {{{"stray", at::ones({1})}}, {{"manyform", "{}"}}})), "stray"));
}

TEST(CheckpointTest, ThreadsAndBatchTensors) {
  EXPECT_EQ(SetTensorThreads(1), 1);
  EXPECT_EQ(at::get_num_threads(), 1);
  EXPECT_GE(SetTensorThreads(0), 1);
  std::vector<float> feat(2 * 3 * 15);
  for (size_t i = 0; i < feat.size(); ++i) feat[i] = static_cast<float>(i);
  const at::Tensor features = FeatureTensor(feat.data(), 2, 3);
  EXPECT_EQ(features.data_ptr<float>(), feat.data());
  EXPECT_EQ(features[1][2][14].item<float>(), 89);
  const std::vector<uint8_t> type = {0, 1, 2, 8, 200, 255};
  const at::Tensor types = TypeTensor(type.data(), 2, 3);
  EXPECT_EQ(types.scalar_type(), at::kLong);
  EXPECT_EQ(types[1][2].item<int64_t>(), 255);
}

}  // namespace
}  // namespace manyform
