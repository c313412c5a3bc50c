#!/bin/bash
# job.sh [--shards N] PROGRAM [name=value]...
#
# What one Slurm job does; submit.sh hands it to sbatch. With --shards, in an array job, the program builds the
# shard that the array's task number says: shard=<task>/N is added. N is not taken from Slurm, where an array of
# the two tasks that failed has two. The program gets as many threads as the job has CPUs.
#
# May be stopped at any time and requeued: the programs go on where they were. On USR1, which Slurm sends before
# the time limit (sbatch --signal=B:USR1@<seconds>), it stops the program and requeues itself.
set -euo pipefail

shards=
case ${1:-} in
  -h | --help) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
  --shards) shards=${2:?--shards needs a number}; shift 2 ;;
esac
program=${1:?no program; see --help}
shift
cpus=${SLURM_CPUS_PER_TASK:-${SLURM_CPUS_ON_NODE:-}}
# What comes later wins: the user's num_threads, but our shard.
command=("$program" ${cpus:+"num_threads=$cpus"} "$@")
if [ -n "$shards" ]; then
  task=${SLURM_ARRAY_TASK_ID:?--shards is for array jobs}
  if ((task >= shards)); then
    echo "job.sh: array task $task, but there are $shards shards, 0 to $((shards - 1))" >&2
    exit 2
  fi
  command+=("shard=$task/$shards")
fi

echo "job ${SLURM_JOB_ID:-none} on $(hostname), start $((${SLURM_RESTART_COUNT:-0} + 1)): ${command[*]@Q}" >&2
"${command[@]}" &
child=$!
signalled=""
out_of_time=""
trap 'signalled=1; kill -TERM "$child" 2> /dev/null || true' TERM INT
trap 'signalled=1; out_of_time=1; kill -TERM "$child" 2> /dev/null || true' USR1
status=0
wait "$child" || status=$?
# A trapped signal ends the waiting, not the program.
while [ -n "$signalled" ]; do
  signalled=
  status=0
  wait "$child" || status=$?
done
if [ -n "$out_of_time" ] && [ "$status" != 0 ]; then
  echo "job ${SLURM_JOB_ID:-none}: out of time, requeued" >&2
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
