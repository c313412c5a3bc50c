/// \file
/// Measurements made up for tests of what reads them.
#pragma once

#include <string>
#include <vector>

#include "eval/record.h"
#include "eval/result_files.h"

namespace manyform {

/// Retrieval with recall `recall` over 40 shapes; `seed` makes another run of it.
inline MeasuredFile MadeUpUcpr(const std::string& label, double recall, int seed = 0, int n_point = 24) {
  UcprResult result;
  *result.mutable_record() = RecordBuilder("ucpr")
                                 .Protocol("query_backend", "mesh")
                                 .Protocol("gallery_backend", "udfgrid")
                                 .Protocol("n_point", n_point)
                                 .Note("ckpt", label + "/last.safetensors")
                                 .Metric("r@1", recall)
                                 .Metric("r@5", recall)
                                 .Metric("r@10", recall)
                                 .Metric("mAP", recall)
                                 .Metric("expected_random_r@1", 1.0 / 40)
                                 .Metric("expected_random_mAP", 0.107)
                                 .Finish(label, "split", label + std::to_string(seed), "float32");
  result.mutable_provenance()->set_binary("ucpr");
  result.mutable_provenance()->set_config_fingerprint(label + std::to_string(seed) + std::to_string(n_point));
  return {label + std::to_string(seed) + ".json", result};
}

/// Completion with error `mae`; with `baseline` >= 0 the copied distances' error beside it.
inline MeasuredFile MadeUpCpac(const std::string& label, double mae, double baseline = -1,
                               double lambda = 1e-3) {
  CpacResult result;
  RecordBuilder builder("cpac");
  builder.Protocol("context_backend", "pointcloud_noray")
      .Protocol("n_context", 24)
      .Protocol("query_source", "pool")
      .Protocol("ridge_lambda", lambda)
      .Metric("mae", mae)
      .Metric("rmse", 2 * mae)
      .Metric("iou@tau", 0.5);
  if (baseline >= 0) builder.Metric("baseline.mae", baseline);
  *result.mutable_record() = builder.Finish(label, "split", label, "float32");
  result.mutable_provenance()->set_binary("cpac");
  result.mutable_provenance()->set_config_fingerprint(label);
  return {label + "_cpac.json", result};
}

inline MeasuredFile MadeUpFinetune(const std::string& label, double accuracy, int k, int seed) {
  FinetuneResult result;
  *result.mutable_record() = RecordBuilder("finetune")
                                 .Protocol("fewshot_k", k)
                                 .Protocol("backend", "mesh")
                                 .Metric("test_acc", accuracy)
                                 .Finish(label, "split", label, "float32");
  for (int i = 0; i < 5; ++i) result.add_classes()->set_class_name("c" + std::to_string(i));
  result.mutable_provenance()->set_binary("finetune");
  result.mutable_provenance()->set_config_fingerprint(label + std::to_string(k) + "." + std::to_string(seed));
  return {label + std::to_string(k) + std::to_string(seed) + "_ft.json", result};
}

/// A probe of `method` with these accuracies of its episodes.
inline MeasuredFile MadeUpProbe(const std::string& label, const std::string& method,
                                const std::vector<double>& accuracies, int ways = 0) {
  ProbeResult result;
  *result.mutable_record() = RecordBuilder("probe")
                                 .Protocol("method", method)
                                 .Protocol("fewshot_k", ways > 0 ? 10 : 0)
                                 .Protocol("fewshot_n_way", ways)
                                 .NoteJson("train.backend", "\"mesh\"")
                                 .NoteJson("test.backend", ways > 0 ? "\"mesh\"" : "\"udfgrid\"")
                                 .NoteJson("chance", "0.2")
                                 .Finish(label, "split", label, "float32");
  ProbeScore& score = *result.add_scores();
  score.set_name(method);
  for (const double accuracy : accuracies) score.add_accuracies(accuracy);
  result.mutable_provenance()->set_config_fingerprint(label + method + std::to_string(ways));
  return {label + "_probe.json", result};
}

inline MeasuredFile MadeUpClassify(const std::string& label, double accuracy) {
  ClassifyResult result;
  *result.mutable_record() = RecordBuilder("classify")
                                 .Metric("acc", accuracy)
                                 .Protocol("split", "test")
                                 .Protocol("backend", "voxel")
                                 .Finish(label, "split", label, "float32");
  for (int i = 0; i < 4; ++i) result.add_classes()->set_class_name("c" + std::to_string(i));
  result.mutable_provenance()->set_config_fingerprint(label);
  return {label + "_classify.json", result};
}

}  // namespace manyform
