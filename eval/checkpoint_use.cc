#include "eval/checkpoint_use.h"

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace manyform {

absl::StatusOr<LayoutOptions> SequenceLayout(const LoadedModel& model, int add_eos, int qa_tokens) {
  constexpr int kQaTypes = 9;
  const CheckpointHeader& header = model.header;
  LayoutOptions layout;
  layout.qa_tokens = qa_tokens < 0 ? header.qa_tokens() : qa_tokens == 1;
  layout.add_eos = add_eos < 0 ? header.add_eos() : add_eos == 1;
  if (layout.qa_tokens && !header.qa_layout().empty()) {
    MF_ASSIGN_OR_RETURN(layout.qa_layout, ParseQaLayout(header.qa_layout()));
  }
  if (layout.qa_tokens && model.model.config().n_types < kQaTypes) {
    return absl::InvalidArgumentError(absl::StrCat("qa_tokens needs a checkpoint with ", kQaTypes,
                                                   " token types; this one has ",
                                                   model.model.config().n_types));
  }
  return layout;
}

absl::StatusOr<int64_t> PositionsFor(const LoadedModel& model, int64_t max_len, int64_t length) {
  if (max_len >= 0 && max_len < length) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_len ", max_len, " is too small for sequences of ", length, " tokens"));
  }
  return max_len >= 0 ? max_len : std::max(model.model.config().max_len, length);
}

absl::Status FitPositions(LoadedModel* model, int64_t max_len, int64_t length) {
  const int64_t has = model->model.config().max_len;
  MF_ASSIGN_OR_RETURN(const int64_t wanted, PositionsFor(*model, max_len, length));
  if (wanted == has) return absl::OkStatus();
  LogLine(absl::StrCat("position embedding resized from ", has, " to ", wanted));
  model->model.ResizePositions(wanted);
  return absl::OkStatus();
}

void AddLayoutKeys(const LayoutOptions& layout, const CheckpointHeader& header, RecordBuilder* builder) {
  const auto add = [builder](const char* name, bool value, bool own) {
    own ? builder->Note(name, value) : builder->Protocol(name, value);
  };
  add("add_eos", layout.add_eos, layout.add_eos == header.add_eos());
  add("qa_tokens", layout.qa_tokens, layout.qa_tokens == header.qa_tokens());
  builder->Note("qa_layout", layout.qa_layout == QaLayout::kSplit ? "split" : "interleave");
}

}  // namespace manyform
