#include "eval/ridge.h"

#include <vector>

#include "ATen/ATen.h"
#include "Eigen/Core"
#include "Eigen/QR"
#include "base/numpy_random.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

struct Problem {
  at::Tensor x;
  std::vector<float> y;
};

Problem RandomProblem(int64_t rows, int64_t d, uint32_t seed) {
  NumpyRandomState random(seed);
  Problem problem = {at::empty({rows, d}), {}};
  for (int64_t i = 0; i < rows * d; ++i)
    problem.x.mutable_data_ptr<float>()[i] = static_cast<float>(random.Normal());
  for (int64_t i = 0; i < rows; ++i) problem.y.push_back(static_cast<float>(random.Normal()));
  return problem;
}

// The same minimum by another road: least squares on [X 1; sqrt(lambda) I] by QR.
Eigen::VectorXd ByQr(const Problem& problem, double lambda) {
  const int64_t rows = problem.x.size(0), d = problem.x.size(1);
  Eigen::MatrixXd a = Eigen::MatrixXd::Zero(rows + d + 1, d + 1);
  Eigen::VectorXd b = Eigen::VectorXd::Zero(rows + d + 1);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < d; ++j) a(i, j) = problem.x.const_data_ptr<float>()[i * d + j];
    a(i, d) = 1;
    b[i] = problem.y[i];
  }
  a.bottomRows(d + 1).diagonal().setConstant(std::sqrt(lambda));
  return a.householderQr().solve(b);
}

TEST(Ridge, AgreesWithQrHoweverRowsArrive) {
  for (const double lambda : {1e-3, 1.0, 50.0}) {
    const Problem problem = RandomProblem(5000, 7, 5);
    RidgeFit whole(7), pieces(7);
    whole.Add(problem.x, problem.y);
    for (int64_t first = 0, size = 1; first < 5000; first += size, size = size * 2 + 1) {
      const int64_t rows = std::min<int64_t>(size, 5000 - first);
      pieces.Add(problem.x.narrow(0, first, rows), std::span(problem.y).subspan(first, rows));
    }
    EXPECT_EQ(pieces.rows(), 5000);
    const auto w = whole.Solve(lambda), v = pieces.Solve(lambda);
    ASSERT_TRUE(w.ok() && v.ok());
    const Eigen::VectorXd expected = ByQr(problem, lambda);
    for (int64_t i = 0; i < 8; ++i) {
      EXPECT_NEAR(w->const_data_ptr<float>()[i], expected[i], 1e-6);
      EXPECT_NEAR(v->const_data_ptr<float>()[i], expected[i], 1e-6);
    }
  }
}

TEST(Ridge, RecoversAPlaneAndPenalisesItsBias) {
  Problem problem = RandomProblem(200, 3, 9);
  for (int64_t i = 0; i < 200; ++i) {
    const float* row = problem.x.const_data_ptr<float>() + 3 * i;
    problem.y[i] = 2 * row[0] - row[1] + 0.5f * row[2] + 4;
  }
  RidgeFit fit(3);
  fit.Add(problem.x, problem.y);
  const auto exact = fit.Solve(0);
  ASSERT_TRUE(exact.ok()) << exact.status();
  const float expected[] = {2, -1, 0.5, 4};
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(exact->const_data_ptr<float>()[i], expected[i], 1e-5);
  const at::Tensor predicted = ApplyRidge(problem.x, *exact);
  for (int64_t i = 0; i < 200; ++i) EXPECT_NEAR(predicted.const_data_ptr<float>()[i], problem.y[i], 1e-4);
  const auto heavy = fit.Solve(1e6);
  ASSERT_TRUE(heavy.ok());
  EXPECT_LT(std::abs(heavy->const_data_ptr<float>()[3]), 0.01f) << "the bias shrinks like the rest";
}

TEST(Ridge, SaysWhatCannotBeSolved) {
  EXPECT_EQ(RidgeFit(3).Solve(1).status().code(), absl::StatusCode::kFailedPrecondition);
  const Problem few = RandomProblem(2, 5, 1);
  RidgeFit fit(5);
  fit.Add(few.x, few.y);
  EXPECT_EQ(fit.Solve(0).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(fit.Solve(1e-3).ok());
}

}  // namespace
}  // namespace manyform
