#include "eval/aggregate.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "eval/record.h"

namespace manyform {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr char kBaselineLabel[] = "nn_copy";

/// One number on its way into a cell.
struct Measurement {
  int stage;  ///< order of the columns
  TableColumn column;
  std::string label;
  double value = 0, chance = kNaN;
  bool baseline = false;
  const MeasuredFile* file;
};

std::string Plain(const ResultRecord& record, const char* setting) {
  std::string json = SettingOf(record, setting);
  if (json.size() >= 2 && json.front() == '"') return json.substr(1, json.size() - 2);
  return json;
}

bool IsTrue(const ResultRecord& record, const char* setting) { return SettingOf(record, setting) == "true"; }

void AddUcpr(const MeasuredFile& file, std::vector<Measurement>* out) {
  const ResultRecord& record = file.record();
  std::string where =
      absl::StrCat(" ", Plain(record, "query_backend"), "→", Plain(record, "gallery_backend"));
  if (IsTrue(record, "ablate_point_xyz")) where += " without positions";
  if (IsTrue(record, "ablate_point_dist")) where += " without distances";
  if (IsTrue(record, "sanity_constant_embed")) where += " constant";
  const char* keys[][2] = {{"r@1", "R@1"}, {"r@5", "R@5"}, {"r@10", "R@10"}, {"mAP", "MRR"}};
  for (const auto& [key, name] : keys) {
    out->push_back({.stage = 3,
                    .column = {.name = name + where, .stage = "ucpr", .percent = true},
                    .label = record.label(),
                    .value = MetricOr(record, key, kNaN),
                    .chance = MetricOr(record, absl::StrCat("expected_random_", key), kNaN),
                    .file = &file});
  }
}

/// What a completion was asked, as far as it is not the usual: settings whose numbers are no rivals.
std::string CompletionColumn(const ResultRecord& record) {
  std::string where;
  if (const std::string context = Plain(record, "context_backend");
      !context.empty() && context != "pointcloud_noray")
    where = " from " + context;
  if (const std::string source = Plain(record, "query_source"); source != "pool" && !source.empty()) {
    absl::StrAppend(&where, " ", source);
    if (const std::string mode = Plain(record, "grid_sample_mode"); mode != "uniform")
      absl::StrAppend(&where, " ", mode);
  }
  const std::string test = Plain(record, "context_mode_test"), train = Plain(record, "context_mode_train");
  if (test == "none") where += " without context";
  if (test == "mismatch") where += " with another's context";
  if (!IsTrue(record, "baseline_only") && train != "normal" && train != test && !train.empty())
    absl::StrAppend(&where, " (head: ", train, ")");
  if (IsTrue(record, "legacy_transductive")) where += " transductive";
  return where;
}

void AddCpac(const MeasuredFile& file, std::vector<Measurement>* out) {
  const ResultRecord& record = file.record();
  const std::string where = CompletionColumn(record);
  struct Key {
    const char* metric;
    const char* name;
    bool error;
    bool percent;
  };
  constexpr Key kKeys[] = {{"mae", "MAE", true, false},
                           {"rmse", "RMSE", true, false},
                           {"iou@tau", "IoU", false, true},
                           {"near@tau_report.mae", "MAE near", true, false},
                           {"near@tau_report.iou@tau", "IoU near", false, true},
                           {"mesh_eval.summary.chamfer_l1_mean", "Chamfer-L1", true, false},
                           {"mesh_eval.summary.chamfer_l2_mean", "Chamfer-L2", true, false},
                           {"mesh_eval.summary.fscore_mean", "F-score", false, true},
                           {"mesh_eval.summary.normal_consistency_mean", "normals", false, true}};
  const bool baseline_only = IsTrue(record, "baseline_only");
  for (const Key& key : kKeys) {
    const TableColumn column = {
        .name = key.name + where, .stage = "cpac", .lower_is_better = key.error, .percent = key.percent};
    const auto add = [&](const std::string& label, const std::string& metric, bool baseline) {
      const double value = MetricOr(record, metric, kNaN);
      const bool measured = std::any_of(record.metrics().begin(), record.metrics().end(),
                                        [&](const Metric& m) { return m.name() == metric; });
      if (measured)
        out->push_back({.stage = 4,
                        .column = column,
                        .label = label,
                        .value = value,
                        .baseline = baseline,
                        .file = &file});
    };
    if (!baseline_only) add(record.label(), key.metric, false);
    add(kBaselineLabel, absl::StrCat("baseline.", key.metric), true);
  }
}

void AddFinetune(const MeasuredFile& file, std::vector<Measurement>* out) {
  const ResultRecord& record = file.record();
  const std::string k = SettingOf(record, "fewshot_k");
  std::string name = k.empty() || k == "0" ? "acc full" : absl::StrCat("acc K=", k);
  if (const std::string way = SettingOf(record, "fewshot_n_way"); !way.empty() && way != "0")
    absl::StrAppend(&name, " ", way, "-way");
  if (IsTrue(record, "freeze_backbone")) name += " linear probe";
  if (IsTrue(record, "ablate_point_dist")) name += " without distances";
  const std::string train = Plain(record, "train_backend"), test = Plain(record, "eval_backend");
  if (train != test && !train.empty() && !test.empty()) absl::StrAppend(&name, " ", train, "→", test);
  const auto& result = std::get<FinetuneResult>(file.result);
  out->push_back({.stage = 0,
                  .column = {.name = name, .stage = "finetune", .percent = true},
                  .label = record.label(),
                  .value = MetricOr(record, "test_acc", kNaN),
                  .chance = result.classes_size() > 0 ? 1.0 / result.classes_size() : kNaN,
                  .file = &file});
}

void AddClassify(const MeasuredFile& file, std::vector<Measurement>* out) {
  const ResultRecord& record = file.record();
  const auto& result = std::get<ClassifyResult>(file.result);
  out->push_back(
      {.stage = 1,
       .column = {.name = absl::StrCat("acc of ", Plain(record, "split"), " ", Plain(record, "backend")),
                  .stage = "classify",
                  .percent = true},
       .label = record.label(),
       .value = MetricOr(record, "acc", kNaN),
       .chance = result.classes_size() > 0 ? 1.0 / result.classes_size() : kNaN,
       .file = &file});
}

/// Every episode is a measurement of its own.
void AddProbe(const MeasuredFile& file, std::vector<Measurement>* out) {
  const ResultRecord& record = file.record();
  std::string where;
  if (const std::string ways = Plain(record, "fewshot_n_way"); ways != "0")
    absl::StrAppend(&where, " ", ways, "-way");
  if (const std::string k = Plain(record, "fewshot_k"); k != "0") absl::StrAppend(&where, " K=", k);
  const std::string train = Plain(record, "train.backend"), test = Plain(record, "test.backend");
  if (!train.empty()) absl::StrAppend(&where, " ", train);
  if (train != test) absl::StrAppend(&where, "→", test);
  double chance = kNaN;
  if (!absl::SimpleAtod(SettingOf(record, "chance"), &chance)) chance = kNaN;
  for (const ProbeScore& score : std::get<ProbeResult>(file.result).scores()) {
    for (const double accuracy : score.accuracies())
      out->push_back({.stage = 2,
                      .column = {.name = score.name() + where, .stage = "probe", .percent = true},
                      .label = record.label(),
                      .value = accuracy,
                      .chance = chance,
                      .file = &file});
  }
}

std::vector<Measurement> MeasurementsOf(const MeasuredFile& file) {
  std::vector<Measurement> measurements;
  if (file.record().stage() == "ucpr") AddUcpr(file, &measurements);
  if (file.record().stage() == "cpac") AddCpac(file, &measurements);
  if (file.record().stage() == "finetune") AddFinetune(file, &measurements);
  if (file.record().stage() == "classify") AddClassify(file, &measurements);
  if (file.record().stage() == "probe") AddProbe(file, &measurements);
  return measurements;
}

/// Which baselines may be compared: what the copying of distances depends on. The head and the model do not
/// matter to it, so its rows are not held to the whole signature.
std::string BaselineProtocol(const ResultRecord& record) {
  std::vector<const char*> keys = {
      "context_backend", "n_context",    "n_query",         "query_source",           "eval_split",
      "eval_seed",       "tau",          "report_near_tau", "disjoint_context_query", "n_shapes_total",
      "voxel_grid",      "voxel_dilate", "voxel_max_steps", "context_mode_test"};
  const auto add = [&keys](std::initializer_list<const char*> more) {
    keys.insert(keys.end(), more.begin(), more.end());
  };
  if (Plain(record, "context_mode_test") == "mismatch") add({"mismatch_shift"});
  if (IsTrue(record, "legacy_transductive")) add({"head_train_n", "head_train_ratio"});
  if (Plain(record, "query_source") == "hybrid") add({"query_pool_frac"});
  if (const std::string source = Plain(record, "query_source"); source == "grid" || source == "hybrid") {
    add({"grid_sample_mode"});
    const std::string mode = Plain(record, "grid_sample_mode");
    if (mode == "near_surface") add({"grid_near_tau", "grid_near_frac"});
    if (mode == "coarse_to_fine")
      add({"grid_near_tau", "grid_res_schedule", "grid_c2f_expand", "grid_c2f_stage_weights"});
  }
  std::string protocol = record.split_hash();
  for (const char* key : keys) absl::StrAppend(&protocol, "\n", key, "=", SettingOf(record, key));
  return protocol;
}

std::string Differences(const ResultRecord& a, const ResultRecord& b) {
  // What a run or its checkpoint brings along may differ within a column.
  const std::set<std::string> own = {
      "ckpt",      "cache_root", "seed",    "fewshot_seed",    "fewshot_way_seed",
      "qa_tokens", "qa_layout",  "add_eos", "include_pt_grad", "include_ray_unc",
      "d_model",   "layers",     "heads",   "model_max_len"};
  std::vector<std::string> differences;
  for (const Setting& setting : a.settings()) {
    const std::string other = SettingOf(b, setting.name());
    if (own.count(setting.name()) == 0 && other != setting.json())
      differences.push_back(
          absl::StrCat(setting.name(), " ", setting.json(), " and ", other.empty() ? "not given" : other));
  }
  if (a.split_hash() != b.split_hash()) differences.push_back("the shapes of the split");
  if (a.precision() != b.precision())
    differences.push_back(absl::StrCat("precision ", a.precision(), " and ", b.precision()));
  return differences.empty() ? "in settings that are not listed" : absl::StrJoin(differences, ", ");
}

/// The first pair of a column that may not be compared, as a sentence.
std::optional<std::string> MixedProtocols(const std::vector<Measurement>& measurements,
                                          const std::string& column) {
  const Measurement* model = nullptr;
  const Measurement* any = nullptr;
  for (const Measurement& m : measurements) {
    if (m.column.name != column) continue;
    const Measurement* with = nullptr;
    if (!m.baseline && model != nullptr &&
        model->file->record().protocol_signature() != m.file->record().protocol_signature()) {
      with = model;
    } else if (any != nullptr && (m.baseline || any->baseline) &&
               BaselineProtocol(any->file->record()) != BaselineProtocol(m.file->record())) {
      with = any;
    }
    if (with != nullptr) {
      return absl::StrCat("column \"", column, "\": ", with->file->path, " (", with->label, ") and ",
                          m.file->path, " (", m.label, ") were measured under different protocols: ",
                          Differences(with->file->record(), m.file->record()));
    }
    if (!m.baseline && model == nullptr) model = &m;
    if (any == nullptr) any = &m;
  }
  return std::nullopt;
}

/// Same run, same checkpoint, same protocol: the same number again.
std::string Identity(const MeasuredFile& file) {
  const ResultRecord& record = file.record();
  if (file.provenance().config_fingerprint().empty()) return absl::StrCat("file ", file.path);
  return absl::StrCat(record.label(), "\n", record.protocol_signature(), "\n", record.checkpoint_hash(), "\n",
                      file.provenance().config_fingerprint());
}

TableCell Average(const std::string& column, const std::vector<const Measurement*>& measurements) {
  TableCell cell;
  cell.set_column(column);
  double sum = 0, squares = 0;
  for (const Measurement* m : measurements) sum += m->value;
  const double n = static_cast<double>(measurements.size()), mean = sum / n;
  for (const Measurement* m : measurements) squares += (m->value - mean) * (m->value - mean);
  cell.set_mean(mean);
  if (measurements.size() > 1) cell.set_std(std::sqrt(squares / n));
  cell.set_n(static_cast<int>(measurements.size()));
  if (!std::isnan(measurements.front()->chance)) cell.set_chance(measurements.front()->chance);
  return cell;
}

}  // namespace

MeasuredTable Aggregate(std::span<const MeasuredFile> files) {
  MeasuredTable table;
  std::vector<Measurement> measurements;
  std::map<std::string, std::string> seen;
  std::set<std::string> baselines;
  for (const MeasuredFile& file : files) {
    if (const auto [first, fresh] = seen.emplace(Identity(file), file.path); !fresh) {
      table.repeated.push_back(absl::StrCat(file.path, " repeats ", first->second, ": counted once"));
      continue;
    }
    const std::string& label = file.record().label();
    if (IsTrue(file.record(), "simulated") &&
        std::find(table.simulated.begin(), table.simulated.end(), label) == table.simulated.end()) {
      table.simulated.push_back(label);
    }
    std::vector<Measurement> own = MeasurementsOf(file);
    // No model is in a baseline: it is the same number in every file that measured it.
    const bool has_baseline =
        std::any_of(own.begin(), own.end(), [](const Measurement& m) { return m.baseline; });
    const bool new_baseline = has_baseline && baselines.insert(BaselineProtocol(file.record())).second;
    for (Measurement& m : own)
      if (!m.baseline || new_baseline) measurements.push_back(std::move(m));
  }

  std::stable_sort(measurements.begin(), measurements.end(),
                   [](const Measurement& a, const Measurement& b) { return a.stage < b.stage; });
  for (const Measurement& m : measurements) {
    const auto same = [&](const TableColumn& column) { return column.name == m.column.name; };
    if (std::none_of(table.columns.begin(), table.columns.end(), same)) table.columns.push_back(m.column);
  }

  // Labels in the order of the files, which the sort above has left behind.
  std::vector<std::string> labels;
  for (const bool baseline : {false, true}) {
    for (const MeasuredFile& file : files) {
      for (const Measurement& m : measurements) {
        if (m.file != &file || m.baseline != baseline) continue;
        if (std::find(labels.begin(), labels.end(), m.label) == labels.end()) labels.push_back(m.label);
      }
    }
  }
  for (const std::string& label : labels) {
    TableRow& row = table.rows.emplace_back();
    row.set_label(label);
    for (TableColumn& column : table.columns) {
      std::vector<const Measurement*> cell;
      for (const Measurement& m : measurements)
        if (m.label == label && m.column.name == column.name) cell.push_back(&m);
      if (cell.empty()) continue;
      *row.add_cells() = Average(column.name, cell);
      if (!cell.front()->baseline)
        column.most_seeds = std::max(column.most_seeds, static_cast<int>(cell.size()));
    }
  }
  for (const TableColumn& column : table.columns)
    if (auto mixed = MixedProtocols(measurements, column.name)) table.mixed.push_back(*std::move(mixed));
  return table;
}

const TableCell* FindCell(const TableRow& row, const TableColumn& column) {
  for (const TableCell& cell : row.cells())
    if (cell.column() == column.name) return &cell;
  return nullptr;
}

double ChanceLevel(const MeasuredTable& table, const TableColumn& column) {
  for (const TableRow& row : table.rows) {
    const TableCell* cell = FindCell(row, column);
    if (cell != nullptr && cell->has_chance()) return cell->chance();
  }
  return kNaN;
}

}  // namespace manyform
