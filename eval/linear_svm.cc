#include "eval/linear_svm.h"

#include <linear.h>

#include <algorithm>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"

namespace manyform {
namespace {

// Weight of the constant feature that makes the bias.
constexpr double kBias = 1;
// liblinear's own choice is ten times as much.
constexpr double kTolerance = 1e-3;

struct FreeModel {
  void operator()(::model* model) const { free_and_destroy_model(&model); }
};

// Rows in liblinear's form, all features written out.
class Nodes {
 public:
  explicit Nodes(const FeatureRows& rows) : nodes_(rows.rows() * (rows.cols() + 2)) {
    ::feature_node* node = nodes_.data();
    for (Eigen::Index i = 0; i < rows.rows(); ++i) {
      starts_.push_back(node);
      for (Eigen::Index f = 0; f < rows.cols(); ++f) *node++ = {static_cast<int>(f) + 1, rows(i, f)};
      *node++ = {static_cast<int>(rows.cols()) + 1, kBias};
      *node++ = {-1, 0};
    }
  }
  ::feature_node** starts() { return starts_.data(); }

 private:
  std::vector<::feature_node> nodes_;
  std::vector<::feature_node*> starts_;
};

struct Fold {
  FeatureRows fitted, held_out;
  std::vector<int64_t> fitted_labels, held_out_labels;
};

FeatureRows Pick(const FeatureRows& rows, std::span<const int64_t> indices) {
  FeatureRows picked(static_cast<Eigen::Index>(indices.size()), rows.cols());
  for (size_t i = 0; i < indices.size(); ++i) picked.row(static_cast<Eigen::Index>(i)) = rows.row(indices[i]);
  return picked;
}

std::vector<Fold> MakeFolds(const FeatureRows& rows, std::span<const int64_t> labels, int64_t folds) {
  std::vector<std::vector<int64_t>> fitted(folds), held_out(folds);
  std::map<int64_t, int64_t> seen;
  for (size_t i = 0; i < labels.size(); ++i) {
    const int64_t own = seen[labels[i]]++ % folds;
    for (int64_t f = 0; f < folds; ++f) (f == own ? held_out : fitted)[f].push_back(static_cast<int64_t>(i));
  }
  std::vector<Fold> made(folds);
  for (int64_t f = 0; f < folds; ++f) {
    made[f].fitted = Pick(rows, fitted[f]);
    made[f].held_out = Pick(rows, held_out[f]);
    for (const int64_t i : fitted[f]) made[f].fitted_labels.push_back(labels[i]);
    for (const int64_t i : held_out[f]) made[f].held_out_labels.push_back(labels[i]);
  }
  return made;
}

}  // namespace

absl::StatusOr<LinearSvm> LinearSvm::Fit(const FeatureRows& rows, std::span<const int64_t> labels, double c) {
  LinearSvm svm;
  svm.classes_.assign(labels.begin(), labels.end());
  std::sort(svm.classes_.begin(), svm.classes_.end());
  svm.classes_.erase(std::unique(svm.classes_.begin(), svm.classes_.end()), svm.classes_.end());
  const auto classes = static_cast<int>(svm.classes_.size());
  if (classes < 2)
    return absl::InvalidArgumentError(
        absl::StrCat("support vectors separate at least two classes, the shapes are of ", classes));
  [[maybe_unused]] static const bool quiet = (set_print_string_function([](const char*) {}), true);
  Nodes nodes(rows);
  std::vector<double> numbers;
  numbers.reserve(labels.size());
  for (const int64_t label : labels)
    numbers.push_back(static_cast<double>(std::lower_bound(svm.classes_.begin(), svm.classes_.end(), label) -
                                          svm.classes_.begin()));
  const ::problem problem = {.l = static_cast<int>(rows.rows()),
                             .n = static_cast<int>(rows.cols()) + 1,
                             .y = numbers.data(),
                             .x = nodes.starts(),
                             .bias = kBias};
  ::parameter parameter = {};
  parameter.solver_type = L2R_L2LOSS_SVC;
  parameter.C = c;
  parameter.eps = kTolerance;
  if (const char* wrong = check_parameter(&problem, &parameter); wrong != nullptr)
    return absl::InvalidArgumentError(absl::StrCat("liblinear: ", wrong));
  const std::unique_ptr<::model, FreeModel> model(::train(&problem, &parameter));

  // liblinear has classes in its own order.
  std::vector<int> order(classes);
  get_labels(model.get(), order.data());
  svm.weights_.resize(rows.cols(), classes);
  svm.biases_.resize(classes);
  for (int column = 0; column < classes; ++column) {
    const int number = order[column];
    for (Eigen::Index f = 0; f < rows.cols(); ++f)
      svm.weights_(f, number) = get_decfun_coef(model.get(), static_cast<int>(f) + 1, column);
    svm.biases_[number] = get_decfun_bias(model.get(), column);
  }
  return svm;
}

FeatureRows LinearSvm::Decisions(const FeatureRows& rows) const {
  return (rows * weights_).rowwise() + biases_;
}

std::vector<int64_t> LinearSvm::Predict(const FeatureRows& rows) const {
  std::vector<int64_t> predictions;
  predictions.reserve(rows.rows());
  const FeatureRows decisions = Decisions(rows);
  for (Eigen::Index i = 0; i < rows.rows(); ++i) {
    Eigen::Index best = 0;
    decisions.row(i).maxCoeff(&best);
    predictions.push_back(classes_[best]);
  }
  return predictions;
}

absl::StatusOr<double> ChoosePenalty(const FeatureRows& rows, std::span<const int64_t> labels,
                                     std::span<const double> grid, int64_t folds, int num_threads) {
  std::map<int64_t, int64_t> sizes;
  for (const int64_t label : labels) ++sizes[label];
  for (const auto& [label, size] : sizes) folds = std::min(folds, size);
  if (grid.empty()) return absl::InvalidArgumentError("svm_c_grid: nothing to choose from");
  if (folds < 2)
    return absl::InvalidArgumentError(
        "svm_c: cross-validation needs two shapes of each class to fit on; there is one of some: give svm_c");
  const std::vector<Fold> made = MakeFolds(rows, labels, folds);
  std::vector<int64_t> right(grid.size() * made.size());
  MF_RETURN_IF_ERROR(ParallelFor(static_cast<int64_t>(right.size()), num_threads, [&](int64_t i) {
    const Fold& fold = made[i % folds];
    MF_ASSIGN_OR_RETURN(const LinearSvm svm,
                        LinearSvm::Fit(fold.fitted, fold.fitted_labels, grid[i / folds]));
    const std::vector<int64_t> predictions = svm.Predict(fold.held_out);
    for (size_t j = 0; j < predictions.size(); ++j) right[i] += predictions[j] == fold.held_out_labels[j];
    return absl::OkStatus();
  }));
  double best = 0;
  int64_t most = -1;
  for (size_t g = 0; g < grid.size(); ++g) {
    int64_t sum = 0;
    for (int64_t f = 0; f < folds; ++f) sum += right[static_cast<int64_t>(g) * folds + f];
    if (sum < most || (sum == most && grid[g] >= best)) continue;
    most = sum;
    best = grid[g];
  }
  return best;
}

}  // namespace manyform
