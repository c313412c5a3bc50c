#include "eval/feature_rows.h"

namespace manyform {

FeatureRows RowsOf(const EmbeddedShapes& shapes, std::span<const int64_t> indices) {
  FeatureRows rows(static_cast<Eigen::Index>(indices.size()), shapes.features);
  for (size_t i = 0; i < indices.size(); ++i) {
    const float* row = shapes.embedding.data() + indices[i] * shapes.features;
    rows.row(static_cast<Eigen::Index>(i)) =
        Eigen::Map<const Eigen::RowVectorXf>(row, shapes.features).cast<double>();
  }
  return rows;
}

std::vector<int64_t> LabelsOf(const EmbeddedShapes& shapes, std::span<const int64_t> indices) {
  std::vector<int64_t> labels;
  labels.reserve(indices.size());
  for (const int64_t i : indices) labels.push_back(shapes.labels[i]);
  return labels;
}

Standardizer::Standardizer(const FeatureRows& rows)
    : mean_(rows.colwise().mean()),
      scale_((rows.rowwise() - mean_).colwise().squaredNorm() / static_cast<double>(rows.rows())) {
  // Rounding of a constant is no spread.
  for (Eigen::Index f = 0; f < scale_.size(); ++f) {
    const double deviation = std::sqrt(scale_[f]);
    scale_[f] = deviation > 1e-12 * std::abs(mean_[f]) ? 1 / deviation : 1;
  }
}

void Standardizer::Apply(FeatureRows* rows) const {
  *rows = ((rows->rowwise() - mean_).array().rowwise() * scale_.array()).matrix();
}

}  // namespace manyform
