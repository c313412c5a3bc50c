#include "data/batch_loader.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "data/tokens.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

constexpr int64_t kLength = 3;

absl::StatusOr<std::vector<Draw>> SevenDraws(int64_t epoch) {
  std::vector<Draw> draws(7);
  for (int64_t i = 0; i < 7; ++i) draws[i] = {static_cast<int32_t>(i % 2), epoch * 10 + i};
  return draws;
}

// Features say which draw they are of; slow at times, so that workers finish out of order.
absl::Status SayWhich(const Draw& draw, int64_t epoch, int64_t index, std::span<float> feat,
                      std::span<uint8_t> type) {
  if ((draw.shape + epoch) % 3 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  for (size_t i = 0; i < feat.size(); ++i) feat[i] = 1000.0f * draw.shape + 100.0f * index + i;
  for (uint8_t& t : type) t = static_cast<uint8_t>(draw.dataset);
  return absl::OkStatus();
}

BatchLoader::Options Base() {
  BatchLoader::Options options;
  options.batch = 2;
  options.draws = SevenDraws;
  options.fill = SayWhich;
  options.length = kLength;
  options.epochs = 3;
  return options;
}

std::unique_ptr<BatchLoader> Create(BatchLoader::Options options) {
  absl::StatusOr<std::unique_ptr<BatchLoader>> loader = BatchLoader::Create(std::move(options));
  EXPECT_TRUE(loader.ok()) << loader.status();
  return *std::move(loader);
}

// A batch that stays when the loader goes on.
struct Copy {
  explicit Copy(const Batch& b)
      : batch(b), feat(b.feat.begin(), b.feat.end()), type(b.type.begin(), b.type.end()) {
    batch.feat = feat;
    batch.type = type;
  }
  Copy(Copy&&) = default;
  Batch batch;
  std::vector<float> feat;
  std::vector<uint8_t> type;
};

std::vector<Copy> All(BatchLoader::Options options) {
  const std::unique_ptr<BatchLoader> loader = Create(std::move(options));
  std::vector<Copy> batches;
  while (true) {
    const absl::StatusOr<const Batch*> batch = loader->Next();
    EXPECT_TRUE(batch.ok()) << batch.status();
    if (!batch.ok() || *batch == nullptr) break;
    batches.emplace_back(**batch);
  }
  // And again after the end.
  EXPECT_EQ(loader->Next().value(), nullptr);
  return batches;
}

void ExpectSame(const Batch& a, const Copy& copy) {
  const Batch& b = copy.batch;
  EXPECT_EQ(a.epoch, b.epoch);
  EXPECT_EQ(a.index, b.index);
  EXPECT_EQ(a.size, b.size);
  EXPECT_TRUE(std::equal(a.feat.begin(), a.feat.end(), b.feat.begin(), b.feat.end()));
  EXPECT_TRUE(std::equal(a.type.begin(), a.type.end(), b.type.begin(), b.type.end()));
  ASSERT_EQ(a.draws.size(), b.draws.size());
  for (size_t i = 0; i < a.draws.size(); ++i) EXPECT_EQ(a.draws[i].shape, b.draws[i].shape);
}

TEST(BatchLoader, BatchesHoldTheDrawsInOrder) {
  BatchLoader::Options options = Base();
  options.drop_last = false;
  const std::vector<Copy> batches = All(options);
  ASSERT_EQ(batches.size(), 12u);
  for (int64_t b = 0; b < 12; ++b) {
    const Batch& batch = batches[b].batch;
    EXPECT_EQ(batch.epoch, b / 4);
    EXPECT_EQ(batch.index, b % 4);
    EXPECT_EQ(batch.length, kLength);
    ASSERT_EQ(batch.size, b % 4 == 3 ? 1 : 2);
    ASSERT_EQ(batch.feat.size(), static_cast<size_t>(batch.size * kLength * kFeatures));
    ASSERT_EQ(batch.type.size(), static_cast<size_t>(batch.size * kLength));
    for (int64_t i = 0; i < batch.size; ++i) {
      const int64_t index = batch.index * 2 + i, shape = batch.epoch * 10 + index;
      EXPECT_EQ(batch.draws[i].shape, shape);
      EXPECT_EQ(batch.feat[i * kLength * kFeatures], 1000.0f * shape + 100.0f * index);
      EXPECT_EQ(batch.type[i * kLength], index % 2);
    }
  }
}

TEST(BatchLoader, ThreadsAndPrefetchDoNotShow) {
  for (const bool drop_last : {true, false}) {
    BatchLoader::Options options = Base();
    options.drop_last = drop_last;
    const std::vector<Copy> expected = All(options);
    EXPECT_EQ(expected.size(), drop_last ? 9u : 12u);
    for (const int workers : {2, 5}) {
      for (const int prefetch : {1, 3, 20}) {
        options.num_workers = workers;
        options.prefetch = prefetch;
        const std::vector<Copy> got = All(options);
        ASSERT_EQ(got.size(), expected.size());
        for (size_t i = 0; i < got.size(); ++i) ExpectSame(got[i].batch, expected[i]);
      }
    }
  }
}

TEST(BatchLoader, PartsMakeUpTheBatches) {
  BatchLoader::Options options = Base();
  options.batch = 5;
  options.drop_last = false;
  const std::vector<Copy> whole = All(options);
  for (const int64_t parts : {2, 3, 7}) {
    std::vector<std::vector<Copy>> all;
    options.parts = parts;
    for (options.part = 0; options.part < parts; ++options.part) all.push_back(All(options));
    for (size_t b = 0; b < whole.size(); ++b) {
      std::vector<float> feat;
      std::vector<uint8_t> type;
      int64_t next = 0;
      for (const std::vector<Copy>& part : all) {
        ASSERT_EQ(part.size(), whole.size());
        const Copy& own = part[b];
        EXPECT_EQ(own.batch.whole, whole[b].batch.size);
        EXPECT_EQ(own.batch.first, next);
        EXPECT_EQ(own.batch.draws.size(), static_cast<size_t>(own.batch.size));
        EXPECT_LE(own.batch.size, (5 + parts - 1) / parts);
        next += own.batch.size;
        feat.insert(feat.end(), own.feat.begin(), own.feat.end());
        type.insert(type.end(), own.type.begin(), own.type.end());
      }
      EXPECT_EQ(feat, whole[b].feat);
      EXPECT_EQ(type, whole[b].type);
    }
  }
  options.part = options.parts;
  EXPECT_EQ(BatchLoader::Create(options).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(BatchLoader, ResumesAnywhere) {
  const std::vector<Copy> expected = All(Base());
  BatchLoader::Options options = Base();
  options.num_workers = 3;
  for (size_t done = 0; done <= expected.size(); ++done) {
    // The end of an epoch can be told in two ways.
    for (const bool at_end : {false, true}) {
      options.first_epoch = done / 3;
      options.first_batch = done % 3;
      if (at_end && (done == 0 || options.first_batch != 0)) continue;
      if (at_end) {
        --options.first_epoch;
        options.first_batch = 3;
      }
      const std::vector<Copy> rest = All(options);
      ASSERT_EQ(rest.size(), expected.size() - done);
      for (size_t i = 0; i < rest.size(); ++i) ExpectSame(rest[i].batch, expected[done + i]);
    }
  }
}

TEST(BatchLoader, DoesNotRunAheadFurtherThanAsked) {
  std::atomic<int> filled = 0;
  BatchLoader::Options options = Base();
  options.num_workers = 4;
  options.prefetch = 2;
  options.fill = [&](const Draw&, int64_t, int64_t, std::span<float>, std::span<uint8_t>) {
    ++filled;
    return absl::OkStatus();
  };
  const std::unique_ptr<BatchLoader> loader = Create(options);
  for (int taken = 1; taken <= 4; ++taken) {
    ASSERT_NE(loader->Next().value(), nullptr);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    // Two sequences a batch: those taken, and two batches ahead.
    EXPECT_EQ(filled, 2 * (taken + 2));
  }
}

TEST(BatchLoader, ABatchIsValidUntilTheNext) {
  BatchLoader::Options options = Base();
  options.num_workers = 4;
  options.prefetch = 1;
  const std::vector<Copy> expected = All(options);
  const std::unique_ptr<BatchLoader> loader = Create(options);
  for (const Copy& e : expected) {
    const Batch* batch = loader->Next().value();
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    ExpectSame(*batch, e);
  }
}

TEST(BatchLoader, BuffersAreThoseThatWereGivenAndAreReused) {
  const std::vector<Copy> expected = All(Base());
  std::vector<std::weak_ptr<void>> given;
  std::vector<std::pair<const char*, size_t>> ranges;
  BatchLoader::Options options = Base();
  options.num_workers = 3;
  options.prefetch = 2;
  options.allocate = [&](size_t bytes) {
    const std::shared_ptr<char[]> memory(new char[bytes]);
    given.push_back(memory);
    ranges.emplace_back(memory.get(), bytes);
    return std::shared_ptr<void>(memory, memory.get());
  };
  {
    const std::unique_ptr<BatchLoader> loader = Create(options);
    for (const Copy& e : expected) {
      const Batch* batch = loader->Next().value();
      ExpectSame(*batch, e);
      EXPECT_TRUE(std::any_of(ranges.begin(), ranges.end(), [&](const auto& range) {
        const auto* at = reinterpret_cast<const char*>(batch->feat.data());
        const auto* end = reinterpret_cast<const char*>(batch->type.data() + batch->type.size());
        return at >= range.first && end <= range.first + range.second;
      }));
    }
  }
  EXPECT_EQ(given.size(), 3u);
  for (const std::weak_ptr<void>& memory : given) EXPECT_TRUE(memory.expired());
  options.allocate = [](size_t) { return nullptr; };
  EXPECT_EQ(BatchLoader::Create(options).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(BatchLoader, TheFirstErrorInOrderComesInItsTurn) {
  for (const int workers : {1, 4}) {
    BatchLoader::Options options = Base();
    options.num_workers = workers;
    options.fill = [](const Draw& draw, int64_t epoch, int64_t index, std::span<float> feat,
                      std::span<uint8_t> type) -> absl::Status {
      // Later ones fail sooner.
      if (draw.shape >= 12) return absl::DataLossError(absl::StrCat("shape ", draw.shape));
      return SayWhich(draw, epoch, index, feat, type);
    };
    const std::unique_ptr<BatchLoader> loader = Create(options);
    for (int i = 0; i < 4; ++i) ASSERT_NE(loader->Next().value(), nullptr);
    for (int again = 0; again < 2; ++again) {
      const absl::Status status = loader->Next().status();
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
      EXPECT_EQ(status.message(), "shape 12");
    }
  }
}

TEST(BatchLoader, WhatIsThrownBecomesAStatus) {
  BatchLoader::Options options = Base();
  options.num_workers = 2;
  options.fill = [](const Draw&, int64_t, int64_t, std::span<float>, std::span<uint8_t>) -> absl::Status {
    throw std::runtime_error("thrown");
  };
  EXPECT_EQ(Create(options)->Next().status().code(), absl::StatusCode::kInternal);
}

TEST(BatchLoader, DrawsThatFailComeAfterTheEpochBefore) {
  std::atomic<int> asked = 0;
  BatchLoader::Options options = Base();
  options.num_workers = 3;
  options.draws = [&](int64_t epoch) -> absl::StatusOr<std::vector<Draw>> {
    ++asked;
    if (epoch == 1) return absl::NotFoundError("no draws");
    return SevenDraws(epoch);
  };
  const std::unique_ptr<BatchLoader> loader = Create(options);
  for (int i = 0; i < 3; ++i) ASSERT_NE(loader->Next().value(), nullptr);
  EXPECT_EQ(loader->Next().status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(asked, 2);
}

TEST(BatchLoader, AnEpochWithoutABatchIsAnError) {
  BatchLoader::Options options = Base();
  options.batch = 8;
  EXPECT_EQ(Create(options)->Next().status().code(), absl::StatusCode::kInvalidArgument);
  options.drop_last = false;
  EXPECT_EQ(Create(options)->Next().value()->size, 7);
  options.first_batch = 2;
  const absl::Status status = Create(options)->Next().status();
  EXPECT_TRUE(absl::StrContains(status.message(), "first_batch is 2")) << status;
}

TEST(BatchLoader, StopsWithoutFinishingWhatNobodyAskedFor) {
  std::atomic<int> filled = 0;
  BatchLoader::Options options = Base();
  options.batch = 1000;
  options.num_workers = 4;
  options.draws = [](int64_t) { return std::vector<Draw>(100000); };
  options.fill = [&](const Draw&, int64_t, int64_t, std::span<float>, std::span<uint8_t>) {
    ++filled;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return absl::OkStatus();
  };
  { const std::unique_ptr<BatchLoader> loader = Create(options); }
  EXPECT_LT(filled, 1000);
}

TEST(BatchLoader, RefusesOptionsByName) {
  const auto expect = [](auto change, const char* name) {
    BatchLoader::Options options = Base();
    change(options);
    const absl::Status status = BatchLoader::Create(options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(absl::StrContains(status.message(), name)) << status;
  };
  expect([](auto& o) { o.batch = 0; }, "batch");
  expect([](auto& o) { o.length = 0; }, "length");
  expect([](auto& o) { o.num_workers = 0; }, "num_workers");
  expect([](auto& o) { o.prefetch = 0; }, "prefetch");
  expect([](auto& o) { o.first_epoch = -1; }, "first_epoch");
  expect([](auto& o) { o.batch = o.length = int64_t{1} << 40; }, "memory");
  expect([](auto& o) { o.fill = nullptr; }, "fill");
}

}  // namespace
}  // namespace manyform
