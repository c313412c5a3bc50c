#include "eval/linear_svm.h"

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "base/numpy_random.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

struct Cloud {
  FeatureRows rows;
  std::vector<int64_t> labels;
};

// `classes` clusters of deviation 1 around corners `apart` away from the origin, classes taking turns.
Cloud Clusters(int64_t n, int64_t classes, double apart, uint32_t seed) {
  NumpyRandomState random(seed);
  Cloud cloud = {FeatureRows(n, 6), {}};
  for (int64_t i = 0; i < n; ++i) {
    cloud.labels.push_back(10 * (i % classes));
    for (int64_t f = 0; f < 6; ++f) cloud.rows(i, f) = random.Normal() + (f == i % classes ? apart : 0);
  }
  return cloud;
}

double Accuracy(const std::vector<int64_t>& predicted, const std::vector<int64_t>& labels) {
  int64_t right = 0;
  for (size_t i = 0; i < labels.size(); ++i) right += predicted[i] == labels[i];
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

TEST(LinearSvm, SeparatesWhatIsSeparable) {
  for (const int64_t classes : {2, 3, 5}) {
    const Cloud fitted = Clusters(60, classes, 12, 1), asked = Clusters(90, classes, 12, 2);
    const LinearSvm svm = LinearSvm::Fit(fitted.rows, fitted.labels, 1).value();
    EXPECT_EQ(svm.Predict(asked.rows), asked.labels) << classes;
  }
}

// Two points on a line: by symmetry b = 0, and w minimises w^2 / 2 + 2 c (1 - w)^2. The other class is its
// mirror image.
TEST(LinearSvm, FindsTheMinimumByHand) {
  FeatureRows rows(2, 1), asked(1, 1);
  rows << 1, -1;
  asked << 2;
  const std::vector<int64_t> labels = {7, 3};
  for (const double c : {0.01, 1.0, 100.0}) {
    const LinearSvm svm = LinearSvm::Fit(rows, labels, c).value();
    const FeatureRows decisions = svm.Decisions(asked);
    const double w = 4 * c / (1 + 4 * c);
    EXPECT_NEAR(decisions(0, 0), -2 * w, 1e-3 * w) << c;
    EXPECT_NEAR(decisions(0, 1), 2 * w, 1e-3 * w) << c;
    EXPECT_EQ(svm.Predict(rows), labels);
  }
}

TEST(LinearSvm, NeitherOrderOfRowsNorOfFeaturesMatters) {
  const Cloud fitted = Clusters(80, 4, 2, 3), asked = Clusters(200, 4, 2, 4);
  const std::vector<int64_t> expected = LinearSvm::Fit(fitted.rows, fitted.labels, 0.1)->Predict(asked.rows);
  NumpyRandomState random(5);
  const std::vector<int64_t> rows = random.Permutation(80), features = random.Permutation(6);
  Cloud moved = fitted, moved_asked = asked;
  for (int64_t i = 0; i < 80; ++i) {
    moved.labels[i] = fitted.labels[rows[i]];
    for (int64_t f = 0; f < 6; ++f) moved.rows(i, f) = fitted.rows(rows[i], features[f]);
  }
  for (int64_t f = 0; f < 6; ++f) moved_asked.rows.col(f) = asked.rows.col(features[f]);
  const std::vector<int64_t> got = LinearSvm::Fit(moved.rows, moved.labels, 0.1)->Predict(moved_asked.rows);
  EXPECT_GE(Accuracy(got, expected), 0.995) << "but for rounding at the border";
}

TEST(LinearSvm, ConstantFeaturesSayNothing) {
  Cloud cloud = Clusters(40, 4, 0, 6);
  cloud.rows.setConstant(0.3);
  const std::vector<int64_t> predicted = LinearSvm::Fit(cloud.rows, cloud.labels, 1)->Predict(cloud.rows);
  EXPECT_EQ(Accuracy(predicted, cloud.labels), 0.25);
}

TEST(LinearSvm, NeedsTwoClasses) {
  const std::vector<int64_t> labels = {4, 4};
  EXPECT_EQ(LinearSvm::Fit(FeatureRows::Ones(2, 3), labels, 1).status().code(),
            absl::StatusCode::kInvalidArgument);
}

// Label noise: a small penalty ignores it, a large one does not generalise as well.
TEST(ChoosePenalty, IsTheArgmaxOfAllFoldsWhateverTheThreads) {
  const Cloud cloud = Clusters(90, 3, 1.5, 7);
  const std::vector<double> grid = {1e3, 1e-7, 1e-2};
  const int64_t folds = 5;
  std::vector<int64_t> right(grid.size());
  for (size_t g = 0; g < grid.size(); ++g) {
    for (int64_t fold = 0; fold < folds; ++fold) {
      std::vector<int64_t> in, out;
      for (int64_t i = 0; i < 90; ++i) (i / 3 % folds == fold ? out : in).push_back(i);
      Cloud fitted = {FeatureRows(static_cast<int64_t>(in.size()), 6), {}};
      for (size_t j = 0; j < in.size(); ++j) {
        fitted.rows.row(static_cast<int64_t>(j)) = cloud.rows.row(in[j]);
        fitted.labels.push_back(cloud.labels[in[j]]);
      }
      const LinearSvm svm = LinearSvm::Fit(fitted.rows, fitted.labels, grid[g]).value();
      for (const int64_t i : out) right[g] += svm.Predict(cloud.rows.row(i))[0] == cloud.labels[i];
    }
  }
  const auto most = *std::max_element(right.begin(), right.end());
  double expected = 1e9;
  for (size_t g = 0; g < grid.size(); ++g)
    if (right[g] == most) expected = std::min(expected, grid[g]);
  for (const int threads : {1, 3})
    EXPECT_EQ(ChoosePenalty(cloud.rows, cloud.labels, grid, folds, threads).value(), expected);
}

TEST(ChoosePenalty, SaysWhatItNeeds) {
  const Cloud cloud = Clusters(4, 3, 5, 8);  // two of the first class, one of the others
  const absl::Status status = ChoosePenalty(cloud.rows, cloud.labels, std::vector<double>{1}, 5, 1).status();
  EXPECT_TRUE(absl::StrContains(status.message(), "svm_c")) << status;
  EXPECT_FALSE(ChoosePenalty(cloud.rows, cloud.labels, {}, 5, 1).ok());
  const Cloud few = Clusters(6, 3, 20, 9);  // two folds at most
  EXPECT_EQ(ChoosePenalty(few.rows, few.labels, std::vector<double>{1}, 5, 1).value(), 1);
}

}  // namespace
}  // namespace manyform
