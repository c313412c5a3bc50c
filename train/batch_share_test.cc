#include "train/batch_share.h"

#include <ATen/ATen.h>

#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "train/testing/free_port.h"

namespace manyform {
namespace {

TEST(BatchShareTest, OneProcessHasItAll) {
  ProcessGroup group;
  const at::Tensor type = at::tensor({0, 5, 7, 4}, at::kLong).view({2, 2});
  const WholeBatch whole = GatherBatch(type, at::Tensor(), {.first = 0, .size = 2}, &group).value();
  EXPECT_TRUE(whole.type_id.equal(type));
  EXPECT_FALSE(whole.hit.defined());
  EXPECT_EQ(TotalsOf({0, 7}, &group).value(), (std::vector<int64_t>{0, 7}));
}

TEST(BatchShareTest, PartsArePutTogether) {
  constexpr int64_t kSize = 3, kLength = 5;
  const at::Tensor type = at::arange(kSize * kLength, at::kLong).remainder(9).view({kSize, kLength});
  const at::Tensor hit = type.eq(8).logical_or(type.eq(0));
  const int64_t port = FreePort(), begins[] = {0, 1, kSize};
  const auto member = [&](int64_t rank) {
    const ProcessPlace place = {.rank = rank, .size = 2, .master = "127.0.0.1", .port = port};
    const auto group = JoinProcessGroup(place, 20);
    ASSERT_TRUE(group.ok()) << group.status();
    const BatchPart part = {.first = begins[rank], .size = kSize};
    const auto own = [&](const at::Tensor& all) { return all.slice(0, begins[rank], begins[rank + 1]); };
    const WholeBatch whole = GatherBatch(own(type), own(hit), part, group->get()).value();
    EXPECT_TRUE(whole.type_id.equal(type));
    EXPECT_TRUE(whole.hit.equal(hit));
    const WholeBatch types = GatherBatch(own(type), at::Tensor(), part, group->get()).value();
    EXPECT_TRUE(types.type_id.equal(type));
    EXPECT_FALSE(types.hit.defined());
    const std::vector<int64_t> counts =
        rank == 0 ? std::vector<int64_t>{1, 0, 0} : std::vector<int64_t>{3, 2, 0};
    EXPECT_EQ(TotalsOf(counts, group->get()).value(), (std::vector<int64_t>{4, 2, 0}));
  };
  std::thread other(member, 1);
  member(0);
  other.join();
}

TEST(BatchShareTest, MicroBatchesAreEven) {
  const c10::Device cpu(c10::kCPU), gpu(c10::kCUDA, 0);
  EXPECT_EQ(MicroBatch(32, 1026, 0, cpu), 8);
  EXPECT_EQ(MicroBatch(32, 258, 0, cpu), 32);
  EXPECT_EQ(MicroBatch(32, 1, 0, cpu), 32);
  EXPECT_EQ(MicroBatch(32, 1026, 0, gpu), 32);
  EXPECT_EQ(MicroBatch(3, 100000, 0, cpu), 1);
  EXPECT_EQ(MicroBatch(9, 10, 8, gpu), 5);
  EXPECT_EQ(MicroBatch(9, 10, 100, cpu), 9);
}

}  // namespace
}  // namespace manyform
