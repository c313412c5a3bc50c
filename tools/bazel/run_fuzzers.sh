#!/bin/bash
# run_fuzzers.sh [SECONDS [TARGET...]]: builds each fuzz target (mf_fuzz), or those named, with libFuzzer and lets
# it run for SECONDS (60), from its corpus on; as many at once as there are cores, or FUZZ_JOBS. One line a target,
# in the order they end: runs a second, code edges reached, inputs that reached new code, memory, what was found.
#
# What it finds is kept in out/fuzz/<target>/: the inputs that reached new code in corpus/, and crash-* files. An
# input worth keeping goes into the target's corpus in the tree, where its replay test runs it from then on.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
seconds=${1:-60}
jobs=${FUZZ_JOBS:-$(nproc)}
read -ra bazel <<< "${BAZEL:-bazel}"
query() { "${bazel[@]}" query --noshow_progress --noshow_loading_progress --ui_event_filters=-info,-debug "$@"; }

targets=("${@:2}")
if [ ${#targets[@]} = 0 ]; then
  found=$(query 'attr(tags, "\bfuzz\b", //...)') || exit 1
  mapfile -t targets <<< "$found"
fi
# .bazel/bin stays where it leads to: the programs.
"${bazel[@]}" build --config=fuzz --symlink_prefix=/ "${targets[@]}" || exit 1
bin=$("${bazel[@]}" info --config=fuzz --noshow_progress --ui_event_filters=-info bazel-bin) || exit 1

# Some targets write a file for each input: to memory, if there is a file system in it.
scratch=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)/manyform_fuzz.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
export TMPDIR=$scratch

folder() { local name=${1#//}; echo "$PWD/out/fuzz/${name//[\/:]/_}"; }
stat() { sed -n "s/^stat::$2: *//p" "$1/log"; }

run() {
  local target=$1 width=$2 name=${1#//} out found=nothing
  out=$(folder "$target")
  touch "$scratch/${out##*/}.start"
  # One large seed would have libFuzzer try large inputs only. Replay tests run seeds whole.
  if ! (cd "$out" && "$bin/${name/:/\/}" -max_total_time="$seconds" -max_len=16384 -timeout=10 \
    -rss_limit_mb=2048 -print_final_stats=1 corpus seeds > log 2>&1); then
    found=$(find "$out" -maxdepth 1 -name '*-*' -newer "$scratch/${out##*/}.start" -printf '%f, ' -quit)
    found="FOUND ${found}out/fuzz/${out##*/}/log"
    echo "$target" >> "$scratch/failed"
  fi
  printf '%-*s %9s runs/s %6s edges %6s new %5s MiB   %s\n' "$width" "$target" \
    "$(stat "$out" average_exec_per_sec)" "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$out/log" | tail -n 1)" \
    "$(stat "$out" new_units_added)" "$(stat "$out" peak_rss_mb)" "$found"
}

width=0
for target in "${targets[@]}"; do
  width=$((${#target} > width ? ${#target} : width))
  out=$(folder "$target")
  rm -rf "$out/seeds"
  mkdir -p "$out/corpus" "$out/seeds"
  query "kind('source file', deps(labels(data, ${target}_replay)))" | sed 's,^//,,; s,:,/,; s,^/,,' |
    xargs -r -I{} cp -f {} "$out/seeds/" || exit 1
done
echo "${#targets[@]} fuzz targets, $seconds s each, $jobs at a time"
for target in "${targets[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
  run "$target" "$width" &
done
wait
if [ -e "$scratch/failed" ]; then
  sort "$scratch/failed" | sed 's/^/FOUND  /'
  exit 1
fi
echo "${#targets[@]} fuzz targets, nothing found"
