#include "train/auxiliary_terms.h"

#include <ATen/ATen.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "model/attention_masks.h"
#include "model/safetensors.h"
#include "train/objectives.h"
#include "train/optimizer.h"

namespace manyform {
namespace {

using Json = nlohmann::json;
using Arrays = std::map<std::string, at::Tensor>;

const std::string kGolden = "testdata/golden/e_model/";

NamedTensors Tensors(const std::string& name) {
  return ReadSafeTensors(kGolden + name + ".safetensors").value().tensors;
}
Arrays Load(const std::string& name) {
  const NamedTensors tensors = Tensors(name);
  return {tensors.begin(), tensors.end()};
}

// The published run of a name: its options and what came of it.
class PublishedRun {
 public:
  explicit PublishedRun(const std::string& name)
      : name_(name), run_(Json::parse(std::ifstream(kGolden + "train/train.json"))[name]) {}

  double Number(const std::string& option, double otherwise) const {
    const Json& args = run_["args"];
    for (size_t i = 0; i + 1 < args.size(); ++i) {
      double value = 0;
      if (args[i] == "--" + option && absl::SimpleAtod(args[i + 1].get<std::string>(), &value)) return value;
    }
    return otherwise;
  }
  AuxiliaryOptions Options() const {
    AuxiliaryOptions o;
    for (auto& [name, value] :
         std::map<std::string, double*>{{"aux_b2_weight", &o.aux_b2_weight},
                                        {"aux_b2_hit_weight", &o.aux_b2_hit_weight},
                                        {"aux_b2_t_weight", &o.aux_b2_t_weight},
                                        {"aux_b2_rank_weight", &o.aux_b2_rank_weight},
                                        {"aux_b2_rank_margin", &o.aux_b2_rank_margin},
                                        {"aux_b3_weight", &o.aux_b3_weight},
                                        {"aux_b3_near_tau", &o.aux_b3_near_tau},
                                        {"aux_e_weight", &o.aux_e_weight},
                                        {"teacher_distill_weight", &o.teacher_distill_weight},
                                        {"teacher_answer_drop_prob", &o.teacher_answer_drop_prob},
                                        {"cycle_weight", &o.cycle_weight},
                                        {"cycle_answer_drop_prob", &o.cycle_answer_drop_prob},
                                        {"d_hard_weight", &o.d_hard_weight},
                                        {"d_hard_top_frac", &o.d_hard_top_frac}})
      *value = Number(name, *value);
    o.aux_b2_rank_pairs = std::lround(Number("aux_b2_rank_pairs", 128));
    o.d_hard_min_tokens = std::lround(Number("d_hard_min_tokens", 32));
    return o;
  }
  // The recorded draws of a step in place of a generator's.
  AuxiliaryDraws Draws(const AuxiliaryOptions& options, const at::Tensor& feat, const at::Tensor& type,
                       size_t step) const {
    NumpyRandomState unused(0);
    AuxiliaryDraws draws = DrawAuxiliary(options, HitTokens(feat, type), unused);
    const Arrays recorded = Load("train/draws");
    int next = 0;
    const auto take = [&](const char* kind) {
      return recorded.at(absl::StrCat(name_, "/step", step, "/draw", next++, "_", kind));
    };
    for (auto& [first, second] : draws.rank_pairs)
      for (std::vector<int64_t>* side : {&first, &second}) {
        if (side->empty()) continue;
        const at::Tensor values = take("randint");
        EXPECT_EQ(values.numel(), static_cast<int64_t>(side->size()));
        side->assign(values.const_data_ptr<int64_t>(), values.const_data_ptr<int64_t>() + values.numel());
      }
    if (draws.teacher_dropped.defined())
      draws.teacher_dropped = take("rand").lt(static_cast<float>(options.teacher_answer_drop_prob));
    if (draws.cycle_dropped.defined())
      draws.cycle_dropped = take("rand").lt(static_cast<float>(options.cycle_answer_drop_prob));
    EXPECT_EQ(recorded.count(absl::StrCat(name_, "/step", step, "/draw", next, "_rand")), 0u);
    return draws;
  }
  // Of the forward pass number `pass` of the run.
  at::Tensor Blocked(size_t pass, const at::Tensor& type) const {
    const Json& kw = run_["forward_kwargs"][pass];
    const DualMask mask = {.near = kw["dual_mask_near"],
                           .far = kw["dual_mask_far"],
                           .window = kw["dual_mask_window"],
                           .type_aware = kw["dual_mask_type_aware"] == 1,
                           .seed = static_cast<uint32_t>(kw["dual_mask_seed"].get<uint64_t>())};
    return mask.active() ? DualMaskBlocked(mask, type) : at::Tensor();
  }
  size_t passes_per_step() const { return run_["forward_kwargs"].size() / steps(); }
  size_t steps() const { return run_["losses"].size(); }
  double loss(size_t step) const { return run_["losses"][step]; }
  double main_loss(size_t step) const { return run_["main_losses"][step]; }

 private:
  std::string name_;
  Json run_;
};

QueryTransformer Model(const std::string& weights, TransformerConfig config) {
  config.d_model = 48;
  config.layers = 2;
  config.heads = 6;
  return QueryTransformer::FromTensors(config, Tensors("weights/" + weights)).value();
}

struct Trained {
  NamedTensors model, heads;
};

// Trains as the published run did, and compares the losses of every step.
std::vector<int64_t> CountsOf(const std::vector<LossTerm>& terms) {
  std::vector<int64_t> counts;
  for (const LossTerm& term : terms)
    for (const CountedMean& mean : term.means) counts.push_back(mean.count);
  return counts;
}

Trained Retrain(const std::string& name, const QueryTransformer& model,
                const std::vector<std::string>& batches) {
  const PublishedRun run(name);
  const AuxiliaryOptions options = run.Options();
  NamedTensors initial;
  for (const auto& [head, tensor] : Tensors("weights/aux_heads_init"))
    for (const auto& [needed, unused] : FreshAuxiliaryHeads(options, 48, 0))
      if (needed == head) initial.emplace_back(head, tensor);
  const NamedTensors heads = CheckedAuxiliaryHeads(options, 48, initial).value();
  std::optional<QueryTransformer> teacher;
  if (options.teacher_distill_weight > 0) {
    teacher = Model("teacher_len80", {.n_types = 9, .max_len = 80});
    teacher->ResizePositions(64);
  }
  NamedTensors parameters = model.parameters();
  parameters.insert(parameters.end(), heads.begin(), heads.end());
  AdamW optimizer(parameters, {.lr = 3e-4, .weight_decay = 0.05});
  const Arrays arrays = Load("batches");
  EXPECT_LE(run.steps(), batches.size());
  for (size_t step = 0; step < run.steps(); ++step) {
    AuxiliaryInputs in = {.model = &model, .teacher = teacher ? &*teacher : nullptr, .heads = &heads};
    in.feat = arrays.at(batches[step] + "/feat");
    in.type_id = arrays.at(batches[step] + "/type").to(at::kLong);
    const size_t pass = step * run.passes_per_step();
    in.blocked = run.Blocked(pass, in.type_id);
    in.cycle_blocked = run.Blocked(pass + run.passes_per_step() - 1, in.type_id);
    optimizer.ClearGradients();
    const AuxiliaryDraws draws = run.Draws(options, in.feat, in.type_id, step);
    const std::vector<LossTerm> means = NepaWithAuxiliary(in, options, draws);
    EXPECT_EQ(CountMeans(in.feat, in.type_id, std::nullopt, options, draws), CountsOf(means)) << name;
    const LossTerms terms = SumOf(means);
    EXPECT_NEAR(terms.total.item<double>(), run.loss(step), 1e-5) << name << " step " << step;
    EXPECT_NEAR(terms.parts[0].second.item<double>(), run.main_loss(step), 1e-5) << name << " step " << step;
    terms.total.backward();
    optimizer.Step();
  }
  return {model.parameters(), heads};
}

void ExpectNear(const NamedTensors& ours, const std::string& file) {
  const Arrays published = Load("train/" + file);
  EXPECT_EQ(ours.size(), published.size()) << file;
  for (const auto& [name, tensor] : ours) {
    at::Tensor distance = (tensor.detach() - published.at(name)).abs();
    // A key's bias changes no softmax: its gradient is rounding, of which Adam makes full steps.
    if (name.find("in_proj_bias") != std::string::npos) distance.slice(0, 48, 96).zero_();
    EXPECT_LT(distance.max().item<double>(), 1e-4) << file << " " << name;
  }
}

const std::vector<std::string> kQa = {"qa", "qa_mixed", "qa", "qa_mixed", "qa_noray"};
const std::vector<std::string> kLegacy = {"legacy", "legacy_mixed", "legacy", "legacy_mixed", "legacy"};

class AuxiliaryTerm : public testing::TestWithParam<std::string> {};

TEST_P(AuxiliaryTerm, TrainsAsPublished) {
  const std::string name = GetParam();
  const Trained trained = Retrain(name, Model("causal9", {.n_types = 9, .max_len = 64}), kQa);
  if (!trained.heads.empty()) ExpectNear(trained.heads, name + "_aux_final");
  if (name == "aux_all") ExpectNear(trained.model, "aux_all_final");
}

INSTANTIATE_TEST_SUITE_P(Golden, AuxiliaryTerm,
                         testing::Values("nepa", "nepa_dual", "nepa_dual_aware", "aux_b2", "aux_b2_hit",
                                         "aux_b2_t", "aux_b2_rank", "aux_b3", "aux_e", "aux_c0", "aux_c1",
                                         "aux_c2", "aux_c2_dual", "aux_d", "aux_d_default", "aux_all"),
                         [](const auto& info) { return info.param; });

TEST(AuxiliaryTerms, TrainOnLegacyTokensAsPublished) {
  for (const std::string name : {"nepa_legacy", "aux_legacy"})
    Retrain(name, Model("causal5", {.n_types = 5, .max_len = 64}), kLegacy);
}

TEST(AuxiliaryTerms, TheEncoderDecoderTrainsAsPublished) {
  const Topology topology = {.k = 4, .ray_place = RayPlace::kProjection};
  const TransformerConfig config = {
      .n_types = 9, .max_len = 64, .arch = Architecture::kEncoderDecoder, .topology = topology};
  Retrain("nepa_encdec", Model("encdec9", config), {"split", "split_mixed", "split", "split_mixed", "split"});
}

TEST(AuxiliaryTerms, DrawsFollowTheGenerator) {
  const at::Tensor feat = at::zeros({2, 6, 15});
  const at::Tensor type = at::tensor({0, 7, 8, 7, 8, 4, 0, 7, 8, 5, 6, 4}, at::kLong).view({2, 6});
  feat.select(2, 11).fill_(1);
  AuxiliaryOptions options;
  options.aux_b2_weight = options.cycle_weight = 1;
  options.aux_b2_rank_pairs = 7;
  NumpyRandomState random(11), words(11);
  const AuxiliaryDraws draws = DrawAuxiliary(options, HitTokens(feat, type), random);
  ASSERT_EQ(draws.rank_pairs.size(), 2u);
  for (const auto* side : {&draws.rank_pairs[0].first, &draws.rank_pairs[0].second})
    for (const int64_t value : *side) EXPECT_EQ(value, words.Next32() % 2);
  EXPECT_TRUE(draws.rank_pairs[1].first.empty());  // one hit makes no pair
  for (int64_t i = 0; i < 12; ++i)
    EXPECT_EQ(draws.cycle_dropped.flatten()[i].item<bool>(),
              static_cast<float>(words.Next32() & 0xffffffu) * 0x1p-24f < 0.3f);
  EXPECT_EQ(random.Next32(), words.Next32());

  const AuxiliaryDraws second = DrawsOf(draws, 1, 1);
  ASSERT_EQ(second.rank_pairs.size(), 1u);
  EXPECT_TRUE(second.rank_pairs[0].first.empty());
  EXPECT_TRUE(second.cycle_dropped.equal(draws.cycle_dropped.slice(0, 1)));
  EXPECT_FALSE(second.teacher_dropped.defined());
}

TEST(AuxiliaryTerms, TermsAreSummedByWeightAndShare) {
  const auto mean = [](float value, double weight) {
    return CountedMean{at::scalar_tensor(value), 1, weight};
  };
  const std::vector<LossTerm> terms = {{"nepa", 1, {mean(2, 1)}}, {"b2", 10, {mean(3, 1), mean(5, 0.5)}}};
  const LossTerms whole = SumOf(terms), half = SumOf(terms, {0.5, 1, 0});
  EXPECT_EQ(whole.total.item<float>(), 2 + 10 * 5.5f);
  EXPECT_EQ(whole.parts[1].second.item<float>(), 5.5f);
  EXPECT_EQ(half.total.item<float>(), 1 + 10 * 3.f);
  EXPECT_EQ(half.parts[0].first, "nepa");
  EXPECT_EQ(half.parts[0].second.item<float>(), 1);
}

TEST(AuxiliaryTerms, DroppedAnswersAreZeroAndNothingElseIs) {
  const at::Tensor type = at::arange(9, at::kLong).view({1, 9});
  const at::Tensor feat = at::ones({1, 9, 15});
  const at::Tensor seen = DropAnswers(feat, type, at::ones({1, 9}, at::kBool));
  for (int64_t t = 0; t < 9; ++t) {
    const bool point = t == 1 || t == 6, ray = t == 2 || t == 8;
    for (int64_t f = 0; f < 15; ++f) {
      const bool answer = point ? f == 10 : ray && (f < 3 || f == 9 || f >= 11);
      EXPECT_EQ(seen[0][t][f].item<float>(), answer ? 0 : 1) << t << " " << f;
    }
  }
  EXPECT_TRUE(DropAnswers(feat, type, at::zeros({1, 9}, at::kBool)).equal(feat));
}

TEST(AuxiliaryTerms, HeadsThatDoNotBelongAreRefused) {
  AuxiliaryOptions options;
  options.aux_b3_weight = 1;
  const NamedTensors heads = FreshAuxiliaryHeads(options, 8, 1);
  EXPECT_EQ(heads.size(), 2u);
  EXPECT_TRUE(CheckedAuxiliaryHeads(options, 8, heads).ok());
  EXPECT_FALSE(CheckedAuxiliaryHeads(options, 16, heads).ok());
  EXPECT_FALSE(CheckedAuxiliaryHeads(options, 8, {}).ok());
  EXPECT_FALSE(CheckedAuxiliaryHeads({}, 8, heads).ok());
}

}  // namespace
}  // namespace manyform
