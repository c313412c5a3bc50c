#include "eval/confusion.h"

#include "gtest/gtest.h"

namespace manyform {
namespace {

TEST(Confusion, CountsByHand) {
  Confusion confusion(3);
  EXPECT_DOUBLE_EQ(confusion.Add(std::vector<int64_t>{0, 0, 1}, std::vector<int64_t>{0, 1, 1}), 2.0 / 3);
  EXPECT_DOUBLE_EQ(confusion.Add(std::vector<int64_t>{0}, std::vector<int64_t>{2}), 0);
  FinetuneResult result;
  const std::vector<std::string> names = {"a", "b", "c"};
  confusion.Write(names, result.mutable_classes(), result.mutable_confusion());
  EXPECT_EQ((std::vector<int64_t>{result.confusion().begin(), result.confusion().end()}),
            (std::vector<int64_t>{1, 1, 1, 0, 1, 0, 0, 0, 0}));
  ASSERT_EQ(result.classes_size(), 3);
  EXPECT_EQ(result.classes(0).class_name(), "a");
  EXPECT_EQ(result.classes(0).test_shapes(), 3);
  EXPECT_DOUBLE_EQ(result.classes(0).accuracy(), 1.0 / 3);
  EXPECT_DOUBLE_EQ(result.classes(1).accuracy(), 1);
  EXPECT_EQ(result.classes(2).test_shapes(), 0);
  EXPECT_FALSE(result.classes(2).has_accuracy());
}

}  // namespace
}  // namespace manyform
