/// \file
/// The published fine-tuning runs of testdata/golden/g_finetune: what they started from.
#pragma once

#include "model/checkpoint.h"
#include "proto/train.pb.h"
#include "train/finetune_plan.h"

namespace manyform {

/// Of the checkpoint.
inline CheckpointHeader GoldenHeader() {
  CheckpointHeader header;
  SetSizes({.d_model = 48, .layers = 2, .heads = 6, .n_types = 9, .max_len = 128}, &header);
  header.set_stage("pretrain");
  header.set_n_point(24);
  header.set_n_ray(16);
  header.set_qa_tokens(true);
  header.set_qa_layout("interleave");
  header.set_add_eos(true);
  return header;
}

/// 40 shapes of 5 classes to train on, 15 to test on.
inline FinetuneConfig GoldenConfig() {
  FinetuneConfig config;
  config.set_cache_root("testdata/golden/f_eval/c40");
  config.set_val_ratio(0.2);
  return config;
}

inline FinetunePlan GoldenPlan(const FinetuneConfig& config) {
  const CheckpointHeader header = GoldenHeader();
  return PlanFinetune(config, &header).value();
}

}  // namespace manyform
