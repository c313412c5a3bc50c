#include "eval/class_sets.h"

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

using Names = std::vector<std::string>;

TEST(CheckSameClasses, NamesWhatDiffersOnEitherSide) {
  EXPECT_TRUE(CheckSameClasses("c/test", Names{"b", "a"}, Names{"a", "b"}).ok());
  EXPECT_EQ(CheckSameClasses("c/test", Names{"a", "x", "y"}, Names{"a", "b"}).message(),
            "c/test has 'x', 'y', which the classifier does not know; and has none of its 'b'");
  EXPECT_EQ(CheckSameClasses("c/test", Names{"a"}, Names{"a", "b"}).message(), "c/test has none of its 'b'");
}

TEST(RelabelledAs, FollowsTheNames) {
  const EmbeddedShapes shapes = {.labels = {0, 2, 2}, .class_names = {"chair", "lamp", "table"}};
  EXPECT_EQ(RelabelledAs(Names{"table", "chair"}, shapes).value(), (std::vector<int64_t>{1, 0, 0}))
      << "no shape is a lamp";
  const absl::Status status = RelabelledAs(Names{"chair"}, shapes).status();
  EXPECT_EQ(status.message(), "test has shapes of 'table', of which train has none");
}

}  // namespace
}  // namespace manyform
