#include <algorithm>
#include <cassert>

#include "absl/strings/str_cat.h"
#include "base/string_views.h"
#include "data/tokens.h"

namespace manyform {
namespace {

// Where the query and the answer of each item stand; one token when they share it.
class Rows {
 public:
  Rows(int64_t items, const LayoutOptions& options) : items_(items), options_(options) {}
  int64_t Query(int64_t item) const {
    return options_.qa_tokens && options_.qa_layout == QaLayout::kInterleave ? 1 + 2 * item : 1 + item;
  }
  int64_t Answer(int64_t item) const {
    if (!options_.qa_tokens) return Query(item);
    return options_.qa_layout == QaLayout::kInterleave ? 2 + 2 * item : 1 + items_ + item;
  }

 private:
  const int64_t items_;
  const LayoutOptions options_;
};

void WriteRayQuery(const float* o, const float* d, float* token) {
  std::copy_n(o, 3, token + 3);
  std::copy_n(d, 3, token + 6);
}

// A miss keeps its t and hit, only position and normal are left out.
void WriteRayAnswer(const float* o, const float* d, const float* n, float hit, float t, float* token) {
  token[9] = t;
  token[11] = hit;
  if (hit <= 0.5f) return;
  for (int k = 0; k < 3; ++k) token[k] = o[k] + t * d[k];
  std::copy_n(n, 3, token + 12);
}

}  // namespace

absl::StatusOr<QaLayout> ParseQaLayout(std::string_view name) {
  if (name == "interleave") return QaLayout::kInterleave;
  if (name == "split") return QaLayout::kSplit;
  return absl::InvalidArgumentError(
      absl::StrCat("qa_layout '", ToAbsl(name), "', expected interleave or split"));
}

int64_t SequenceLength(int64_t n_point, int64_t n_ray, const LayoutOptions& options) {
  return 1 + (options.qa_tokens ? 2 : 1) * (n_point + n_ray) + (options.add_eos ? 1 : 0);
}

void LayOutTokens(const SequenceParts& parts, const LayoutOptions& options, std::span<float> feat,
                  std::span<uint8_t> type) {
  const int64_t n = parts.xyz.rows(), m = parts.ray_o.rows();
  assert(static_cast<int64_t>(type.size()) == SequenceLength(n, m, options));
  assert(feat.size() == type.size() * kFeatures);
  std::fill(feat.begin(), feat.end(), 0.0f);
  const Rows rows(n + m, options);
  const auto token = [&feat](int64_t row) { return feat.data() + row * kFeatures; };
  const auto set_types = [&](int64_t item, TokenType both, TokenType query, TokenType answer) {
    type[rows.Query(item)] = options.qa_tokens ? query : both;
    if (options.qa_tokens) type[rows.Answer(item)] = answer;
  };

  const bool gradients = parts.gradient.vectors.rows() > 0, uncertainty = !parts.ray_uncertainty.empty();
  type.front() = kBos;
  for (int64_t i = 0; i < n; ++i) {
    float* query = token(rows.Query(i));
    std::copy_n(parts.xyz.row(i).data(), 3, query);
    if (gradients) {
      std::copy_n(parts.gradient.vectors.row(i).data(), 3, query + 3);
      query[8] = parts.gradient.norms[i];
    }
    token(rows.Answer(i))[10] = parts.distance[i];
    set_types(i, kPoint, kQueryPoint, kAnswerPoint);
  }
  for (int64_t j = 0; j < m; ++j) {
    if (parts.rays_missing) {
      set_types(n + j, kMissingRay, kMissingRay, kMissingRay);
      continue;
    }
    const float *o = parts.ray_o.row(j).data(), *d = parts.ray_d.row(j).data();
    WriteRayQuery(o, d, token(rows.Query(n + j)));
    WriteRayAnswer(o, d, parts.ray_n.row(j).data(), parts.ray_hit[j], parts.ray_t[j],
                   token(rows.Answer(n + j)));
    if (uncertainty) token(rows.Answer(n + j))[10] = parts.ray_uncertainty[j];
    set_types(n + j, kRay, kQueryRay, kAnswerRay);
  }
  if (options.add_eos) type.back() = kEos;
}

}  // namespace manyform
