#include "data/npz.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <numeric>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "data/npy.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace manyform {
namespace {

std::string TestPath(absl::string_view name) { return absl::StrCat(testing::TempDir(), "/", name); }

std::vector<uint8_t> Bytes(const std::string& text) { return {text.begin(), text.end()}; }

// Opens and reads everything, as a user of a damaged file would.
absl::Status ReadAll(std::vector<uint8_t> bytes) {
  absl::StatusOr<NpzReader> npz = NpzReader::FromBytes("x.npz", std::move(bytes));
  if (!npz.ok()) return npz.status();
  for (const NpzMember& member : npz->members()) {
    absl::StatusOr<Array> array = npz->Read(member.name, /*verify=*/true);
    if (!array.ok()) return array.status();
  }
  return absl::OkStatus();
}

class GoldenCache : public testing::TestWithParam<const char*> {};

// Shapes, dtypes and sums as the published system's own report of its files has them.
TEST_P(GoldenCache, HoldsWhatItsReportSays) {
  const auto report = nlohmann::json::parse(*ReadFile("testdata/golden/b_shapes/params.json"));
  const std::map<std::string, DType> dtypes = {
      {"float32", DType::kF32}, {"float16", DType::kF16}, {"uint8", DType::kU8}, {"int32", DType::kI32}};
  for (const auto& shape : report["shapes"]) {
    if (shape["name"] != GetParam()) continue;
    auto npz = NpzReader::Open("testdata/golden/b_shapes/" + shape["cache"].get<std::string>());
    ASSERT_TRUE(npz.ok()) << npz.status();
    EXPECT_EQ(npz->members().size(), shape["arrays"].size());
    for (const auto& [name, described] : shape["arrays"].items()) {
      auto array = npz->Read(name);
      ASSERT_TRUE(array.ok()) << array.status();
      EXPECT_EQ(array->shape, described[0].get<std::vector<int64_t>>()) << name;
      EXPECT_EQ(array->dtype, dtypes.at(described[1])) << name;
    }
    const std::vector<float> hits = *npz->Read("ray_hit_pool")->Values<float>();
    EXPECT_EQ(std::accumulate(hits.begin(), hits.end(), 0.0), shape["ray_hit_sum"].get<double>());
    EXPECT_EQ(npz->Read("df_grid")->Values<int64_t>()->at(0), shape["params"]["df_grid"].get<int64_t>());
    return;
  }
  FAIL() << "no report of " << GetParam();
}

INSTANTIATE_TEST_SUITE_P(Shapes, GoldenCache,
                         testing::Values("sphere", "box", "torus", "capsule", "lshape", "two", "sheet",
                                         "dirty"));

class NumpyFile : public testing::TestWithParam<const char*> {};

template <class T>
void ExpectArange(const NpzReader& npz, const std::string& dtype, T first) {
  for (const std::string order : {"c_", "f_"}) {
    auto array = npz.Read(order + dtype, true);
    ASSERT_TRUE(array.ok()) << array.status();
    EXPECT_EQ(array->fortran_order, order == "f_");
    EXPECT_EQ(array->shape, (std::vector<int64_t>{2, 3, 4}));
    const auto values = array->Values<T>();
    ASSERT_TRUE(values.ok()) << values.status();
    for (int i = 0; i < 24; ++i) EXPECT_EQ((*values)[i], static_cast<T>(first + i)) << order << dtype;
  }
}

TEST_P(NumpyFile, EveryDtypeInBothOrders) {
  auto npz = NpzReader::Open(GetParam());
  ASSERT_TRUE(npz.ok()) << npz.status();
  for (const char* dtype : {"f2", "f4", "f8", "i1", "i2", "i4", "i8"}) {
    ExpectArange<double>(*npz, dtype, -12);
    ExpectArange<float>(*npz, dtype, -12);
  }
  for (const char* dtype : {"u1", "u2", "u4", "u8"}) ExpectArange<int64_t>(*npz, dtype, 0);
  ExpectArange<int32_t>(*npz, "i8", -12);
  ExpectArange<int8_t>(*npz, "i1", -12);
  EXPECT_FALSE(npz->Read("c_i4")->Values<uint8_t>().ok());
  EXPECT_FALSE(npz->Read("c_f4")->Values<int32_t>().ok());
  EXPECT_FALSE(npz->Read("f_f4")->View<float>().ok());
  EXPECT_TRUE(npz->Read("c_f8")->View<double>().ok());
  EXPECT_EQ(*npz->Read("bool")->Values<uint8_t>(), (std::vector<uint8_t>{1, 0, 1}));
  EXPECT_EQ(*npz->Read("scalar")->Values<double>(), std::vector<double>{2.5});
  EXPECT_TRUE(npz->Read("scalar")->shape.empty());
  EXPECT_EQ(npz->Read("empty")->Values<float>()->size(), 0u);
  EXPECT_EQ(*npz->Read("text")->Strings(),
            (std::vector<std::string>{"chair", "gr\xc3\xbcn", "", "\xf0\x9f\x98\x80"}));
  EXPECT_FALSE(npz->Read("text")->Values<float>().ok());
  EXPECT_EQ(npz->Read("nothing").status().code(), absl::StatusCode::kNotFound);
}

INSTANTIATE_TEST_SUITE_P(Stored, NumpyFile, testing::Values("testdata/npz/numpy_stored.npz"));
INSTANTIATE_TEST_SUITE_P(Deflated, NumpyFile, testing::Values("testdata/npz/numpy_deflated.npz"));

TEST(NpzReader, RefusesWhatItCannotRepresent) {
  const std::pair<const char*, const char*> cases[] = {
      {"big_endian", "big-endian"}, {"structured", "structured"}, {"object", "|O"}};
  for (const auto& [file, why] : cases) {
    const auto npz = NpzReader::Open(absl::StrCat("testdata/npz/numpy_", file, ".npz"));
    EXPECT_EQ(npz.status().code(), absl::StatusCode::kUnimplemented) << file;
    EXPECT_TRUE(absl::StrContains(npz.status().message(), why)) << npz.status();
    EXPECT_TRUE(absl::StrContains(npz.status().message(), "\"x\"")) << npz.status();
  }
  EXPECT_EQ(NpzReader::Open("testdata/npz/none.npz").status().code(), absl::StatusCode::kNotFound);
}

TEST(EncodeNpyHeader, IsNumpysByteForByte) {
  const auto padded = [](std::string dict) {
    dict.resize(117, ' ');
    return std::string("\x93NUMPY\x01\x00v\x00", 10) + dict + "\n";
  };
  const Array array = MakeArray<float>(std::vector<float>(12), {3, 4});
  EXPECT_EQ(EncodeNpyHeader(array), padded("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }"));
  EXPECT_EQ(EncodeNpyHeader(MakeArray<float>({1}, {})),
            padded("{'descr': '<f4', 'fortran_order': False, 'shape': (), }"));
  EXPECT_EQ(EncodeNpyHeader(MakeArray<uint8_t>({1, 2}, {2})),
            padded("{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }"));
}

TEST(ParseNpyHeader, LiteralsInAnyOrderAndQuotes) {
  const auto parse = [](const std::string& dict) {
    std::string npy("\x93NUMPY\x01\x00", 8);
    npy.push_back(static_cast<char>(dict.size()));
    npy.push_back(0);
    return ParseNpyHeader(Bytes(npy + dict), "x");
  };
  const auto header = parse("{\"shape\": (2L, 3), 'fortran_order' :True,'descr': '<i8'}");
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_TRUE(header->fortran_order);
  EXPECT_EQ(header->data_size, 48u);
  for (const char* bad : {
           "",
           "{",
           "{}",
           "{'descr': '<f4'}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)} x",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (3 4)}",
           "{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}",
           "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 3)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9223372036854775807, 3)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
           "{'descr': '<U99999999999', 'fortran_order': False, 'shape': (1,)}",
           "{'descr': '', 'fortran_order': False, 'shape': (1,)}",
           // Texts without characters: any number of them in no bytes.
           "{'descr': '<U0', 'fortran_order': False, 'shape': (140737488355327,)}",
       }) {
    EXPECT_FALSE(parse(bad).ok()) << bad;
  }
}

TEST(EncodeNpz, DataLiesAlignedAndEqualContentIsEqualBytes) {
  const std::vector<NamedArray> arrays = {{"a", MakeArray<uint8_t>({1, 2, 3}, {3})},
                                          {"a_longer_name", MakeArray<double>({0.5}, {1})},
                                          {"text", MakeStringArray({"lamp", "\xc3\xbc"})}};
  const std::string bytes = *EncodeNpz(arrays);
  EXPECT_EQ(bytes, *EncodeNpz(arrays));
  auto npz = NpzReader::FromBytes("x", Bytes(bytes));
  ASSERT_TRUE(npz.ok()) << npz.status();
  ASSERT_EQ(npz->members().size(), 3u);
  for (const NpzMember& member : npz->members()) {
    EXPECT_EQ(member.offset % 64, 0u);
    EXPECT_FALSE(member.compressed);
  }
  EXPECT_EQ(memcmp(bytes.data() + npz->members()[0].offset, "\1\2\3", 3), 0);
  EXPECT_EQ(*npz->Read("text")->Strings(), (std::vector<std::string>{"lamp", "\xc3\xbc"}));
}

TEST(StoredNpzSize, LooksAtNoDataAndRefusesWhatZipCannotHold) {
  std::vector<NamedArray> arrays = {{"x", Array{DType::kF32, 4, {1000, 3}}}};
  EXPECT_EQ(
      *StoredNpzSize(arrays),
      EncodeNpz(std::vector<NamedArray>{{"x", MakeArray(std::vector<float>(3000), {1000, 3})}})->size());
  arrays[0].array.shape = {1 << 15, 1 << 15};
  EXPECT_EQ(StoredNpzSize(arrays).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(EncodeNpz(arrays).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(EncodeNpz, RefusesNamesThatClash) {
  const Array a = MakeArray<float>({1}, {1});
  EXPECT_FALSE(EncodeNpz(std::vector<NamedArray>{{"a", a}, {"a", a}}).ok());
  EXPECT_FALSE(EncodeNpz(std::vector<NamedArray>{{"", a}}).ok());
  const auto status = WriteNpz(TestPath("clash.npz"), std::vector<NamedArray>{{"", a}});
  EXPECT_TRUE(absl::StrContains(status.message(), "clash.npz")) << status;
  EXPECT_FALSE(FileExists(TestPath("clash.npz")));
}

TEST(MakeHalfArray, RoundsToNearestEven) {
  // 1 + 2^-11 lies halfway between two halves, 65520 rounds beyond the largest.
  const Array half = MakeHalfArray(std::vector<float>{1, 1 + 0x1p-11f, 1 + 0x3p-11f, 0x1p-24f, 65520.f}, {5});
  const auto bits = reinterpret_cast<const uint16_t*>(half.data);
  EXPECT_EQ(std::vector<uint16_t>(bits, bits + 5),
            (std::vector<uint16_t>{0x3c00, 0x3c00, 0x3c02, 0x0001, 0x7c00}));
  EXPECT_EQ(half.Values<float>()->at(3), 0x1p-24f);
  EXPECT_TRUE(std::isinf(half.Values<float>()->at(4)));
}

// A random array of a random dtype, with random bytes (floats may be NaN: compared as bytes).
NamedArray RandomArray(int index, std::mt19937& random) {
  const DType dtypes[] = {DType::kF16, DType::kF32, DType::kF64, DType::kU8,  DType::kI8,  DType::kBool,
                          DType::kI16, DType::kU16, DType::kI32, DType::kU32, DType::kI64, DType::kU64};
  Array array;
  array.dtype = dtypes[random() % std::size(dtypes)];
  array.item_size = ItemSize(array.dtype);
  for (uint32_t rank = random() % 4; rank > 0; --rank) array.shape.push_back(random() % 9);
  array.fortran_order = random() % 2 == 0;
  auto bytes = std::make_shared<std::vector<uint8_t>>(array.size() * array.item_size);
  const bool compressible = random() % 2 == 0;
  for (uint8_t& byte : *bytes) byte = compressible ? random() % 2 : random();
  array.data = bytes->data();
  array.owner = bytes;
  return {absl::StrCat("array_", index, std::string(random() % 70, 'x')), array};
}

class RoundTrip : public testing::TestWithParam<bool> {};

TEST_P(RoundTrip, RandomArrays) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    std::vector<NamedArray> arrays;
    for (int i = random() % 6; i-- > 0;) arrays.push_back(RandomArray(i, random));
    const std::string path = TestPath(absl::StrCat("round_", seed, ".npz"));
    ASSERT_TRUE(WriteNpz(path, arrays, {.compress = GetParam()}).ok());
    if (!GetParam()) {
      EXPECT_EQ(*StoredNpzSize(arrays), std::filesystem::file_size(path));
    }
    auto npz = NpzReader::Open(path);
    ASSERT_TRUE(npz.ok()) << npz.status();
    ASSERT_EQ(npz->members().size(), arrays.size());
    for (const NamedArray& written : arrays) {
      auto read = npz->Read(written.name, true);
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_EQ(read->dtype, written.array.dtype);
      EXPECT_EQ(read->shape, written.array.shape);
      EXPECT_EQ(read->fortran_order, written.array.fortran_order);
      const int64_t bytes = read->size() * read->item_size;
      EXPECT_TRUE(std::equal(read->data, read->data + bytes, written.array.data));
    }
  }
}

TEST_P(RoundTrip, ArraysOutliveTheirReader) {
  std::vector<float> values(5000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 7);
  const std::string path = TestPath("outlive.npz");
  ASSERT_TRUE(
      WriteNpz(path, std::vector<NamedArray>{{"v", MakeArray(values, {5000})}}, {.compress = GetParam()})
          .ok());
  Array array;
  {
    auto npz = NpzReader::Open(path);
    array = *npz->Read("v");
  }
  const auto view = array.View<float>();
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_TRUE(std::equal(view->begin(), view->end(), values.begin(), values.end()));
}

TEST_P(RoundTrip, EveryTruncationIsAnError) {
  std::mt19937 random(3);
  const std::vector<NamedArray> arrays = {
      RandomArray(0, random), RandomArray(1, random), {"z", MakeArray<float>({1, 2, 3}, {3})}};
  const std::vector<uint8_t> whole = Bytes(*EncodeNpz(arrays, {.compress = GetParam()}));
  ASSERT_TRUE(ReadAll(whole).ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(ReadAll({whole.begin(), whole.begin() + size}).code(), absl::StatusCode::kDataLoss) << size;
  }
}

// Content is under the checksum; the rest must be refused or make no difference, and nothing may crash.
TEST_P(RoundTrip, FlippedBitsNeverChangeContent) {
  const std::vector<NamedArray> arrays = {{"a", MakeArray<float>({1, 2, 3}, {3})},
                                          {"b", MakeArray<int32_t>({4, 5}, {2})}};
  const std::vector<uint8_t> whole = Bytes(*EncodeNpz(arrays, {.compress = GetParam()}));
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const uint8_t bit : {1, 16, 128}) {
      std::vector<uint8_t> damaged = whole;
      damaged[at] ^= bit;
      auto npz = NpzReader::FromBytes("x", damaged);
      if (!npz.ok()) continue;
      auto a = npz->Read("a", true);
      if (!a.ok()) continue;
      EXPECT_EQ(*a->Values<float>(), (std::vector<float>{1, 2, 3})) << at;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Stored, RoundTrip, testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Compressed, RoundTrip, testing::Values(true));

TEST(NpzReader, TruncatedGoldenFileIsAnError) {
  const std::vector<uint8_t> whole =
      Bytes(*ReadFile("testdata/golden/b_shapes/cache/train/class_d/dirty.npz"));
  ASSERT_TRUE(ReadAll(whole).ok());
  for (size_t size = 0; size < whole.size(); size += 97) {
    EXPECT_FALSE(ReadAll({whole.begin(), whole.begin() + size}).ok()) << size;
  }
}

// The end record and one directory entry of a zip, rewritten the way zip64 has them.
std::vector<uint8_t> AsZip64(const std::string& zip, uint64_t claimed_size) {
  const auto get32 = [&](size_t at) {
    uint32_t v;
    memcpy(&v, zip.data() + at, 4);
    return v;
  };
  const auto number = [](uint64_t v, int bytes) { return std::string(reinterpret_cast<char*>(&v), bytes); };
  const uint32_t directory = get32(zip.size() - 6);
  std::string entry = zip.substr(directory, zip.size() - 22 - directory);
  const uint64_t packed = get32(directory + 20);
  entry.replace(20, 8, std::string(8, '\xff'));
  entry.replace(30, 2, number(20, 2));
  entry += number(1, 2) + number(16, 2) + number(claimed_size, 8) + number(packed, 8);
  std::string out = zip.substr(0, directory) + entry;
  const uint64_t end64 = out.size();
  out += "PK\6\6" + number(44, 8) + number(45, 2) + number(45, 2) + number(0, 8) + number(1, 8) +
         number(1, 8) + number(entry.size(), 8) + number(directory, 8);
  out += "PK\6\7" + number(0, 4) + number(end64, 8) + number(1, 4);
  out +=
      "PK\5\6" + number(0, 4) + number(0xffffffffffffffff, 8) + number(0xffffffffffffffff, 4) + number(0, 2);
  return Bytes(out);
}

TEST(NpzReader, Zip64AndImpossibleSizes) {
  const std::vector<NamedArray> arrays = {{"a", MakeArray<float>(std::vector<float>(3000, 1), {3000})}};
  const std::string zip = *EncodeNpz(arrays, {.compress = true});
  const uint64_t size = 3000 * 4 + 128;
  EXPECT_TRUE(ReadAll(AsZip64(zip, size)).ok()) << ReadAll(AsZip64(zip, size));
  for (const uint64_t claimed : {uint64_t{1} << 40, ~uint64_t{0}, size + 1, size - 1, uint64_t{0}}) {
    EXPECT_EQ(ReadAll(AsZip64(zip, claimed)).code(), absl::StatusCode::kDataLoss) << claimed;
  }
}

TEST(Array, ConversionsThatLoseMeaningAreErrors) {
  EXPECT_FALSE(MakeArray<int64_t>({1, int64_t{1} << 40}, {2}).Values<int32_t>().ok());
  EXPECT_FALSE(MakeArray<int32_t>({-1}, {1}).Values<uint32_t>().ok());
  EXPECT_EQ(MakeArray<int64_t>({-5}, {1}).Values<double>()->at(0), -5.0);
  EXPECT_FALSE(MakeArray<float>({1}, {1}).View<double>().ok());
  const auto status = MakeArray<float>({1}, {1}).Values<int32_t>().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "<f4")) << status;
}

}  // namespace
}  // namespace manyform
