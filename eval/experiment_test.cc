#include "eval/experiment.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/config.h"
#include "base/files.h"
#include "gtest/gtest.h"

namespace manyform {
namespace {

constexpr char kDeclaration[] = R"(
  name: "e"
  caches { name: "meshes" root: "data/meshes" }
  caches { name: "scans" root: "data/scans" }
  corpora {
    name: "mix"
    mix { datasets { name: "m" cache_root: "meshes" } datasets { name: "s" cache_root: "scans" } }
  }
  pretrain { lr: 0.5 mix_num_samples: 7 }
  finetune { epochs: 9 batch: 3 }
  pretrainings { name: "plain" config { cache_root: "meshes" backend: "mesh" } assumed: "the lr" }
  pretrainings { name: "mixed" corpus: "mix" config { lr: 0.25 } }
  methods { name: "scratch" }
  methods { name: "a" pretraining: "plain" finetune { batch: 4 } assumed: "the batch" }
  methods { name: "b" pretraining: "mixed" }
  measurements { name: "scan" fewshot_k: [0, 5] seeds: [0, 2] finetune { cache_root: "scans" epochs: 11 } }
)";

Experiment Declared(const std::string& more = "") {
  Experiment experiment;
  EXPECT_TRUE(MergeConfigText(kDeclaration, "test", &experiment).ok());
  const absl::Status merged = MergeConfigText(more, "more", &experiment);
  EXPECT_TRUE(merged.ok()) << merged;
  return experiment;
}

TEST(PlanExperiment, EveryMethodKAndSeedIsACell) {
  const auto plan = PlanExperiment(Declared(), "out");
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_EQ(plan->cells.size(), 3u * 2 * 2);
  std::vector<std::string> runs;
  for (const PlannedCell& cell : plan->cells) runs.push_back(cell.run);
  EXPECT_EQ(runs[0], "scan_scratch_k0_s0");
  EXPECT_EQ(runs[1], "scan_scratch_k0_s2");
  EXPECT_EQ(runs[2], "scan_scratch_k5_s0");
  EXPECT_EQ(runs[11], "scan_b_k5_s2");

  const FinetuneConfig& scratch = plan->cells[1].config;
  EXPECT_FALSE(scratch.has_ckpt());
  EXPECT_EQ(scratch.cache_root(), "data/scans");
  EXPECT_EQ(scratch.label(), "scratch");
  EXPECT_EQ(scratch.save_dir(), "out/runs/scan_scratch_k0_s2");
  EXPECT_EQ(scratch.seed(), 2);
  EXPECT_EQ(scratch.fewshot_seed(), 0) << "all shapes are the same ones for every seed";
  const PlannedCell& few = plan->cells[11];
  EXPECT_EQ(few.config.fewshot_k(), 5);
  EXPECT_EQ(few.config.fewshot_seed(), 2);
  EXPECT_EQ(few.config.ckpt(), "out/runs/mixed/last.safetensors");
  EXPECT_EQ(few.pretraining, "mixed");
}

TEST(PlanExperiment, TheNarrowerDeclarationWins) {
  const auto plan = PlanExperiment(Declared(), "out");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->cells[0].config.epochs(), 11) << "the measurement's over the experiment's";
  EXPECT_EQ(plan->cells[0].config.batch(), 3);
  EXPECT_EQ(plan->cells[4].config.batch(), 4) << "the method's over all";
  EXPECT_EQ(plan->pretrainings[0].config.lr(), 0.5);
  EXPECT_EQ(plan->pretrainings[1].config.lr(), 0.25);
}

TEST(PlanExperiment, CorporaHaveTheCachesRoots) {
  const auto plan = PlanExperiment(Declared(), "out");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->corpora[0].mix().datasets(1).cache_root(), "data/scans");
  const PretrainConfig& mixed = plan->pretrainings[1].config;
  EXPECT_EQ(mixed.mix_config(), "out/jobs/mix.mix.textproto");
  EXPECT_EQ(mixed.mix_num_samples(), 7);
  EXPECT_FALSE(mixed.has_cache_root());
  const PretrainConfig& plain = plan->pretrainings[0].config;
  EXPECT_EQ(plain.cache_root(), "data/meshes");
  EXPECT_FALSE(plain.has_mix_num_samples()) << "an epoch that is not mixed is all shapes";
}

TEST(PlanExperiment, AProfileReplacesListsAndMergesTheRest) {
  const auto plan =
      PlanExperiment(Declared("caches { name: 'meshes' root: 'm' } caches { name: 'scans' root: 's' }"
                              "finetune { batch: 8 }"),
                     "out");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->cells[0].config.cache_root(), "s");
  EXPECT_EQ(plan->cells[0].config.batch(), 8);
  EXPECT_EQ(plan->cells[0].config.epochs(), 11);
}

TEST(PlanExperiment, SaysWhatIsWrong) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"caches { name: 'meshes' root: 'm' }", "\"scans\" is none of the caches: meshes"},
      {"pretrainings { name: 'plain' corpus: 'x' }", "plain: \"x\" is none of the corpora: mix"},
      {"methods { name: 'a' pretraining: 'x' }",
       "methods: a: \"x\" is none of the pretrainings: plain, mixed"},
      {"methods { name: 'a' } methods { name: 'a' }", "methods: a is declared twice"},
      {"methods { name: '../a' }", "\"../a\" is no name"},
      {"measurements { name: 'm' seeds: 0 }", "measurements: m needs at least one of fewshot_k and of seeds"},
      {"measurements { name: 'm' fewshot_k: [1, 1] seeds: 0 finetune { cache_root: 'scans' } }",
       "two runs would be called m_scratch_k1_s0"},
      {"measurements { name: 'm' fewshot_k: -1 seeds: 0 finetune { cache_root: 'scans' } }",
       "m_scratch_k-1_s0: field fewshot_k: got \"-1\""},
      {"finetune { seed: 3 }", "scan_scratch_k0_s0: seed follows from the declaration"},
      {"pretrain { save_dir: 'x' }", "pretrainings: plain: save_dir follows from the declaration"},
      {"pretrain { lr: -1 }", "pretrainings: plain: field lr: got \"-1\""}};
  for (const auto& [more, what] : cases) {
    const absl::Status status = PlanExperiment(Declared(more), "out").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << more;
    EXPECT_TRUE(absl::StrContains(status.message(), what)) << more << "\n" << status;
  }
  EXPECT_FALSE(PlanExperiment(Experiment(), "out").ok());
}

TEST(ReadExperiment, NamesTheFileAndLineOfAnUnknownField) {
  const std::string path = testing::TempDir() + "/experiment.textproto";
  ASSERT_TRUE(WriteFileAtomically(path, "name: \"e\"\nseedz: 1\n").ok());
  const absl::Status status = ReadExperiment(std::vector<std::string>{path}).status();
  EXPECT_TRUE(absl::StrContains(status.message(), path + ":2:")) << status;
}

TEST(AssumptionsOf, AMethodsAndItsPretrainings) {
  EXPECT_EQ(AssumptionsOf(Declared(), "a"), (std::vector<std::string>{"the batch", "the lr"}));
  EXPECT_TRUE(AssumptionsOf(Declared(), "b").empty());
  EXPECT_EQ(AssumptionNotes(Declared("assumed: 'the scans'")),
            (std::vector<std::string>{"* scratch, a, b: the scans", "* a: the batch", "* a: the lr"}));
}

}  // namespace
}  // namespace manyform
