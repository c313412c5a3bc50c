#include "eval/neighbours.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/match.h"
#include "base/numpy_random.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

FeatureRows Random(int64_t n, int64_t d, NumpyRandomState& random) {
  FeatureRows rows(n, d);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t f = 0; f < d; ++f) rows(i, f) = random.Normal();
  return rows;
}

double Far(const Eigen::RowVectorXd& a, const Eigen::RowVectorXd& b, Nearness nearness) {
  return nearness == Nearness::kEuclid ? (a - b).norm() : std::acos(a.dot(b) / (a.norm() * b.norm()));
}

// All pairs sorted, votes counted in a map.
int64_t ByHand(const FeatureRows& rows, const std::vector<int64_t>& labels, const Eigen::RowVectorXd& asked,
               int64_t k, Nearness nearness) {
  std::vector<int64_t> order(rows.rows());
  for (int64_t i = 0; i < rows.rows(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return Far(asked, rows.row(a), nearness) < Far(asked, rows.row(b), nearness);
  });
  std::map<int64_t, int64_t> votes;
  for (int64_t i = 0; i < k; ++i) ++votes[labels[order[i]]];
  int64_t most = 0;
  for (const auto& [label, count] : votes) most = std::max(most, count);
  for (int64_t i = 0; i < k; ++i)
    if (votes[labels[order[i]]] == most) return labels[order[i]];
  return -1;
}

TEST(VoteOfNeighbours, AgreesWithBruteForce) {
  NumpyRandomState random(1);
  const FeatureRows rows = Random(50, 7, random), asked = Random(40, 7, random);
  const std::vector<int64_t> labels = random.RandIntVector(0, 4, 50), ks = {1, 2, 5, 20, 50};
  for (const Nearness nearness : {Nearness::kCosine, Nearness::kEuclid}) {
    for (const int threads : {1, 3}) {
      const auto votes = VoteOfNeighbours(rows, labels, asked, ks, nearness, threads).value();
      for (size_t k = 0; k < ks.size(); ++k)
        for (int64_t i = 0; i < 40; ++i)
          EXPECT_EQ(votes[k][i], ByHand(rows, labels, asked.row(i), ks[k], nearness)) << ks[k] << " " << i;
    }
  }
}

TEST(VoteOfNeighbours, OrderOfRowsDoesNotMatter) {
  NumpyRandomState random(2);
  const FeatureRows rows = Random(30, 4, random), asked = Random(30, 4, random);
  const std::vector<int64_t> labels = random.RandIntVector(0, 3, 30), order = random.Permutation(30),
                             ks = {1, 4};
  FeatureRows moved = rows;
  std::vector<int64_t> moved_labels = labels;
  for (int64_t i = 0; i < 30; ++i) {
    moved.row(i) = rows.row(order[i]);
    moved_labels[i] = labels[order[i]];
  }
  EXPECT_EQ(VoteOfNeighbours(rows, labels, asked, ks, Nearness::kCosine, 1).value(),
            VoteOfNeighbours(moved, moved_labels, asked, ks, Nearness::kCosine, 1).value());
}

TEST(VoteOfNeighbours, CosineForgetsLengthEuclidDoesNot) {
  FeatureRows rows(2, 2), asked(1, 2);
  rows << 100, 0, 1, 1;
  asked << 1, 0.1;
  const std::vector<int64_t> labels = {0, 1}, ks = {1};
  EXPECT_EQ((*VoteOfNeighbours(rows, labels, asked, ks, Nearness::kCosine, 1))[0][0], 0);
  EXPECT_EQ((*VoteOfNeighbours(rows, labels, asked, ks, Nearness::kEuclid, 1))[0][0], 1);
}

// Of what is equally near, the first; five features do not fill the sums' four lanes evenly.
TEST(VoteOfNeighbours, EqualRowsAreEquallyNear) {
  FeatureRows rows = FeatureRows::Constant(9, 5, 1.0 / 3);
  const std::vector<int64_t> labels = {4, 2, 2, 1, 1, 1, 0, 0, 0}, ks = {1, 3, 6, 9};
  for (const Nearness nearness : {Nearness::kCosine, Nearness::kEuclid}) {
    const auto votes = VoteOfNeighbours(rows, labels, rows, ks, nearness, 1).value();
    for (int64_t i = 0; i < 9; ++i) {
      EXPECT_EQ(votes[0][i], 4);
      EXPECT_EQ(votes[1][i], 2);
      EXPECT_EQ(votes[2][i], 1);
      EXPECT_EQ(votes[3][i], 1) << "three of each of two classes: that of the nearer";
    }
  }
  const auto zero = VoteOfNeighbours(FeatureRows::Zero(9, 5), labels, rows, ks, Nearness::kCosine, 1);
  EXPECT_EQ((*zero)[0][0], 4) << "no direction is no reason to fail";
}

TEST(VoteOfNeighbours, NoMoreNeighboursThanThereAre) {
  const std::vector<int64_t> labels = {0, 1};
  const FeatureRows rows = FeatureRows::Ones(2, 2);
  for (const int64_t k : {0, 3}) {
    const absl::Status status =
        VoteOfNeighbours(rows, labels, rows, std::vector<int64_t>{1, k}, Nearness::kEuclid, 1).status();
    EXPECT_TRUE(absl::StrContains(status.message(), "expected 1 to 2")) << status;
  }
}

}  // namespace
}  // namespace manyform
