#!/bin/bash
# submit_table.sh [SBATCH OPTION]... -- [MAKE ARGUMENT]...
#
# Runs the table of tools/pipeline/m1/m1.mk on a Slurm cluster: each pretraining is a job, and an array job of the
# fine-tunings that start from it waits for it. What is finished is not submitted; what died, failed or was
# cancelled goes on where it was when this is run again, once nothing of it is in the queue any more.
#
#   tools/pipeline/slurm/submit_table.sh --gres=gpu:1 --cpus-per-task=8 --mem=32G --time=12:00:00 -- \
#     PROFILE=paper OPTIONS="device=cuda num_workers=4"
#
# Run it in the root folder, on a file system that every node sees under the same path, once the data is there:
# make -f tools/pipeline/m1/m1.mk PROFILE=paper data. The sbatch options go to every job. A job that nears its time
# limit saves, stops and requeues itself. Prints what it submits, and is followed by the targets status and table.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() { echo "submit_table.sh: $*" >&2; exit 2; }
case ${1:-} in
  -h | --help) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit ;;
esac
options=()
while (($#)) && [ "$1" != -- ]; do
  case $1 in
    -a | --array | --array=*) fail "$1: what is not finished is the array" ;;
  esac
  options+=("$1")
  shift
done
[ "${1:-}" = -- ] || fail "no -- before the arguments of make; see --help"
shift
make=(make --no-print-directory -f tools/pipeline/m1/m1.mk "$@")

listed=$("${make[@]}" jobs)
"${make[@]}" -q data || fail "the data is not there, or older than what it is made from; make it first: ${make[*]} data"

submit() { # NAME ARRAY [OPTION]...: prints the number of the job
  local name=$1 array=$2 job
  shift 2
  job=$(sbatch --parsable --job-name="$name" --requeue --open-mode=append --signal=B:USR1@120 "${options[@]}" \
    --array="$array" "$@" "$here/job.sh" "${make[@]}" task) || fail "$name was not accepted"
  echo "${job%%;*}"
}

# By the number of the run that the others start from, - for none: those others, and its own job.
declare -A waiting=() job=()
while read -r number name from; do
  "${make[@]}" -q task SLURM_ARRAY_TASK_ID="$number" && continue
  if grep -q " $number\$" <<< "$listed"; then
    job[$number]=$(submit "$name" "$number")
    echo "${job[$number]} $name"
  else
    waiting[$from]+=,$number
  fi
done <<< "$listed"
for from in "${!waiting[@]}"; do
  array=${waiting[$from]#,}
  after=()
  [ -z "${job[$from]:-}" ] || after=(--dependency="afterok:${job[$from]}" --kill-on-invalid-dep=yes)
  echo "$(submit table "$array" "${after[@]}") cells $array"
done
((${#waiting[@]})) || echo "everything is finished"
