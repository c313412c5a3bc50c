#include "train/auxiliary_terms.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "data/tokens.h"
#include "train/objectives.h"

namespace manyform {
namespace {

constexpr int64_t kT = 9, kDistance = 10, kHit = 11;
constexpr double kHitLevel = 0.5;

at::Tensor IsRay(const at::Tensor& type) { return type.eq(kAnswerRay).logical_or(type.eq(kRay)); }
at::Tensor IsPoint(const at::Tensor& type) { return type.eq(kAnswerPoint).logical_or(type.eq(kPoint)); }

std::vector<std::string> HeadNames(const AuxiliaryOptions& options) {
  std::vector<std::string> names;
  if (options.aux_b2_weight > 0) names.insert(names.end(), {"ray_hit", "ray_t"});
  if (options.aux_b3_weight > 0) names.emplace_back("point_dist");
  if (options.aux_e_weight > 0) names.emplace_back("e_point_dist");
  return names;
}

at::Tensor Find(const NamedTensors& tensors, const std::string& name) {
  const auto found =
      std::find_if(tensors.begin(), tensors.end(), [&](const auto& entry) { return entry.first == name; });
  return found == tensors.end() ? at::Tensor() : found->second;
}

// (N,d) to (N).
at::Tensor Head(const NamedTensors& heads, const std::string& name, const at::Tensor& x) {
  return at::linear(x, Find(heads, name + ".weight"), Find(heads, name + ".bias")).squeeze(-1);
}

CountedMean MeanOrZero(const at::Tensor& values) {
  return {values.numel() > 0 ? values.mean() : values.sum(), values.numel()};
}

// Rays with a hit of sequence b, by their number among the targets that follow one another.
std::vector<int64_t> HitCounts(const at::Tensor& hit) {
  const at::Tensor counts = hit.slice(1, 1).sum(1).cpu();
  return {counts.const_data_ptr<int64_t>(), counts.const_data_ptr<int64_t>() + counts.numel()};
}

std::vector<int64_t> TorchRandInt(int64_t n, int64_t count, NumpyRandomState& random) {
  std::vector<int64_t> values(static_cast<size_t>(count));
  for (int64_t& value : values) value = random.Next32() % n;
  return values;
}

at::Tensor TorchRandBelow(double p, c10::IntArrayRef shape, NumpyRandomState& random) {
  at::Tensor below = at::empty(shape, at::kBool);
  for (int64_t i = 0; i < below.numel(); ++i)
    below.data_ptr<bool>()[i] =
        static_cast<float>(random.Next32() & 0xffffffu) * 0x1p-24f < static_cast<float>(p);
  return below;
}

// Targets of the batch in one list, and the model's predictions of them.
struct Targets {
  at::Tensor rows;             // (N) flat index of the predicting token
  at::Tensor feat, type;       // (N,15), (N) of the target
  at::Tensor sequence;         // (N)
  at::Tensor h, z_hat, truth;  // (N,d) at the predicting token; stop-gradient embedding of the target
};

// Without what the model says.
Targets TargetsOf(const at::Tensor& feat, const at::Tensor& type_id, std::optional<bool> answers) {
  Targets targets;
  targets.rows = PredictingRows(type_id, answers).to(type_id.device());
  targets.feat = feat.flatten(0, 1).index_select(0, targets.rows + 1);
  targets.type = type_id.flatten().index_select(0, targets.rows + 1);
  targets.sequence = targets.rows.floor_divide(type_id.size(1));
  return targets;
}

at::Tensor Pick(const at::Tensor& values, const at::Tensor& mask) {
  return values.index_select(0, mask.nonzero().squeeze(1));
}

// Rays with a hit: how deep, and whose they are.
struct RayHits {
  at::Tensor depth, sequence;
};

RayHits HitsOf(const Targets& targets) {
  const at::Tensor hit = IsRay(targets.type).logical_and(targets.feat.select(-1, kHit).gt(kHitLevel));
  return {Pick(targets.feat.select(-1, kT).clamp_min(0), hit), Pick(targets.sequence, hit)};
}

// Pairs of hits of one sequence of different depth; `ahead` 1 where the first is the deeper one.
struct RankPairs {
  at::Tensor first, second, ahead;
};

std::vector<RankPairs> RankPairsOf(const RayHits& hits, const AuxiliaryDraws& draws) {
  std::vector<RankPairs> pairs;
  for (size_t b = 0; b < draws.rank_pairs.size(); ++b) {
    const auto& [first, second] = draws.rank_pairs[b];
    if (first.empty()) continue;
    const at::Tensor own = hits.sequence.eq(static_cast<int64_t>(b)).nonzero().squeeze(1);
    const at::Tensor i = own.index_select(0, at::tensor(first, at::kLong).to(own.device()));
    const at::Tensor j = own.index_select(0, at::tensor(second, at::kLong).to(own.device()));
    const at::Tensor ahead = (hits.depth.index_select(0, i) - hits.depth.index_select(0, j)).sign();
    const at::Tensor valid = i.ne(j).logical_and(ahead.ne(0));
    if (valid.any().item<bool>()) pairs.push_back({Pick(i, valid), Pick(j, valid), Pick(ahead, valid)});
  }
  return pairs;
}

CountedMean RankLoss(const at::Tensor& predicted, const RayHits& hits, const AuxiliaryOptions& options,
                     const AuxiliaryDraws& draws) {
  at::Tensor sum = at::zeros({}, predicted.options());
  const std::vector<RankPairs> pairs = RankPairsOf(hits, draws);
  for (const auto& [first, second, ahead] : pairs) {
    const at::Tensor gap = predicted.index_select(0, first) - predicted.index_select(0, second);
    sum = sum + at::relu(options.aux_b2_rank_margin - ahead * gap).mean();
  }
  const auto counted = static_cast<int64_t>(pairs.size());
  return {counted > 0 ? sum / counted : sum, counted, options.aux_b2_rank_weight};
}

std::vector<CountedMean> RayTerm(const Targets& targets, const NamedTensors& heads,
                                 const AuxiliaryOptions& options, const AuxiliaryDraws& draws) {
  const at::Tensor rays = IsRay(targets.type);
  const at::Tensor z_hat = Pick(targets.z_hat, rays);
  const at::Tensor hit = Pick(targets.feat.select(-1, kHit), rays).gt(kHitLevel);
  const at::Tensor logit = Head(heads, "ray_hit", z_hat);
  const at::Tensor depth = Pick(at::softplus(Head(heads, "ray_t", z_hat)), hit);
  const RayHits hits = HitsOf(targets);
  at::Tensor hit_loss = logit.sum(), depth_loss = depth.sum();
  if (logit.numel() > 0) hit_loss = at::binary_cross_entropy_with_logits(logit, hit.to(logit.dtype()));
  if (depth.numel() > 0) depth_loss = at::smooth_l1_loss(depth, hits.depth);
  return {{hit_loss, logit.numel(), options.aux_b2_hit_weight},
          {depth_loss, depth.numel(), options.aux_b2_t_weight},
          RankLoss(depth, hits, options, draws)};
}

// (N) bool: points that are at most `tau` away.
at::Tensor NearPoints(const Targets& targets, double tau) {
  return IsPoint(targets.type).logical_and(targets.feat.select(-1, kDistance).clamp_min(0).le(tau));
}

// Their distances, read off `values` (N,d).
CountedMean DistanceTerm(const Targets& targets, const at::Tensor& values, const NamedTensors& heads,
                         const std::string& head, double tau) {
  const at::Tensor near = NearPoints(targets, tau);
  const at::Tensor predicted = at::softplus(Head(heads, head, Pick(values, near)));
  if (predicted.numel() == 0) return {predicted.sum(), 0};
  const at::Tensor distance = Pick(targets.feat.select(-1, kDistance), near).clamp_min(0);
  return {at::smooth_l1_loss(predicted, distance), predicted.numel()};
}

// Mean over sequences of the mean of their largest losses.
CountedMean HardestTerm(const at::Tensor& losses, const Targets& targets, const AuxiliaryOptions& options,
                        int64_t batch) {
  at::Tensor sum = losses.sum() * 0;
  int64_t counted = 0;
  for (int64_t b = 0; b < batch; ++b) {
    const at::Tensor own = Pick(losses, targets.sequence.eq(b));
    const int64_t n = own.numel();
    if (n == 0) continue;
    const auto share = static_cast<int64_t>(std::ceil(options.d_hard_top_frac * static_cast<double>(n)));
    const int64_t k = std::min(n, std::max(share, options.d_hard_min_tokens));
    sum = sum + std::get<0>(at::topk(own, k)).mean();
    ++counted;
  }
  return {counted > 0 ? sum / counted : sum, counted};
}

at::Tensor PredictionsAt(const QueryTransformer& model, const at::Tensor& feat, const at::Tensor& type_id,
                         const at::Tensor& rows, const at::Tensor& blocked) {
  return model.Forward(feat, type_id, {.blocked = blocked, .rows = rows}).z_hat;
}

}  // namespace

NamedTensors FreshAuxiliaryHeads(const AuxiliaryOptions& options, int64_t d_model, uint64_t seed) {
  NamedTensors heads;
  const double bound = 1 / std::sqrt(static_cast<double>(d_model));
  for (const std::string& head : HeadNames(options)) {
    for (const auto& [part, shape] :
         {std::pair<std::string, std::vector<int64_t>>("weight", {1, d_model}), {"bias", {1}}}) {
      std::string name = absl::StrCat(head, ".", part);
      NumpyRandomState random(Md5Prefix32(absl::StrCat("auxiliary heads ", seed, " ", name)));
      at::Tensor tensor = at::empty(shape, at::kFloat);
      for (int64_t i = 0; i < tensor.numel(); ++i)
        tensor.data_ptr<float>()[i] = static_cast<float>(random.Uniform(-bound, bound));
      heads.emplace_back(std::move(name), tensor.set_requires_grad(true));
    }
  }
  return heads;
}

absl::StatusOr<NamedTensors> CheckedAuxiliaryHeads(const AuxiliaryOptions& options, int64_t d_model,
                                                   const NamedTensors& tensors) {
  NamedTensors heads = FreshAuxiliaryHeads(options, d_model, 0);
  if (heads.size() != tensors.size())
    return absl::InvalidArgumentError(absl::StrCat("auxiliary heads: ", tensors.size(), " tensors, expected ",
                                                   heads.size(), " for the terms that are on"));
  for (auto& [name, head] : heads) {
    const at::Tensor given = Find(tensors, name);
    if (!given.defined() || given.scalar_type() != at::kFloat || given.sizes() != head.sizes())
      return absl::InvalidArgumentError(
          absl::StrCat("auxiliary heads: '", name, "' is missing or not f32 of its shape"));
    head = given.detach().clone().set_requires_grad(true);
  }
  return heads;
}

at::Tensor HitTokens(const at::Tensor& feat, const at::Tensor& type_id) {
  return IsRay(type_id).logical_and(feat.select(-1, kHit).gt(kHitLevel));
}

AuxiliaryDraws DrawAuxiliary(const AuxiliaryOptions& options, const at::Tensor& hit,
                             NumpyRandomState& random) {
  AuxiliaryDraws draws;
  if (options.aux_b2_weight > 0) {
    for (const int64_t hits : HitCounts(hit)) {
      auto& [first, second] = draws.rank_pairs.emplace_back();
      if (hits < 2) continue;
      first = TorchRandInt(hits, options.aux_b2_rank_pairs, random);
      second = TorchRandInt(hits, options.aux_b2_rank_pairs, random);
    }
  }
  if (options.teacher_distill_weight > 0 && options.teacher_answer_drop_prob > 0)
    draws.teacher_dropped = TorchRandBelow(options.teacher_answer_drop_prob, hit.sizes(), random);
  if (options.cycle_weight > 0)
    draws.cycle_dropped = TorchRandBelow(options.cycle_answer_drop_prob, hit.sizes(), random);
  return draws;
}

AuxiliaryDraws DrawsOf(const AuxiliaryDraws& draws, int64_t first, int64_t count) {
  AuxiliaryDraws own;
  if (!draws.rank_pairs.empty())
    own.rank_pairs.assign(draws.rank_pairs.begin() + first, draws.rank_pairs.begin() + first + count);
  if (draws.teacher_dropped.defined()) own.teacher_dropped = draws.teacher_dropped.narrow(0, first, count);
  if (draws.cycle_dropped.defined()) own.cycle_dropped = draws.cycle_dropped.narrow(0, first, count);
  return own;
}

at::Tensor DropAnswers(const at::Tensor& feat, const at::Tensor& type_id, const at::Tensor& dropped) {
  at::Tensor seen = feat.clone();
  const at::Tensor drop = dropped.to(feat.device());
  const at::Tensor points = drop.logical_and(IsPoint(type_id)), rays = drop.logical_and(IsRay(type_id));
  seen.select(-1, kDistance).masked_fill_(points, 0);
  for (const auto& [from, to] : {std::pair<int64_t, int64_t>(0, 3), {kT, kT + 1}, {kHit, 15}})
    seen.slice(-1, from, to).masked_fill_(rays.unsqueeze(-1), 0);
  return seen;
}

std::vector<LossTerm> NepaWithAuxiliary(const AuxiliaryInputs& in, const AuxiliaryOptions& options,
                                        const AuxiliaryDraws& draws) {
  Targets targets = TargetsOf(in.feat, in.type_id, in.answers);
  const Hidden hidden = in.model->Forward(in.feat, in.type_id, {.blocked = in.blocked, .rows = targets.rows});
  targets.h = hidden.h;
  targets.z_hat = hidden.z_hat;
  targets.truth = hidden.z.detach().flatten(0, 1).index_select(0, targets.rows + 1);

  const at::Tensor losses = CosineLosses(targets.z_hat, targets.truth);
  std::vector<LossTerm> terms = {{"nepa", 1, {MeanOrZero(losses)}}};
  const auto add = [&](const char* name, double weight, CountedMean mean) {
    terms.push_back({name, weight, {std::move(mean)}});
  };
  if (options.aux_b2_weight > 0)
    terms.push_back({"b2", options.aux_b2_weight, RayTerm(targets, *in.heads, options, draws)});
  if (options.aux_b3_weight > 0)
    add("b3", options.aux_b3_weight,
        DistanceTerm(targets, targets.z_hat, *in.heads, "point_dist", options.aux_b3_near_tau));
  if (options.aux_e_weight > 0)
    add("e", options.aux_e_weight, DistanceTerm(targets, targets.h, *in.heads, "e_point_dist", INFINITY));
  if (options.d_hard_weight > 0)
    add("d", options.d_hard_weight, HardestTerm(losses, targets, options, in.type_id.size(0)));
  if (options.teacher_distill_weight > 0) {
    at::Tensor truth;
    {
      const at::NoGradGuard no_grad;
      truth = PredictionsAt(*in.teacher, in.feat, in.type_id, targets.rows, {});
    }
    at::Tensor student = targets.z_hat;
    if (draws.teacher_dropped.defined())
      student = PredictionsAt(*in.model, DropAnswers(in.feat, in.type_id, draws.teacher_dropped), in.type_id,
                              targets.rows, in.blocked);
    add("distill", options.teacher_distill_weight, MeanOrZero(CosineLosses(student, truth)));
  }
  if (options.cycle_weight > 0) {
    const at::Tensor view = PredictionsAt(*in.model, DropAnswers(in.feat, in.type_id, draws.cycle_dropped),
                                          in.type_id, targets.rows, in.cycle_blocked);
    add("cycle", options.cycle_weight, MeanOrZero(CosineLosses(view, targets.z_hat.detach())));
  }
  return terms;
}

std::vector<int64_t> CountMeans(const at::Tensor& feat, const at::Tensor& type_id,
                                std::optional<bool> answers, const AuxiliaryOptions& options,
                                const AuxiliaryDraws& draws) {
  const Targets targets = TargetsOf(feat, type_id, answers);
  const auto number = [](const at::Tensor& chosen) { return chosen.sum().item<int64_t>(); };
  const int64_t all = targets.rows.numel();
  std::vector<int64_t> counts = {all};
  if (options.aux_b2_weight > 0) {
    const RayHits hits = HitsOf(targets);
    counts.insert(counts.end(), {number(IsRay(targets.type)), hits.depth.numel(),
                                 static_cast<int64_t>(RankPairsOf(hits, draws).size())});
  }
  if (options.aux_b3_weight > 0) counts.push_back(number(NearPoints(targets, options.aux_b3_near_tau)));
  if (options.aux_e_weight > 0) counts.push_back(number(NearPoints(targets, INFINITY)));
  if (options.d_hard_weight > 0) counts.push_back(std::get<0>(at::_unique(targets.sequence)).numel());
  if (options.teacher_distill_weight > 0) counts.push_back(all);
  if (options.cycle_weight > 0) counts.push_back(all);
  return counts;
}

LossTerms SumOf(const std::vector<LossTerm>& terms, const std::vector<double>& shares) {
  LossTerms sum;
  auto share = shares.begin();
  // Factors of 1 are left out: they would change nothing but the time.
  const auto times = [](double factor, const at::Tensor& value) {
    return factor == 1 ? value : factor * value;
  };
  const auto add = [](at::Tensor* to, const at::Tensor& value) { *to = to->defined() ? *to + value : value; };
  for (const LossTerm& term : terms) {
    at::Tensor value;
    for (const CountedMean& mean : term.means)
      add(&value, times(mean.weight, times(share == shares.end() ? 1 : *share++, mean.mean)));
    sum.parts.emplace_back(term.name, value.detach());
    add(&sum.total, times(term.weight, value));
  }
  return sum;
}

}  // namespace manyform
