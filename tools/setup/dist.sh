#!/bin/bash
# dist.sh DIR: every program of the pipeline as one archive for other machines, DIR/manyform-<commit>.tar.gz
# (see bundle.sh). DIST_TORCH=1 puts LibTorch into it as well.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
mkdir -p "$1"
dist=$(cd "$1" && pwd)
read -ra bazel <<< "${BAZEL:-bazel}"
flags=(-c opt --dynamic_mode=off)

found=$("${bazel[@]}" query --noshow_progress --noshow_loading_progress --ui_event_filters=-info \
  'kind(cc_binary, //...) except attr(tags, "\b(fuzz|benchmark)\b", //...) except attr(testonly, 1, //...)')
mapfile -t targets <<< "$found"
"${bazel[@]}" build "${flags[@]}" -- "${targets[@]}"
bin=$("${bazel[@]}" info --noshow_progress --ui_event_filters=-info "${flags[@]}" bazel-bin)
programs=()
for target in "${targets[@]}"; do
  path=${target#//}
  programs+=("$bin/${path/:/\/}")
done

name=manyform-$(git rev-parse --short=12 HEAD)
rm -rf "${dist:?}/$name"
BUNDLE_TORCH=${DIST_TORCH:-} tools/setup/bundle.sh "$dist/$name" "${programs[@]}"
# What docs/data.md has cluster users call lies beside the programs it starts.
install -D -m 755 -t "$dist/$name/slurm" tools/pipeline/slurm/submit.sh tools/pipeline/slurm/job.sh
install -m 644 tools/setup/dist.README "$dist/$name/README"
tar -C "$dist" --sort=name --owner=0 --group=0 --numeric-owner -czf "$dist/$name.tar.gz" "$name"
echo "$dist/$name.tar.gz: ${#programs[@]} programs, $(du -h "$dist/$name.tar.gz" | cut -f1)"
