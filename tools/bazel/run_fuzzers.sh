#!/bin/bash
# run_fuzzers.sh [SECONDS]: builds each fuzz target (mf_fuzz) with libFuzzer and lets it run, from its corpus on.
# What it finds is kept in out/fuzz/<target>/: the inputs that reached new code in corpus/, and crash-* files. An
# input worth keeping goes into the target's corpus in the tree, where its replay test runs it from then on.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
seconds=${1:-60}
read -ra bazel <<< "${BAZEL:-bazel}"
query() { "${bazel[@]}" query --noshow_progress --noshow_loading_progress --ui_event_filters=-info,-debug "$@"; }

found=$(query 'attr(tags, "\bfuzz\b", //...)') || exit 1
mapfile -t targets <<< "$found"
"${bazel[@]}" build --config=fuzz "${targets[@]}" || exit 1
bin=$("${bazel[@]}" info --config=fuzz --noshow_progress --ui_event_filters=-info bazel-bin)

failed=()
for target in "${targets[@]}"; do
  name=${target#//}
  program=$bin/${name/:/\/}
  out=$PWD/out/fuzz/${name//[\/:]/_}
  mkdir -p "$out/corpus" "$out/seeds"
  query "kind('source file', deps(labels(data, ${target}_replay)))" | sed 's,^//,,; s,:,/,; s,^/,,' | xargs -r -I{} cp -f {} "$out/seeds/"
  echo "== $target: $seconds s"
  if ! (cd "$out" && "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    corpus seeds > log 2>&1); then
    failed+=("$target")
    tail -n 30 "$out/log"
  fi
  grep -E "number_of_executed_units|new_units_added|peak_rss" "$out/log"
done
if [ ${#failed[@]} -gt 0 ]; then
  printf 'FOUND  %s\n' "${failed[@]}"
  exit 1
fi
echo "${#targets[@]} fuzz targets, nothing found"
