#include "eval/ucpr.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ATen.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "data/token_dataset.h"
#include "eval/bootstrap.h"
#include "eval/checkpoint_use.h"
#include "eval/embed_shapes.h"
#include "eval/ranks.h"
#include "eval/record.h"
#include "model/device.h"

namespace manyform {
namespace {

constexpr int64_t kNearestListed = 5;
// Noise takes longer than the scores of so many.
constexpr int64_t kMostWithNoise = 20000;

struct Plan {
  TokenOptions tokens;
  BackendOptions query, gallery;
  EmbedOptions embed;
  std::vector<int64_t> shapes;
  int64_t n_shapes = 0, gallery_seed = 0;
  double tie_break_eps = 0;
};

absl::StatusOr<BackendOptions> BackendOf(const UcprConfig& config, const std::string& name) {
  BackendOptions options = {.voxel_grid = config.voxel_grid(),
                            .voxel_dilate = config.voxel_dilate(),
                            .voxel_max_steps = config.voxel_max_steps()};
  MF_ASSIGN_OR_RETURN(options.backend, ParseBackend(name));
  return options;
}

absl::StatusOr<Plan> MakePlan(const UcprConfig& config, const ShapeList& shapes, const LoadedModel& model) {
  Plan plan;
  plan.tokens.n_point = config.n_point() >= 0 ? config.n_point() : model.header.n_point();
  plan.tokens.n_ray = config.n_ray() >= 0 ? config.n_ray() : model.header.n_ray();
  plan.tokens.ablate_point_dist = config.ablate_point_dist();
  MF_ASSIGN_OR_RETURN(plan.tokens.layout, SequenceLayout(model, config.add_eos(), config.qa_tokens()));
  MF_ASSIGN_OR_RETURN(plan.query, BackendOf(config, config.query_backend()));
  MF_ASSIGN_OR_RETURN(plan.gallery, BackendOf(config, config.gallery_backend()));
  const std::string pooling = config.pooling() == "mean_a" ? "ucpr_mean_a" : config.pooling();
  MF_ASSIGN_OR_RETURN(plan.embed.pooling, ParsePooling(pooling, plan.tokens.layout.qa_tokens));
  plan.embed.eval_seed = config.eval_seed();
  plan.embed.resamples = config.mc_k();
  plan.embed.ablate_point_xyz = config.ablate_point_xyz();
  plan.embed.batch = config.batch();
  plan.gallery_seed = config.eval_seed_gallery() >= 0 ? config.eval_seed_gallery() : config.eval_seed();
  plan.shapes = FirstShapes(shapes.size(), config.max_files());
  plan.n_shapes = static_cast<int64_t>(plan.shapes.size());
  const bool noise = config.has_tie_break_eps() || plan.n_shapes <= kMostWithNoise;
  plan.tie_break_eps = noise ? config.tie_break_eps() : 0;
  return plan;
}

/// Query and gallery; a constant instead of the model's answer where that is asked for.
absl::StatusOr<std::pair<at::Tensor, at::Tensor>> EmbedBoth(const UcprConfig& config, const Plan& plan,
                                                            const std::shared_ptr<const ShapeList>& shapes,
                                                            const LoadedModel& model) {
  if (config.sanity_constant_embed()) {
    const at::Tensor ones = NormalizeRows(at::ones({plan.n_shapes, model.model.config().d_model}));
    return std::pair(ones, ones);
  }
  Progress progress("embedding", "sequences", 2 * plan.n_shapes * plan.embed.resamples);
  EmbedOptions gallery_options = plan.embed;
  gallery_options.eval_seed = plan.gallery_seed;
  MF_ASSIGN_OR_RETURN(at::Tensor query, EmbedShapes(model.model, {shapes, plan.query, plan.tokens},
                                                    plan.shapes, plan.embed, progress));
  MF_ASSIGN_OR_RETURN(at::Tensor gallery, EmbedShapes(model.model, {shapes, plan.gallery, plan.tokens},
                                                      plan.shapes, gallery_options, progress));
  return std::pair(std::move(query), std::move(gallery));
}

/// Evenly over the sorted list, so that classes take turns.
std::vector<int64_t> ExampleQueries(int64_t wanted, int64_t n) {
  wanted = std::min(wanted, n);
  std::vector<int64_t> queries;
  for (int64_t i = 0; i < wanted; ++i) queries.push_back(i * n / wanted);
  return queries;
}

void AddScores(const RetrievalScores& scores, const RetrievalScores& chance, RecordBuilder* builder) {
  builder->Metric("r@1", scores.recall_at_1)
      .Metric("r@5", scores.recall_at_5)
      .Metric("r@10", scores.recall_at_10)
      .Metric("mAP", scores.mrr)
      .Metric("mean_rank", scores.mean_rank)
      .Metric("median_rank", scores.median_rank)
      .Metric("expected_random_r@1", chance.recall_at_1)
      .Metric("expected_random_r@5", chance.recall_at_5)
      .Metric("expected_random_r@10", chance.recall_at_10)
      .Metric("expected_random_mAP", chance.mrr)
      .Metric("expected_random_mean_rank", chance.mean_rank);
}

ResultRecord MakeRecord(const UcprConfig& config, const Plan& plan, const ShapeList& shapes,
                        const LoadedModel& model, const RetrievalScores& scores) {
  RecordBuilder builder("ucpr");
  AddScores(scores, ExpectedByChance(plan.n_shapes), &builder);
  builder.Protocol("query_backend", BackendName(plan.query.backend))
      .Protocol("gallery_backend", BackendName(plan.gallery.backend))
      .Protocol("split", shapes.split())
      .Protocol("n_files", plan.n_shapes)
      .Protocol("n_point", plan.tokens.n_point)
      .Protocol("n_ray", plan.tokens.n_ray);
  AddLayoutKeys(plan.tokens.layout, model.header, &builder);
  builder.Protocol("mc_k", plan.embed.resamples)
      .Protocol("eval_seed", plan.embed.eval_seed)
      .Protocol("eval_seed_gallery", plan.gallery_seed)
      .Protocol("ablate_point_xyz", config.ablate_point_xyz())
      .Protocol("ablate_point_dist", config.ablate_point_dist())
      .Protocol("pooling", config.pooling())
      .Protocol("tie_break_eps", plan.tie_break_eps)
      .Protocol("sanity_constant_embed", config.sanity_constant_embed());
  if (plan.query.backend == Backend::kVoxel || plan.gallery.backend == Backend::kVoxel) {
    builder.Protocol("voxel_grid", config.voxel_grid())
        .Protocol("voxel_dilate", config.voxel_dilate())
        .Protocol("voxel_max_steps", config.voxel_max_steps());
  }
  builder.Note("ckpt", config.ckpt());
  if (shapes.AnySimulated()) builder.Note("simulated", true);
  const std::string label = config.label().empty() ? LabelOf(config.ckpt()) : config.label();
  return builder.Finish(label, shapes.fingerprint(), model.hash, "f32");
}

void SetExample(const ShapeList& shapes, const ListedQuery& listed, RetrievalExample* example) {
  example->set_query_key(shapes.key(listed.query));
  for (const int64_t item : listed.nearest) example->add_gallery_keys(shapes.key(item));
  example->set_rank(listed.rank);
}

void AddIntervals(const UcprConfig& config, std::span<const int64_t> ranks, UcprResult* result) {
  if (config.bootstrap() == 0) return;
  const char* const names[] = {"r@1", "r@5", "r@10", "mAP", "mean_rank"};
  std::vector<std::vector<double>> columns(std::size(names));
  for (const int64_t rank : ranks) {
    const RetrievalScores one = Summarize({&rank, 1});
    const double values[] = {one.recall_at_1, one.recall_at_5, one.recall_at_10, one.mrr, one.mean_rank};
    for (size_t i = 0; i < columns.size(); ++i) columns[i].push_back(values[i]);
  }
  const std::vector<Interval> intervals =
      BootstrapMeans(columns, config.bootstrap(), static_cast<uint32_t>(config.eval_seed()));
  for (size_t i = 0; i < columns.size(); ++i) {
    MetricInterval& interval = *result->add_intervals();
    interval.set_metric(names[i]);
    interval.set_low(intervals[i].low);
    interval.set_high(intervals[i].high);
  }
}

void AddClasses(const ShapeList& shapes, std::span<const int64_t> ranks, UcprResult* result) {
  std::map<std::string, std::vector<int64_t>> by_class;
  for (size_t i = 0; i < ranks.size(); ++i) {
    const std::string key = shapes.key(static_cast<int64_t>(i));
    by_class[key.substr(0, key.find('/'))].push_back(ranks[i]);
  }
  for (const auto& [name, own] : by_class) {
    const RetrievalScores scores = Summarize(own);
    ClassRetrieval& entry = *result->add_classes();
    entry.set_name(name);
    entry.set_queries(static_cast<int64_t>(own.size()));
    entry.set_recall_at_1(scores.recall_at_1);
    entry.set_mrr(scores.mrr);
    entry.set_mean_rank(scores.mean_rank);
  }
}

}  // namespace

absl::StatusOr<UcprResult> MeasureUcpr(const UcprConfig& config, std::shared_ptr<const ShapeList> shapes,
                                       LoadedModel* model, UcprTrace* trace) {
  MF_ASSIGN_OR_RETURN(const Plan plan, MakePlan(config, *shapes, *model));
  MF_RETURN_IF_ERROR(FitPositions(
      model, config.max_len(), SequenceLength(plan.tokens.n_point, plan.tokens.n_ray, plan.tokens.layout)));
  MF_ASSIGN_OR_RETURN(const auto embedded, EmbedBoth(config, plan, shapes, *model));
  const auto& [query, gallery] = embedded;

  RankOptions rank_options = {
      .tie_break_eps = plan.tie_break_eps, .nearest = kNearestListed, .hardest = config.hardest()};
  rank_options.noise_seed = static_cast<uint32_t>(static_cast<uint64_t>(config.eval_seed()) * 1000003u +
                                                  static_cast<uint64_t>(plan.gallery_seed));
  rank_options.listed_queries = ExampleQueries(config.examples(), plan.n_shapes);
  const Ranking ranking = RankTrueItems(query, gallery, rank_options,
                                        trace != nullptr ? trace->scores : decltype(trace->scores)());
  UcprResult result;
  *result.mutable_record() = MakeRecord(config, plan, *shapes, *model, Summarize(ranking.ranks));
  AddIntervals(config, ranking.ranks, &result);
  AddClasses(*shapes, ranking.ranks, &result);
  for (const ListedQuery& listed : ranking.listed) SetExample(*shapes, listed, result.add_examples());
  for (const ListedQuery& listed : ranking.hardest) SetExample(*shapes, listed, result.add_hardest());
  result.mutable_ranks()->Add(ranking.ranks.begin(), ranking.ranks.end());
  if (trace != nullptr) {
    trace->query = query;
    trace->gallery = gallery;
    trace->ranks = ranking.ranks;
  }
  return result;
}

absl::StatusOr<UcprResult> Ucpr(const UcprConfig& config) {
  SetTensorThreads(config.num_threads());
  MF_ASSIGN_OR_RETURN(const c10::Device device, SelectDevice(config.device()));
  MF_ASSIGN_OR_RETURN(ShapeList list, ShapeList::Open(config.cache_root(), config.split()));
  const auto shapes = std::make_shared<const ShapeList>(std::move(list));
  MF_ASSIGN_OR_RETURN(LoadedModel model, LoadModel(config.ckpt(), device));
  NoteInput(absl::StrCat(config.cache_root(), "/", config.split()), shapes->fingerprint());
  NoteInput(config.ckpt(), model.hash);
  NoteSeed("eval_seed", static_cast<uint64_t>(config.eval_seed()));
  MF_ASSIGN_OR_RETURN(UcprResult result, MeasureUcpr(config, shapes, &model));
  const ResultRecord& record = result.record();
  LogLine(absl::StrCat(record.label(), ": r@1 ", MetricOr(record, "r@1", 0), " (chance ",
                       MetricOr(record, "expected_random_r@1", 0), "), MRR ", MetricOr(record, "mAP", 0)));
  return result;
}

}  // namespace manyform
