#include "eval/probe.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/config.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "eval/class_sets.h"
#include "eval/confusion.h"
#include "eval/embed.h"
#include "eval/episodes.h"
#include "eval/feature_rows.h"
#include "eval/linear_svm.h"
#include "eval/neighbours.h"
#include "eval/record.h"

namespace manyform {
namespace {

const std::vector<double> kPenalties = {1e-3, 1e-2, 1e-1, 1, 1e1, 1e2, 1e3};
const std::vector<int64_t> kNeighbours = {1, 5, 20};

// One classifier over all episodes.
struct Score {
  std::string name;
  int64_t k = 0;  // neighbours
  Confusion confusion;
  std::vector<double> accuracies, penalties;
};

struct EpisodeData {
  FeatureRows fitted, asked;
  std::vector<int64_t> fitted_labels, asked_labels;
};

bool IsSvm(const ProbeConfig& config) { return config.method() == "svm"; }

std::vector<double> Penalties(const ProbeConfig& config) {
  if (config.svm_c() > 0) return {config.svm_c()};
  if (config.svm_c_grid_size() == 0) return kPenalties;
  return {config.svm_c_grid().begin(), config.svm_c_grid().end()};
}

// Without a wish, those of the usual numbers of neighbours that there are.
std::vector<int64_t> Neighbours(const ProbeConfig& config, int64_t fewest) {
  if (config.knn_k_size() > 0) return {config.knn_k().begin(), config.knn_k().end()};
  std::vector<int64_t> ks = kNeighbours;
  ks.erase(std::remove_if(ks.begin(), ks.end(), [=](int64_t k) { return k > fewest; }), ks.end());
  return ks;
}

absl::Status CheckPair(const ProbeConfig& config, const EmbeddedShapes& fitted, const EmbeddedShapes& asked) {
  if (fitted.features != asked.features)
    return absl::InvalidArgumentError(absl::StrCat("train has ", fitted.features, " features, test ",
                                                   asked.features, ": not of one model"));
  const std::string &a = fitted.record.checkpoint_hash(), &b = asked.record.checkpoint_hash();
  if (!a.empty() && !b.empty() && a != b)
    return absl::InvalidArgumentError("train and test are embeddings of different checkpoints");
  const bool episodes = config.fewshot_k() > 0 || config.fewshot_n_way() > 0 || config.n_query() > 0;
  if (config.fewshot_k() == 0 && SameShapes(fitted, asked))
    return absl::InvalidArgumentError(
        "train and test are the same shapes: give fewshot_k, and those that are not shots are tested");
  if (config.episodes() > 1 && !episodes)
    return BadConfigError(
        "episodes: without fewshot_k, fewshot_n_way or n_query there is nothing to draw, and all are alike");
  return absl::OkStatus();
}

absl::Status FitAndAsk(const ProbeConfig& config, EpisodeData data, std::vector<Score>* scores) {
  if (config.standardize()) {
    const Standardizer standardizer(data.fitted);
    standardizer.Apply(&data.fitted);
    standardizer.Apply(&data.asked);
  }
  if (IsSvm(config)) {
    double c = config.svm_c();
    if (c == 0) {
      MF_ASSIGN_OR_RETURN(c, ChoosePenalty(data.fitted, data.fitted_labels, Penalties(config),
                                           config.svm_folds(), config.num_threads()));
    }
    MF_ASSIGN_OR_RETURN(const LinearSvm svm, LinearSvm::Fit(data.fitted, data.fitted_labels, c));
    Score& score = scores->front();
    score.penalties.push_back(c);
    score.accuracies.push_back(score.confusion.Add(data.asked_labels, svm.Predict(data.asked)));
    return absl::OkStatus();
  }
  std::vector<int64_t> ks;
  for (const Score& score : *scores) ks.push_back(score.k);
  const Nearness nearness = config.knn_metric() == "cosine" ? Nearness::kCosine : Nearness::kEuclid;
  MF_ASSIGN_OR_RETURN(const auto votes, VoteOfNeighbours(data.fitted, data.fitted_labels, data.asked, ks,
                                                         nearness, config.num_threads()));
  for (size_t k = 0; k < ks.size(); ++k)
    (*scores)[k].accuracies.push_back((*scores)[k].confusion.Add(data.asked_labels, votes[k]));
  return absl::OkStatus();
}

double Mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double Deviation(const std::vector<double>& values) {
  const double mean = Mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size()));
}

// What the vectors were made by is part of the protocol; which ones they are, of the split.
std::string AddEmbedding(const char* name, const EmbeddedShapes& shapes, RecordBuilder* builder) {
  const ResultRecord& record = shapes.record;
  builder->Protocol(absl::StrCat(name, ".protocol"), record.protocol_signature());
  for (const Setting& setting : record.settings())
    builder->NoteJson(absl::StrCat(name, ".", setting.name()), setting.json());
  if (!record.split_hash().empty()) return record.split_hash();
  return Sha256Hex(absl::StrCat(absl::StrJoin(shapes.keys, "\n"), "\n", absl::StrJoin(shapes.labels, ",")));
}

ResultRecord MakeRecord(const ProbeConfig& config, const EmbeddedShapes& fitted, const EmbeddedShapes& asked,
                        const Episode& episode, const std::vector<Score>& scores) {
  RecordBuilder builder("probe");
  for (const Score& score : scores) {
    builder.Metric(absl::StrCat(score.name, "_acc"), Mean(score.accuracies));
    if (config.episodes() > 1)
      builder.Metric(absl::StrCat(score.name, "_acc_std"), Deviation(score.accuracies));
  }
  builder.Protocol("method", config.method()).Protocol("standardize", config.standardize());
  if (IsSvm(config)) {
    builder.Protocol("svm_c", config.svm_c());
    if (config.svm_c() == 0)
      builder.Protocol("svm_c_grid", absl::StrJoin(Penalties(config), ","))
          .Protocol("svm_folds", config.svm_folds());
  } else {
    builder.Protocol("knn_metric", config.knn_metric());
  }
  builder.Protocol("fewshot_k", config.fewshot_k())
      .Protocol("fewshot_n_way", config.fewshot_n_way())
      .Protocol("n_query", config.n_query());
  const std::string split = Sha256Hex(
      absl::StrCat(AddEmbedding("train", fitted, &builder), "\n", AddEmbedding("test", asked, &builder)));
  const int64_t ways =
      config.fewshot_n_way() > 0 ? config.fewshot_n_way() : static_cast<int64_t>(fitted.class_names.size());
  builder.NoteJson("fewshot_seed", absl::StrCat(config.fewshot_seed()))
      .NoteJson("episodes", absl::StrCat(config.episodes()))
      .NoteJson("num_train", absl::StrCat(episode.fitted.size()))
      .NoteJson("num_test", absl::StrCat(episode.asked.size()))
      .NoteJson("chance", FormatNumber(1 / static_cast<double>(ways)));
  std::string label = config.label();
  if (label.empty()) label = fitted.record.label();
  if (label.empty()) label = LabelOf(config.train());
  return builder.Finish(label, split, fitted.record.checkpoint_hash(), "f32");
}

// Embeddings of `split` by the nested config.
absl::StatusOr<EmbeddedShapes> EmbedFor(const ProbeConfig& config, const std::string& split,
                                        LoadedModel* model) {
  EmbedConfig embed = config.embed();
  embed.set_split(split);
  return EmbedSplit(embed, model);
}

absl::StatusOr<EmbeddedShapes> ReadInput(const std::string& path) {
  MF_ASSIGN_OR_RETURN(EmbeddedShapes shapes, ReadEmbeddings(path));
  MF_ASSIGN_OR_RETURN(const std::string hash, Sha256HexOfFile(path));
  NoteInput(path, hash);
  return shapes;
}

}  // namespace

absl::StatusOr<ProbeResult> MeasureProbe(const ProbeConfig& config, const EmbeddedShapes& fitted,
                                         EmbeddedShapes asked) {
  MF_RETURN_IF_ERROR(CheckPair(config, fitted, asked));
  MF_ASSIGN_OR_RETURN(asked.labels, RelabelledAs(fitted.class_names, asked));
  asked.class_names = fitted.class_names;
  const auto classes = static_cast<int64_t>(fitted.class_names.size());

  std::vector<Score> scores;
  Episode episode;
  Progress progress("probe", "episodes", config.episodes());
  for (int64_t e = 0; e < config.episodes(); ++e) {
    MF_ASSIGN_OR_RETURN(episode, DrawEpisode(fitted, asked,
                                             {.shots = config.fewshot_k(),
                                              .ways = config.fewshot_n_way(),
                                              .queries = config.n_query(),
                                              .seed = config.fewshot_seed() + e}));
    if (e == 0 && IsSvm(config)) scores.push_back({.name = "svm", .confusion = Confusion(classes)});
    if (e == 0 && !IsSvm(config))
      for (const int64_t k : Neighbours(config, static_cast<int64_t>(episode.fitted.size())))
        scores.push_back({.name = absl::StrCat("knn@", k), .k = k, .confusion = Confusion(classes)});
    MF_RETURN_IF_ERROR(FitAndAsk(config,
                                 {RowsOf(fitted, episode.fitted), RowsOf(asked, episode.asked),
                                  LabelsOf(fitted, episode.fitted), LabelsOf(asked, episode.asked)},
                                 &scores));
    progress.Add();
  }
  ProbeResult result;
  *result.mutable_record() = MakeRecord(config, fitted, asked, episode, scores);
  for (const Score& score : scores) {
    ProbeScore& written = *result.add_scores();
    written.set_name(score.name);
    for (const double accuracy : score.accuracies) written.add_accuracies(accuracy);
    for (const double c : score.penalties) written.add_svm_c(c);
    score.confusion.Write(fitted.class_names, written.mutable_classes(), written.mutable_confusion());
  }
  return result;
}

absl::StatusOr<ProbeResult> Probe(const ProbeConfig& config) {
  const bool files = !config.train().empty() || !config.test().empty();
  if (files == config.has_embed() || (files && (config.train().empty() || config.test().empty())))
    return BadConfigError("give train and test, two .npz of embeddings, or embed.ckpt and embed.cache_root");
  if (config.embed().has_split() || config.embed().has_output() || config.embed().has_record())
    return BadConfigError(
        "embed.split, embed.output and embed.record are //eval:embed's: here train_split and test_split are "
        "embedded, and no file is written");
  NoteSeed("fewshot_seed", static_cast<uint64_t>(config.fewshot_seed()));
  EmbeddedShapes fitted, asked;
  if (files) {
    MF_ASSIGN_OR_RETURN(fitted, ReadInput(config.train()));
    MF_ASSIGN_OR_RETURN(asked, ReadInput(config.test()));
  } else {
    MF_ASSIGN_OR_RETURN(LoadedModel model, LoadEmbedder(config.embed()));
    MF_ASSIGN_OR_RETURN(fitted, EmbedFor(config, config.train_split(), &model));
    MF_ASSIGN_OR_RETURN(asked, EmbedFor(config, config.test_split(), &model));
  }
  MF_ASSIGN_OR_RETURN(ProbeResult result, MeasureProbe(config, fitted, std::move(asked)));
  for (const ProbeScore& score : result.scores()) {
    const std::vector<double> accuracies(score.accuracies().begin(), score.accuracies().end());
    LogLine(absl::StrFormat(
        "%s: %s %.1f %%%s (chance %s)", result.record().label(), score.name(), 100 * Mean(accuracies),
        accuracies.size() > 1
            ? absl::StrFormat(" ± %.1f over %d episodes", 100 * Deviation(accuracies), accuracies.size())
            : "",
        SettingOf(result.record(), "chance")));
  }
  return result;
}

}  // namespace manyform
