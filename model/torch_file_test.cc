#include "model/torch_file.h"

#include <ATen/ATen.h>

#include <limits>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/files.h"
#include "gtest/gtest.h"
#include "model/safetensors.h"
#include "model/testing/make_torch_file.h"

namespace manyform {
namespace {

using namespace pickled;  // NOLINT: opcodes by name

constexpr char kSeeds[] = "testdata/fuzz/torch_file/";

std::string TestPath(const std::string& name) { return testing::TempDir() + "/torch_file_" + name; }

at::Tensor TensorAt(const TorchFile& file, const std::string& key) {
  const PickleValue* value = file.root().Find(key);
  const at::Tensor* tensor = value == nullptr ? nullptr : file.TensorOf(*value);
  return tensor == nullptr ? at::Tensor() : *tensor;
}

absl::Status OpenError(const TorchFileMaker& maker, const Code& root, const std::string& order = "little") {
  maker.Write(TestPath("bad.pt"), root, order);
  return TorchFile::Open(TestPath("bad.pt")).status();
}
void ExpectError(const absl::Status& status, absl::StatusCode code, const std::string& what) {
  EXPECT_EQ(status.code(), code) << status << ", expected " << what;
  EXPECT_TRUE(absl::StrContains(status.message(), what)) << status << ", expected " << what;
}
constexpr auto kRefused = absl::StatusCode::kInvalidArgument;
constexpr auto kDamaged = absl::StatusCode::kDataLoss;

const Code kFloatStorage = Global("torch", "FloatStorage");
std::string Twelve() {
  const at::Tensor values = at::arange(12, at::kFloat);
  return {static_cast<const char*>(values.const_data_ptr()), values.nbytes()};
}

TEST(TorchFileTest, PublishedWeightsAreThoseOfTheirSafetensors) {
  const TorchFile file = TorchFile::Open("testdata/golden/f_eval/ckpt/qa.pt").value();
  const NamedTensors expected = ReadSafeTensors("testdata/golden/f_eval/ckpt/qa.safetensors").value().tensors;
  const PickleValue& model = *file.root().Find("model");
  ASSERT_EQ(model.items.size(), 2 * expected.size());
  for (const auto& [name, tensor] : expected) {
    ASSERT_NE(model.Find(name), nullptr) << name;
    EXPECT_TRUE(file.TensorOf(*model.Find(name))->equal(tensor)) << name;
  }
  EXPECT_EQ(file.root().Find("step")->integer, 30);
  EXPECT_EQ(file.root().Find("args")->Find("qa_layout")->text, "interleave");
}

TEST(TorchFileTest, ViewsKeepTheirStridesAndShareStorage) {
  const TorchFile file = TorchFile::Open(std::string(kSeeds) + "views.pt").value();
  const at::Tensor stored = at::arange(12, at::kFloat) * 0.01;
  const at::Tensor row = TensorAt(file, "row"), column = TensorAt(file, "column");
  EXPECT_TRUE(row.allclose(stored.view({3, 4})));
  EXPECT_TRUE(column.equal(row.t()));
  EXPECT_FALSE(column.is_contiguous());
  EXPECT_EQ(row.const_data_ptr(), column.const_data_ptr());
  EXPECT_TRUE(TensorAt(file, "tail").allclose(stored.slice(0, 8)));
  EXPECT_TRUE(TensorAt(file, "wide").allclose(stored.slice(0, 2, 5).expand({5, 3})));
  EXPECT_EQ(TensorAt(file, "empty").sizes(), (std::vector<int64_t>{0, 7}));
  EXPECT_EQ(TensorAt(file, "scalar").dim(), 0);
  EXPECT_NEAR(TensorAt(file, "scalar").item<float>(), 0.11, 1e-6);
  EXPECT_TRUE(TensorAt(file, "parameter").allclose(stored.slice(0, 0, 2)));
  EXPECT_EQ(file.TensorOf(file.root()), nullptr);
}

TEST(TorchFileTest, EveryDtype) {
  const TorchFile file = TorchFile::Open(std::string(kSeeds) + "views.pt").value();
  for (const auto& [key, type] : {std::pair("double", at::kDouble),
                                  {"long", at::kLong},
                                  {"bool", at::kBool},
                                  {"half", at::kHalf},
                                  {"uint16", at::kUInt16}})
    EXPECT_EQ(TensorAt(file, key).scalar_type(), type) << key;
  EXPECT_TRUE(TensorAt(file, "bool").equal(at::tensor({1, 0, 1, 0}).view({2, 2}).to(at::kBool)));
  EXPECT_EQ(TensorAt(file, "uint16").to(at::kLong)[1].item<int64_t>(), 3 * 256 + 2);
  for (const auto& [name, type] : {std::pair("DoubleStorage", at::kDouble),
                                   {"FloatStorage", at::kFloat},
                                   {"HalfStorage", at::kHalf},
                                   {"BFloat16Storage", at::kBFloat16},
                                   {"LongStorage", at::kLong},
                                   {"IntStorage", at::kInt},
                                   {"ShortStorage", at::kShort},
                                   {"CharStorage", at::kChar},
                                   {"ByteStorage", at::kByte},
                                   {"BoolStorage", at::kBool}}) {
    const at::Tensor values = at::ones({3}, type);
    TorchFileMaker maker;
    const std::string key = maker.Add({static_cast<const char*>(values.const_data_ptr()), values.nbytes()});
    maker.Write(TestPath("dtype.pt"),
                Dict({{Text("t"), Tensor(Storage(Global("torch", name), key, 3), 0, {3}, {1})}}));
    EXPECT_TRUE(TensorAt(TorchFile::Open(TestPath("dtype.pt")).value(), "t").equal(values)) << name;
  }
}

TEST(TorchFileTest, PackedFilesAndLaterProtocolsToo) {
  for (const char* name : {"checkpoint.pt", "namespace_deflated.pt", "protocol4.pt"}) {
    const absl::StatusOr<TorchFile> file = TorchFile::Open(std::string(kSeeds) + name);
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ(file->root().Find("model")->items.size(), 40u);
    EXPECT_EQ(file->root().Find("args")->Find("heads")->integer, 1);
  }
}

TEST(TorchFileTest, TensorsStayWithinTheirStorage) {
  TorchFileMaker maker;
  const Code storage = Storage(kFloatStorage, maker.Add(Twelve()), 12);
  const auto error = [&](const Code& tensor) { return OpenError(maker, List({tensor})); };
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  EXPECT_TRUE(error(Tensor(storage, 0, {3, 4}, {4, 1})).ok());
  for (const Code& beyond :
       {Tensor(storage, 1, {3, 4}, {4, 1}), Tensor(storage, 0, {13}, {1}), Tensor(storage, 12, {}, {}),
        Tensor(storage, 0, {2, 2}, {11, 1}), Tensor(storage, 13, {0}, {1}), Tensor(storage, kHuge, {2}, {1}),
        Tensor(storage, 0, {kHuge, kHuge}, {0, 0}), Tensor(storage, 0, {3}, {kHuge})})
    ExpectError(error(beyond), kDamaged, "beyond its storage of 12");
  for (const Code& odd : {Tensor(storage, -1, {1}, {1}), Tensor(storage, 0, {-1}, {1}),
                          Tensor(storage, 0, {1}, {-1}), Tensor(storage, 0, {1, 1}, {1})})
    ExpectError(error(odd), kDamaged, "offset, sizes or strides");
  ExpectError(error(Tensor(storage, 0, {1 << 20, 12}, {0, 1})), kRefused, "more than 16 times");
  ExpectError(error(Tensor(Storage(kFloatStorage, "0", 13), 0, {1}, {1})), kDamaged, "48 bytes");
  ExpectError(error(Tensor(Storage(kFloatStorage, "0", -1), 0, {1}, {1})), kDamaged, "48 bytes");
  ExpectError(error(Tensor(Storage(kFloatStorage, "7", 12), 0, {1}, {1})), absl::StatusCode::kNotFound,
              "data/7");
}

TEST(TorchFileTest, OnlyTensorsAreMade) {
  TorchFileMaker maker;
  const Code storage = Storage(kFloatStorage, maker.Add(Twelve()), 12);
  const auto error = [&](const Code& value) { return OpenError(maker, List({value})); };
  ExpectError(error(Call(Global("torch._utils", "_rebuild_tensor_v2"), {storage})), kRefused, "1 arguments");
  ExpectError(error(Call(kFloatStorage, {Int(3)})), kRefused, "calls torch.FloatStorage");
  ExpectError(error(kFloatStorage), kRefused, "as a value");
  ExpectError(error(storage), kRefused, "outside of a tensor");
  ExpectError(error(Call(Global("os", "getcwd"), {})), kRefused, "asks for os.getcwd");
  ExpectError(error(Tensor(Ints({1, 2, 3, 4, 5}), 0, {1}, {1})), kDamaged, "storage is none");
  ExpectError(error(Tensor(Text("x") + "Q", 0, {1}, {1})), kDamaged, "storage is none");
  ExpectError(error(Tensor(Storage(Global("torch", "float32"), "0", 12), 0, {1}, {1})), kRefused,
              "unknown type");
  ExpectError(error(Call(Global("torch._utils", "_rebuild_parameter"), {Int(1), Bool(true), Dict({})})),
              kDamaged, "parameter");
  const auto with_metadata = [&](const Code& metadata) {
    return Call(Global("torch._utils", "_rebuild_tensor_v2"),
                {storage, Int(0), Ints({1}), Ints({1}), Bool(false), Ordered({}), metadata});
  };
  EXPECT_TRUE(error(with_metadata(None())).ok());
  ExpectError(error(with_metadata(Dict({{Text("neg"), Bool(true)}}))), kRefused, "metadata");
  const std::string key = maker.Add(std::string("\0\2", 2));
  ExpectError(error(Tensor(Storage(Global("torch", "BoolStorage"), key, 2), 0, {1}, {1})), kDamaged, "bool");
}

TEST(TorchFileTest, FilesThatAreNone) {
  ExpectError(TorchFile::Open(TestPath("none.pt")).status(), absl::StatusCode::kNotFound, "none.pt");
  ExpectError(TorchFile::Open(std::string(kSeeds) + "big_endian.pt").status(),
              absl::StatusCode::kUnimplemented, "big-endian");
  ExpectError(TorchFile::Open(std::string(kSeeds) + "missing_storage.pt").status(),
              absl::StatusCode::kNotFound, "data/1");
  ExpectError(TorchFile::Open(std::string(kSeeds) + "truncated.pt").status(), kRefused, "PyTorch 1.6");
  ASSERT_TRUE(WriteFileAtomically(TestPath("legacy.pt"), "\x80\x02\x8a\nl\xfc\x9c").ok());
  ExpectError(TorchFile::Open(TestPath("legacy.pt")).status(), kRefused, "PyTorch 1.6");
  MakeZip(TestPath("two.pt"), {{"a/data.pkl", "N."}, {"b/data.pkl", "N."}});
  ExpectError(TorchFile::Open(TestPath("two.pt")).status(), kRefused, "2 members");
  MakeZip(TestPath("other.pt"), {{"a/b", "c"}});
  ExpectError(TorchFile::Open(TestPath("other.pt")).status(), kRefused, "0 members");
}

TEST(TorchFileTest, DamagedBytesNeverCrash) {
  const std::string bytes = ReadFile(std::string(kSeeds) + "views.pt").value();
  std::string damaged = bytes;
  int whole = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    damaged[i] = static_cast<char>(bytes[i] ^ 0x41);
    const auto file = TorchFile::Parse("x", {reinterpret_cast<const uint8_t*>(damaged.data()), bytes.size()});
    whole += file.ok() ? 1 : 0;
    damaged[i] = bytes[i];
  }
  // Checksums guard the content; times and versions in the zip's headers mean nothing.
  EXPECT_LT(whole, static_cast<int>(bytes.size() / 4));
}

}  // namespace
}  // namespace manyform
