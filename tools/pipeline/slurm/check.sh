#!/bin/bash
# check.sh [--keep] [BIN]: runs submit.sh on a real Slurm of one machine, this one. Not part of ./test.
#
# Needs root and Debian's slurm-wlm and munge (apt-get install --no-install-recommends slurm-wlm munge). Starts
# munged, slurmctld and slurmd with a configuration, key, ports and folders of their own, under a new folder of
# TMPDIR, beside whatever Slurm the machine may have, and ends them and removes the folder, whatever happens
# (--keep leaves the folder). BIN holds build_cache and merge_shards; without it Bazel builds them.
#
# From one folder of meshes three caches are made: by one process; by three shards, one of which is told that it
# is out of time and requeues itself; and by three shards one of which is killed, so that nothing is merged until
# it was submitted again. All three must be the same bytes. The last line is "slurm check: passed".
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../../.." && pwd)

keep=
bin=
while (($#)); do
  case $1 in
    -h | --help) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    --keep) keep=1 ;;
    -*) echo "check.sh: unknown option $1; see --help" >&2; exit 2 ;;
    *) bin=$1 ;;
  esac
  shift
done

say() { printf '%s slurm check: %s\n' "$(date +%T)" "$*"; }
fail() {
  say "FAILED: $*" >&2
  [ -z "${folder:-}" ] || tail -n 5 "$folder"/{munged,slurmctld,slurmd}.log "$folder"/work/*.out >&2 || true
  exit 1
}
[ "$(id -u)" = 0 ] || fail "slurmd needs root"
for program in munged slurmctld slurmd sbatch; do
  command -v $program > /dev/null ||
    fail "no $program: apt-get install --no-install-recommends slurm-wlm munge"
done
if [ -z "$bin" ]; then
  read -ra bazel <<< "${BAZEL:-bazel}"
  (cd "$repository" && "${bazel[@]}" build //data:build_cache //data:merge_shards)
  bin=$repository/.bazel/bin/data
fi
bin=$(cd "$bin" && pwd)
for program in build_cache merge_shards; do
  [ -x "$bin/$program" ] || fail "$bin has no $program"
done

folder=$(mktemp -d "${TMPDIR:-/tmp}/slurm_check.XXXXXX")
chmod 711 "$folder" # munge wants its socket to be within everybody's reach
work=$folder/work
daemons=()

finish() {
  local status=$?
  trap - EXIT
  set +e
  if [ ${#daemons[@]} -gt 1 ] && [ -n "$(squeue -h 2> /dev/null)" ]; then
    scancel --user=root 2> /dev/null
    # slurmd's children live on without it.
    for _ in {1..40}; do [ -z "$(squeue -h 2> /dev/null)" ] && break; sleep 0.5; done
  fi
  for ((i = ${#daemons[@]} - 1; i >= 0; --i)); do
    kill "${daemons[i]}" 2> /dev/null
    for _ in {1..20}; do kill -0 "${daemons[i]}" 2> /dev/null || break; sleep 0.5; done
    kill -9 "${daemons[i]}" 2> /dev/null
  done
  wait
  if [ -n "$keep" ]; then say "files are in $folder"; else rm -rf "$folder"; fi
  exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

start_daemon() {
  "$@" > "$folder/$1.log" 2>&1 &
  daemons+=($!)
}

write_config() {
  local host ports
  host=$(hostname -s)
  # Two ports that nobody has.
  ports=$(python3 -c 'import socket as s
a, b = s.socket(), s.socket(); a.bind(("", 0)); b.bind(("", 0)); print(a.getsockname()[1], b.getsockname()[1])')
  cat > "$folder/slurm.conf" << EOF
ClusterName=check
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports% *}
SlurmdPort=${ports#* }
SlurmUser=root
AuthInfo=socket=$folder/munge/socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1
MailProg=/bin/true
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc)
PartitionName=check Nodes=$host Default=YES
EOF
  export SLURM_CONF=$folder/slurm.conf
}

start_slurm() {
  mkdir -p "$folder/state" "$folder/spool" "$work"
  mkdir -m 755 "$folder/munge"
  (umask 377 && head -c 128 /dev/urandom > "$folder/munge/key")
  start_daemon munged --foreground --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
    --pid-file="$folder/munge/pid" --seed-file="$folder/munge/seed" --log-file="$folder/munge/log"
  for _ in {1..40}; do [ -S "$folder/munge/socket" ] && break; sleep 0.25; done
  write_config
  start_daemon slurmctld -D -f "$SLURM_CONF"
  start_daemon slurmd -D -f "$SLURM_CONF" -N "$(hostname -s)"
  for _ in {1..60}; do
    [ "$(sinfo -h -o %t 2> /dev/null)" = idle ] && break
    sleep 0.5
  done
  [ "$(sinfo -h -o %t 2> /dev/null)" = idle ] || fail "Slurm does not come up"
}

# Copies of the test meshes, enough that a shard takes seconds.
make_meshes() {
  local mesh class id
  for mesh in "$repository"/testdata/golden/d_splits/tiny/meshes/*/*; do
    id=${mesh##*/}
    class=${mesh%/*}
    for copy in {10..49}; do
      mkdir -p "$work/meshes/${class##*/}/$id-$copy"
      cp -r "$mesh/models" "$work/meshes/${class##*/}/$id-$copy/"
    done
  done
}

state_of() { scontrol show job "$1" 2> /dev/null | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p' | sort -u | xargs; }
shapes_in() { find "$1" -name '*.npz' 2> /dev/null | wc -l; }
# Waits until `until_what COMMAND...` succeeds.
until_so() {
  local what=$1
  for _ in {1..1200}; do "${@:2}" && return; sleep 0.1; done
  fail "still not so after two minutes: $what ($(squeue -h -o '%i %T %r' | xargs))"
}
none_left() { [ -z "$(squeue -h)" ]; }
same() { diff -r "$work/whole" "$1" > "$work/differences.out" || fail "$1 is not what one process makes"; }

cd "${TMPDIR:-/tmp}"
start_slurm
say "Slurm $(slurmctld -V | cut -d' ' -f2), $(nproc) CPUs"
make_meshes
cd "$work"
arguments=(shapenet_root=meshes pt_dist_mode=mesh)
seconds=$SECONDS
"$bin/build_cache" "${arguments[@]}" out_root=whole num_threads=1 2> whole.out || fail "one process"
shapes=$(shapes_in whole)
say "one process: $shapes shapes in $((SECONDS - seconds)) s"

seconds=$SECONDS
read -r array merge < <("$here/submit.sh" 3 -- "$bin/build_cache" "${arguments[@]}" out_root=requeued)
# A shard that has built some shapes and is not done.
under_way() { [ "$(stat -c %s "$1/_meta/build_cache.shard_$2_of_3.journal" 2> /dev/null || echo 0)" -gt 3000 ]; }
until_so "shard 1 is under way" under_way requeued 1
scancel --batch --signal=USR1 "${array}_1"
until_so "shard 1 says it is requeued" grep -qs 'out of time, requeued' "slurm-${array}_1.out"
# Slurm would let it wait for two minutes.
until_so "shard 1 may start" scontrol update jobid="${array}_1" StartTime=now 2> /dev/null
until_so "all jobs have ended" none_left
grep -q 'start 2: ' "slurm-${array}_1.out" || fail "shard 1 was not started again"
[ "$(state_of "$merge")" = COMPLETED ] || fail "the merging job is $(state_of "$merge")"
same requeued
say "three shards, one requeued: $((SECONDS - seconds)) s, the same bytes"

seconds=$SECONDS
read -r array merge < <("$here/submit.sh" 3 -- "$bin/build_cache" "${arguments[@]}" out_root=killed)
until_so "shard 2 is under way" under_way killed 2
scancel --signal=KILL --full "${array}_2"
until_so "all jobs have ended" none_left
[ ! -e killed/manifest.binpb ] || fail "merged without shard 2"
[ "$(state_of "$merge")" = CANCELLED ] || fail "the merging job is $(state_of "$merge"), with a shard that failed"
say "three shards, one killed: nothing merged, $(shapes_in killed) of $shapes shapes built"
read -r array merge < <("$here/submit.sh" 3 --array=2 -- "$bin/build_cache" "${arguments[@]}" out_root=killed)
until_so "all jobs have ended" none_left
[ "$(state_of "$merge")" = COMPLETED ] || fail "the merging job is $(state_of "$merge")"
same killed
say "submitted again: $((SECONDS - seconds)) s, the same bytes"
echo "slurm check: passed"
