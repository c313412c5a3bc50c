#include "eval/table.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/files.h"
#include "base/result_writer.h"
#include "eval/result_files_for_test.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

const TableRow* FindRow(const MeasuredTable& table, const std::string& label) {
  for (const TableRow& row : table.rows)
    if (row.label() == label) return &row;
  return nullptr;
}

const TableCell* Cell(const MeasuredTable& table, const std::string& label, const std::string& column) {
  const TableRow* row = FindRow(table, label);
  return row == nullptr ? nullptr : FindCell(*row, {.name = column});
}

TEST(Aggregate, SeedsBecomeMeanAndPopulationDeviation) {
  const std::vector<MeasuredFile> files = {MadeUpUcpr("nepa", 0.2, 0), MadeUpUcpr("nepa", 0.4, 1),
                                           MadeUpUcpr("nepa", 0.9, 2), MadeUpUcpr("mae", 0.1)};
  const MeasuredTable table = Aggregate(files);
  EXPECT_TRUE(table.mixed.empty());
  ASSERT_EQ(table.rows.size(), 2);
  EXPECT_EQ(table.rows[0].label(), "nepa");
  const TableCell* cell = Cell(table, "nepa", "R@1 mesh→udfgrid");
  ASSERT_NE(cell, nullptr);
  EXPECT_DOUBLE_EQ(cell->mean(), 0.5);
  EXPECT_NEAR(cell->std(), std::sqrt((0.09 + 0.01 + 0.16) / 3), 1e-12);
  EXPECT_EQ(cell->n(), 3);
  EXPECT_DOUBLE_EQ(cell->chance(), 1.0 / 40);
  EXPECT_FALSE(Cell(table, "mae", "R@1 mesh→udfgrid")->has_std());
  EXPECT_EQ(CellText(cell, table.columns[0]), "50.0 ± 29.4 (3)");
  EXPECT_EQ(CellText(Cell(table, "mae", "R@1 mesh→udfgrid"), table.columns[0]), "10.0 (1)†");
}

TEST(Aggregate, StagesStandSideBySide) {
  const std::vector<MeasuredFile> files = {MadeUpCpac("nepa", 0.03, 0.05), MadeUpUcpr("nepa", 0.5),
                                           MadeUpFinetune("nepa", 0.75, 5, 0),
                                           MadeUpFinetune("scratch", 0.6, 0, 0)};
  const MeasuredTable table = Aggregate(files);
  EXPECT_EQ(table.columns.front().name, "acc K=5");
  EXPECT_EQ(table.columns.back().name, "IoU");
  ASSERT_EQ(table.rows.size(), 3);
  EXPECT_EQ(table.rows[2].label(), "nn_copy") << "the baseline stands last";
  EXPECT_EQ(Cell(table, "nn_copy", "MAE")->mean(), 0.05);
  EXPECT_EQ(Cell(table, "nn_copy", "RMSE"), nullptr);
  EXPECT_EQ(Cell(table, "scratch", "acc full")->mean(), 0.6);
  EXPECT_EQ(Cell(table, "scratch", "acc full")->chance(), 0.2);
  EXPECT_EQ(Cell(table, "scratch", "MAE"), nullptr);
  for (const TableColumn& column : table.columns) {
    const bool error = absl::StartsWith(column.name, "MAE") || absl::StartsWith(column.name, "RMSE");
    EXPECT_EQ(column.lower_is_better, error) << column.name;
    EXPECT_EQ(column.percent, !error) << column.name;
  }
}

TEST(Aggregate, EpisodesOfAProbeAreMeasurements) {
  const std::vector<MeasuredFile> files = {MadeUpProbe("nepa", "svm", {0.5, 0.7, 0.9}, 5),
                                           MadeUpProbe("nepa", "knn@5", {0.25}), MadeUpClassify("nepa", 0.6),
                                           MadeUpFinetune("nepa", 0.75, 0, 0), MadeUpUcpr("nepa", 0.5)};
  const MeasuredTable table = Aggregate(files);
  EXPECT_TRUE(table.mixed.empty());
  const TableCell* episodes = Cell(table, "nepa", "svm 5-way K=10 mesh");
  ASSERT_NE(episodes, nullptr);
  EXPECT_NEAR(episodes->mean(), 0.7, 1e-12);
  EXPECT_NEAR(episodes->std(), std::sqrt(0.08 / 3), 1e-12);
  EXPECT_EQ(episodes->n(), 3);
  EXPECT_EQ(episodes->chance(), 0.2);
  EXPECT_EQ(Cell(table, "nepa", "knn@5 mesh→udfgrid")->mean(), 0.25);
  EXPECT_EQ(Cell(table, "nepa", "acc of test voxel")->chance(), 0.25);
  std::vector<std::string> stages;
  for (const TableColumn& column : table.columns)
    if (stages.empty() || stages.back() != column.stage) stages.push_back(column.stage);
  EXPECT_EQ(stages, (std::vector<std::string>{"finetune", "classify", "probe", "ucpr"}));
}

TEST(Aggregate, DifferentProtocolsInOneColumnAreNamed) {
  const std::vector<MeasuredFile> files = {MadeUpUcpr("a", 0.2, 0, 24), MadeUpUcpr("b", 0.3, 0, 30)};
  const MeasuredTable table = Aggregate(files);
  ASSERT_EQ(table.mixed.size(), 4) << "each of the four retrieval columns";
  EXPECT_TRUE(absl::StrContains(table.mixed[0], "n_point 24 and 30")) << table.mixed[0];
  EXPECT_TRUE(absl::StrContains(table.mixed[0], "a0.json")) << table.mixed[0];
}

TEST(Aggregate, BaselinesAreHeldToWhatTheyDependOn) {
  // The head's penalty changes the models' protocol, and nothing about copied distances.
  std::vector<MeasuredFile> files = {MadeUpCpac("a", 0.02, 0.05, 1e-3), MadeUpCpac("b", 0.03, 0.05, 1.0)};
  MeasuredTable table = Aggregate(files);
  ASSERT_FALSE(table.mixed.empty());
  EXPECT_TRUE(absl::StrContains(table.mixed[0], "ridge_lambda 0.001 and 1")) << table.mixed[0];
  EXPECT_EQ(Cell(table, "nn_copy", "MAE")->n(), 1) << "one baseline, however often it was measured";
  files = {MadeUpCpac("a", 0.02), MadeUpCpac("b", 0.03, 0.05)};
  table = Aggregate(files);
  EXPECT_TRUE(table.mixed.empty());
  ASSERT_NE(Cell(table, "nn_copy", "MAE"), nullptr) << "also when another file measured no baseline";
}

TEST(Aggregate, CompletionsOfOtherQuestionsHaveOtherColumns) {
  const auto file = [](const std::string& label,
                       const std::vector<std::pair<const char*, const char*>>& asked) {
    RecordBuilder builder("cpac");
    for (const auto& [name, value] : asked) builder.Protocol(name, value);
    builder.Metric("mae", 0.25).Metric("mesh_eval.summary.chamfer_l1_mean", 0.5);
    CpacResult result;
    *result.mutable_record() = builder.Finish(label, "split", label, "f32");
    result.mutable_provenance()->set_config_fingerprint(label);
    return MeasuredFile{label + ".json", result};
  };
  const std::vector<MeasuredFile> files = {
      file("pool", {{"query_source", "pool"}}),
      file("hybrid", {{"query_source", "hybrid"}, {"grid_sample_mode", "coarse_to_fine"}}),
      file("none", {{"query_source", "pool"}, {"context_mode_test", "none"}}),
      file("mismatch", {{"query_source", "pool"}, {"context_mode_test", "mismatch"}})};
  const MeasuredTable table = Aggregate(files);
  EXPECT_TRUE(table.mixed.empty());
  for (const auto& [row, column] :
       std::vector<std::pair<std::string, std::string>>{{"pool", "MAE"},
                                                        {"hybrid", "MAE hybrid coarse_to_fine"},
                                                        {"none", "MAE without context"},
                                                        {"mismatch", "MAE with another's context"},
                                                        {"mismatch", "Chamfer-L1 with another's context"}}) {
    ASSERT_NE(Cell(table, row, column), nullptr) << column;
    EXPECT_EQ(Cell(table, row, column)->n(), 1);
  }
  EXPECT_EQ(Cell(table, "none", "MAE"), nullptr);
}

TEST(Aggregate, TheSameRunTwiceCountsOnce) {
  MeasuredFile again = MadeUpUcpr("nepa", 0.2);
  again.path = "copy.json";
  const std::vector<MeasuredFile> files = {MadeUpUcpr("nepa", 0.2), again, MadeUpFinetune("nepa", 0.2, 1, 0),
                                           MadeUpFinetune("nepa", 0.2, 1, 1)};
  const MeasuredTable table = Aggregate(files);
  ASSERT_EQ(table.repeated.size(), 1);
  EXPECT_EQ(table.repeated[0], "copy.json repeats nepa0.json: counted once");
  EXPECT_EQ(Cell(table, "nepa", "R@1 mesh→udfgrid")->n(), 1);
  EXPECT_EQ(Cell(table, "nepa", "acc K=1")->n(), 2) << "equal accuracies of two seeds are two values";
}

TEST(FollowDeclaration, OrderAssumptionsAndSeedsAreTheExperiments) {
  const std::vector<MeasuredFile> files = {
      MadeUpFinetune("other", 0.1, 5, 0), MadeUpFinetune("nepa", 0.2, 5, 0),
      MadeUpFinetune("nepa", 0.4, 5, 1), MadeUpFinetune("scratch", 0.3, 5, 0), MadeUpUcpr("nepa", 0.5)};
  MeasuredTable table = Aggregate(files);
  Experiment experiment;
  experiment.add_methods()->set_name("scratch");
  Method& method = *experiment.add_methods();
  method.set_name("nepa");
  method.add_assumed("the rate");
  Measurement& measurement = *experiment.add_measurements();
  for (const int seed : {0, 1, 2}) measurement.add_seeds(seed);
  FollowDeclaration(experiment, &table);
  const std::vector<std::vector<std::string>> lines = TableText(table);
  EXPECT_EQ(lines[1][0], "scratch");
  EXPECT_EQ(lines[1][1], "30.0 (1)†");
  EXPECT_EQ(lines[2][0], "nepa*");
  EXPECT_EQ(lines[2][1], "30.0 ± 10.0 (2)†") << "three are declared";
  EXPECT_EQ(lines[2][2], "50.0") << "retrieval has no seeds";
  EXPECT_EQ(lines[3][0], "other");
  EXPECT_TRUE(absl::StrContains(MarkdownTable(table), "\\* nepa: the rate")) << MarkdownTable(table);
  EXPECT_TRUE(absl::StrContains(CsvTable(table), "\nnepa,acc K=5,")) << "programs look for the name";
}

TEST(CellText, SaysWhatIsMissing) {
  TableCell cell;
  cell.set_n(1);
  cell.set_mean(NAN);
  EXPECT_EQ(CellText(&cell, {.name = "MAE near"}), "n/a");
  EXPECT_EQ(CellText(nullptr, {.name = "MAE"}), "–");
  cell.set_mean(0.12345);
  EXPECT_EQ(CellText(&cell, {.name = "MAE"}), "0.1235");
}

TEST(MakeTable, ReadsEveryFormatAndWritesEveryForm) {
  const std::string folder = testing::TempDir() + "/table";
  TableConfig config;
  const char* endings[] = {".json", ".textproto", ".binpb"};
  for (int i = 0; i < 3; ++i) {
    const std::string ending = endings[i];
    const auto write = [&](const MeasuredFile& file, const std::string& name) {
      const std::string path = absl::StrCat(folder, "/", name, ending);
      std::visit([&](const auto& result) { ASSERT_TRUE(WriteResult(path, result).ok()); }, file.result);
      config.add_inputs(path);
    };
    write(MadeUpUcpr("with, comma|", 0.25 * i, i), "u");
    write(MadeUpCpac("c" + ending, 0.01, 0.02), "c");
    write(MadeUpFinetune("f", 0.5, 0, i), "f");
    write(MadeUpProbe("p", "svm", {0.5}, i), "p");
    write(MadeUpClassify("r" + ending, 0.5), "r");
  }
  config.set_markdown(folder + "/table.md");
  config.set_csv(folder + "/table.csv");
  const auto result = MakeTable(config);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->findings_size(), 0);
  EXPECT_EQ(result->rows_size(), 10);  // one ucpr label, three cpac labels, f, p, three classifiers, nn_copy
  const std::string markdown = *ReadFile(config.markdown()), csv = *ReadFile(config.csv());
  EXPECT_TRUE(absl::StrContains(markdown, "| with, comma\\| |")) << markdown;
  EXPECT_TRUE(absl::StrContains(markdown, "25.0 ± 20.4 (3)")) << markdown;
  EXPECT_TRUE(absl::StrContains(markdown, "| chance |")) << markdown;
  EXPECT_TRUE(absl::StrContains(csv, "\"with, comma|\",R@1 mesh→udfgrid,0.25,0.2041241452319315,3,0.025\n"))
      << csv;
}

TEST(MakeTable, MixedProtocolsAreFindingsUnlessAllowed) {
  const std::string folder = testing::TempDir() + "/mixed";
  TableConfig config;
  for (const int n_point : {24, 30}) {
    const std::string path = folder + "/" + std::to_string(n_point) + ".json";
    ASSERT_TRUE(WriteResult(path, std::get<UcprResult>(MadeUpUcpr("a", 0.5, 0, n_point).result)).ok());
    config.add_inputs(path);
  }
  EXPECT_EQ(MakeTable(config)->findings_size(), 4);
  config.set_allow_mixed_protocols(true);
  EXPECT_EQ(MakeTable(config)->findings_size(), 0);
}

TEST(MarkdownTable, SimulatedScansAreCalledSo) {
  std::vector<MeasuredFile> files = {MadeUpUcpr("real", 0.5), MadeUpUcpr("made", 0.5),
                                     MadeUpUcpr("made", 0.6, 1)};
  EXPECT_FALSE(absl::StrContains(MarkdownTable(Aggregate(files)), "simulated"));
  for (const int i : {1, 2}) {
    Setting* setting = std::get<UcprResult>(files[i].result).mutable_record()->add_settings();
    setting->set_name("simulated");
    setting->set_json("true");
  }
  const MeasuredTable table = Aggregate(files);
  EXPECT_EQ(table.simulated, std::vector<std::string>{"made"});
  EXPECT_TRUE(absl::StrContains(MarkdownTable(table), "simulated scans")) << MarkdownTable(table);
  EXPECT_TRUE(table.mixed.empty()) << table.mixed[0];
}

TEST(MakeTable, NamesFilesThatAreNoMeasurements) {
  const std::string path = testing::TempDir() + "/other.json";
  ASSERT_TRUE(WriteFileAtomically(path, "{\"a\": 1}").ok());
  TableConfig config;
  config.add_inputs(path);
  const absl::Status status = MakeTable(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), path)) << status;
  config.set_inputs(0, testing::TempDir() + "/nothing.json");
  EXPECT_EQ(MakeTable(config).status().code(), absl::StatusCode::kNotFound);
}

TEST(ReadStageRecord, DescribesWhatWasMade) {
  BuildCacheResult cache;
  cache.mutable_provenance()->set_binary("build_cache");
  cache.set_built(120);
  cache.add_failed();
  cache.set_cache_bytes(3 << 20);
  cache.set_shapes_per_second(3.75);
  for (const char* ending : {".json", ".textproto", ".binpb"}) {
    const std::string path = testing::TempDir() + "/stage" + ending;
    ASSERT_TRUE(WriteResult(path, cache).ok());
    const auto summary = ReadStageRecord(path);
    ASSERT_TRUE(summary.ok()) << summary.status();
    EXPECT_EQ(summary->stage, "build_cache");
    EXPECT_EQ(summary->what, "120 built, 1 failed; 3.0 MiB; 3.8 shapes/s");
    EXPECT_FALSE(ReadMeasuredFile(path).ok());
  }
}

}  // namespace
}  // namespace manyform
