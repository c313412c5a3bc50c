/// \file
/// What probes are fitted on: rows of features in double.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "Eigen/Core"
#include "eval/embedding_file.h"

namespace manyform {

/// (n,d)
using FeatureRows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// The embeddings of these shapes, and their labels.
FeatureRows RowsOf(const EmbeddedShapes& shapes, std::span<const int64_t> indices);
std::vector<int64_t> LabelsOf(const EmbeddedShapes& shapes, std::span<const int64_t> indices);

/// Shift and scale to mean 0 and population deviation 1 on the rows it is made of. A feature that is constant
/// there is shifted only.
class Standardizer {
 public:
  explicit Standardizer(const FeatureRows& rows);
  void Apply(FeatureRows* rows) const;

 private:
  Eigen::RowVectorXd mean_, scale_;
};

}  // namespace manyform
