#include "eval/ridge.h"

#include <cstring>

#include "ATen/ATen.h"
#include "Eigen/Cholesky"
#include "Eigen/Core"
#include "absl/strings/str_cat.h"

namespace manyform {

RidgeFit::RidgeFit(int64_t features)
    : gram_(at::zeros({features + 1, features + 1}, at::kDouble)),
      moment_(at::zeros({features + 1}, at::kDouble)) {}

void RidgeFit::Add(const at::Tensor& x, std::span<const float> y) {
  // Blocks bound what the conversion to double costs.
  constexpr int64_t kBlock = 4096;
  const int64_t d = x.size(1);
  for (int64_t first = 0; first < x.size(0); first += kBlock) {
    const int64_t rows = std::min(kBlock, x.size(0) - first);
    at::Tensor with_bias = at::ones({rows, d + 1}, at::kDouble);
    with_bias.narrow(1, 0, d).copy_(x.narrow(0, first, rows));
    at::Tensor target = at::empty({rows}, at::kDouble);
    double* values = target.mutable_data_ptr<double>();
    for (int64_t i = 0; i < rows; ++i) values[i] = y[first + i];
    gram_.addmm_(with_bias.t(), with_bias);
    moment_.addmv_(with_bias.t(), target);
    rows_ += rows;
  }
}

absl::StatusOr<at::Tensor> RidgeFit::Solve(double lambda) const {
  if (rows_ == 0) return absl::FailedPreconditionError("a ridge head needs rows to be fitted on");
  const int64_t d = moment_.size(0);
  Eigen::MatrixXd gram = Eigen::Map<const Eigen::MatrixXd>(gram_.const_data_ptr<double>(), d, d);
  gram.diagonal().array() += lambda;
  const Eigen::LLT<Eigen::MatrixXd> cholesky(gram);
  const bool solvable = cholesky.info() == Eigen::Success && cholesky.rcond() > 1e-16;
  const Eigen::VectorXd solution =
      cholesky.solve(Eigen::Map<const Eigen::VectorXd>(moment_.const_data_ptr<double>(), d));
  if (!solvable || !solution.allFinite()) {
    return absl::FailedPreconditionError(absl::StrCat("the normal equations of ", rows_, " rows and ", d,
                                                      " unknowns are singular with ridge_lambda ", lambda,
                                                      "; raise it"));
  }
  at::Tensor w = at::empty({d});
  for (int64_t i = 0; i < d; ++i) w.mutable_data_ptr<float>()[i] = static_cast<float>(solution[i]);
  return w;
}

at::Tensor ApplyRidge(const at::Tensor& x, const at::Tensor& w) {
  const int64_t d = x.size(1);
  return at::addmv(w[d], x, w.narrow(0, 0, d));
}

}  // namespace manyform
