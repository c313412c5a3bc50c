#include "data/dump_tokens.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/provenance.h"
#include "base/status_macros.h"
#include "base/thread_pool.h"
#include "data/batch_loader.h"
#include "data/npz_writer.h"
#include "data/shape_list.h"
#include "data/token_dataset.h"
#include "data/token_options.h"

namespace manyform {
namespace {

// Features of a batch beyond which batches get smaller: 64 MiB.
constexpr int64_t kBatchFeatures = int64_t{1} << 24;
// Every shape is passed once.
constexpr KeptLimits kKept = {
    .shapes = 1024, .heap_bytes = int64_t{256} << 20, .mapped_bytes = int64_t{1} << 30};
// Samples that are listed at a time.
constexpr int64_t kListed = int64_t{1} << 16;

// A sample's types are one of few rows: whether its rays are missing is all that differs.
class TypeRows {
 public:
  void Add(std::span<const uint8_t> row) {
    const auto [it, added] = numbers_.try_emplace({row.begin(), row.end()}, static_cast<int>(rows_.size()));
    if (added) rows_.emplace_back(row.begin(), row.end());
    samples_.push_back(it->second);
  }
  absl::Status Write(NpzWriter& npz) const {
    for (const int row : samples_) {
      MF_RETURN_IF_ERROR(npz.Append(rows_[row].data(), rows_[row].size() * sizeof(int64_t)));
    }
    return absl::OkStatus();
  }

 private:
  std::map<std::vector<uint8_t>, int> numbers_;
  std::vector<std::vector<int64_t>> rows_;
  std::vector<int> samples_;
};

struct Job {
  TokenDataset dataset;
  int64_t shapes = 0, samples = 0, length = 0, eval_seed = 0;
};

absl::StatusOr<Job> Plan(const DumpTokensConfig& config) {
  if (!absl::EndsWith(config.output(), ".npz")) {
    return BadConfigError(absl::StrCat("output is ", config.output(), ", expected a name ending in .npz"));
  }
  Job job;
  MF_RETURN_IF_ERROR(SetBackendOptions(config, &job.dataset.backend));
  MF_RETURN_IF_ERROR(SetTokenOptions(config, &job.dataset.tokens));
  const TokenOptions& tokens = job.dataset.tokens;
  if (tokens.drop_ray_prob > 0) LogLine("drop_ray_prob: deterministic evaluation drops no rays; 0 is used");
  if (tokens.augment.Any() && !tokens.augment.in_eval) LogLine("aug_eval is off: samples are not augmented");
  MF_ASSIGN_OR_RETURN(ShapeList shapes, ShapeList::Open(config.cache_root(), config.split(), kKept));
  NoteInput(absl::StrCat(config.cache_root(), "/", config.split()), shapes.fingerprint());
  job.shapes = config.max_files() > 0 ? std::min<int64_t>(config.max_files(), shapes.size()) : shapes.size();
  job.samples = config.mc_eval_k();
  job.length = SequenceLength(tokens.n_point, tokens.n_ray, tokens.layout);
  job.eval_seed = config.eval_seed();
  job.dataset.shapes = std::make_shared<const ShapeList>(std::move(shapes));
  return job;
}

// Shape by shape, resample by resample: a sample's number says both, and is what a draw holds.
absl::StatusOr<std::unique_ptr<BatchLoader>> Load(const Job& job, int num_threads) {
  const int64_t most = kBatchFeatures / (job.length * kFeatures);
  BatchLoader::Options options;
  options.batch = std::clamp<int64_t>(most, 1, 64);
  options.drop_last = false;
  options.num_workers = ResolveThreads(num_threads);
  options.prefetch = options.num_workers + 1;
  options.length = job.length;
  options.epochs = (job.shapes * job.samples + kListed - 1) / kListed;
  options.draws = [&job](int64_t epoch) {
    const int64_t first = epoch * kListed, all = job.shapes * job.samples;
    std::vector<Draw> draws(std::min(kListed, all - first));
    for (size_t i = 0; i < draws.size(); ++i) draws[i].shape = first + static_cast<int64_t>(i);
    return draws;
  };
  options.fill = [&job](const Draw& draw, int64_t, int64_t, std::span<float> feat, std::span<uint8_t> type) {
    return EvalTokens(job.dataset, draw.shape / job.samples, job.eval_seed, draw.shape % job.samples, feat,
                      type);
  };
  return BatchLoader::Create(std::move(options));
}

absl::Status WriteTokens(const Job& job, int num_threads, NpzWriter& npz) {
  MF_RETURN_IF_ERROR(npz.Begin("feat", DType::kF32, {job.shapes, job.samples, job.length, kFeatures}));
  TypeRows types;
  {
    MF_ASSIGN_OR_RETURN(const std::unique_ptr<BatchLoader> loader, Load(job, num_threads));
    Progress progress("dump_tokens", "samples", job.shapes * job.samples);
    while (true) {
      MF_RETURN_IF_ERROR(CheckInterrupt());
      MF_ASSIGN_OR_RETURN(const Batch* batch, loader->Next());
      if (batch == nullptr) break;
      MF_RETURN_IF_ERROR(npz.Append(batch->feat.data(), batch->feat.size() * sizeof(float)));
      for (int64_t i = 0; i < batch->size; ++i) {
        types.Add(std::span(batch->type).subspan(i * job.length, job.length));
      }
      progress.Add(batch->size);
    }
  }
  MF_RETURN_IF_ERROR(npz.Begin("type_id", DType::kI64, {job.shapes, job.samples, job.length}));
  MF_RETURN_IF_ERROR(types.Write(npz));
  std::vector<std::string> keys;
  keys.reserve(job.shapes);
  for (int64_t i = 0; i < job.shapes; ++i) keys.push_back(job.dataset.shapes->key(i));
  return npz.Write({"key", MakeStringArray(keys)});
}

}  // namespace

absl::StatusOr<DumpTokensResult> DumpTokens(const DumpTokensConfig& config) {
  const auto start = std::chrono::steady_clock::now();
  MF_ASSIGN_OR_RETURN(const Job job, Plan(config));
  MF_ASSIGN_OR_RETURN(NpzWriter npz, NpzWriter::Create(config.output()));
  MF_RETURN_IF_ERROR(WriteTokens(job, config.num_threads(), npz));
  MF_RETURN_IF_ERROR(npz.Finish());
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  DumpTokensResult result;
  result.set_shapes(job.shapes);
  result.set_samples(job.samples);
  result.set_tokens(job.length);
  result.set_file_bytes(static_cast<int64_t>(npz.written()));
  result.set_samples_per_second(static_cast<double>(job.shapes * job.samples) / seconds.count());
  LogLine(absl::StrCat(config.output(), ": feat (", job.shapes, ", ", job.samples, ", ", job.length, ", ",
                       kFeatures, "), ", HumanBytes(npz.written())));
  return result;
}

}  // namespace manyform
