#!/bin/bash
# submit.sh SHARDS [SBATCH OPTION]... -- PROGRAM out_root=DIR [name=value]...
#
# Builds a cache on a Slurm cluster: an array job in which each task builds one of SHARDS shards with PROGRAM
# (build_cache, build_scan_cache: any with the option `shard`), then, if all ended well, a job that merges them.
# The result is byte for byte the cache and manifest that one machine makes.
#
#   tools/pipeline/slurm/submit.sh 32 --cpus-per-task=8 --mem=8G --time=2:00:00 -- \
#     /share/manyform/bin/build_cache shapenet_root=/share/ShapeNetCore.v2 out_root=/share/cache
#
# PROGRAM, DIR and the input lie where every node sees them under the same path; `make dist` makes programs that
# run on nodes without this repository. The sbatch options go to both jobs, but for --array, which chooses tasks:
# --array=0-31%8 has eight run at once, --array=3,7 builds two again that failed, with SHARDS as before. A task
# that nears its time limit stops and requeues itself, one that is preempted or loses its node is requeued, and
# what was built is not built again. If a task fails, the merging is cancelled: look at its log, submit it again.
#
# The merging program is merge_shards beside PROGRAM, or MERGE_SHARDS. Prints the two job numbers.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() { echo "submit.sh: $*" >&2; exit 2; }
case ${1:-} in
  -h | --help | '') sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; [ -n "${1:-}" ]; exit ;;
esac
shards=$1
shift
[[ $shards =~ ^[1-9][0-9]{0,5}$ ]] || fail "SHARDS is '$shards', expected a number of at least 1"
array=0-$((shards - 1))
options=()
while (($#)); do
  case $1 in
    --) break ;;
    --array=*) array=${1#--array=} ;;
    -a | --array) array=${2:-}; shift ;;
    *) options+=("$1") ;;
  esac
  shift
done
[ "${1:-}" = -- ] || fail "no -- before the program; see --help"
shift
program=$(command -v "${1:-}") || fail "no program '${1:-}'"
shift
merge_shards=$(command -v "${MERGE_SHARDS:-$(dirname "$program")/merge_shards}") ||
  fail "no merge_shards beside $program; MERGE_SHARDS names another"
out_root=
for argument in "$@"; do
  case $argument in
    out_root=*) out_root=${argument#out_root=} ;;
    shard=*) fail "$argument: the array's tasks choose their shards" ;;
  esac
done
[ -n "$out_root" ] || fail "out_root=DIR is to be on the command line, even where a config has it: both jobs need it"

name=$(basename "$program")
built=$(sbatch --parsable --job-name="$name" --requeue --open-mode=append --signal=B:USR1@120 "${options[@]}" \
  --array="$array" "$here/job.sh" --shards "$shards" "$program" "$@")
built=${built%%;*}
merged=$(sbatch --parsable --job-name="$name-merge" --requeue --open-mode=append "${options[@]}" \
  --dependency="afterok:$built" --kill-on-invalid-dep=yes "$here/job.sh" "$merge_shards" "cache_root=$out_root") || {
  # Nobody would merge what these build.
  scancel "$built"
  fail "the merging was not accepted, the array is cancelled"
}
echo "$built ${merged%%;*}"
