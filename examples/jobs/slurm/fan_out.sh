#!/bin/bash
# Runs each line of a file as a shell line in its own microVM, on free nodes of a Slurm cluster.
#
# usage: fan_out.sh LINES RESULTS [SBATCH-OPTION...]       e.g. fan_out.sh lines.txt results --partition=short
#
# Submits itself as a job array of one task a line, waits for all of it, and prints how each line ended and where.
# Line N leaves RESULTS/N.out, N.err, N.status and N.log (what Slurm and fireclaw's setup said). LINES and RESULTS must be
# on a file system that the nodes share; fireclaw and its home folder are each node's own. Exit status: the highest of the
# lines'. The cluster's MaxArraySize, 1001 by default, limits the number of lines.
set -euo pipefail
export FIRECLAW_HOME=${FIRECLAW_HOME:-/var/tmp/fireclaw-$UID}

submit() {
  local lines results count status=0
  lines=$(realpath -- "$1") results=$(mkdir -p -- "$2" && realpath -- "$2")
  shift 2
  count=$(grep -c '' -- "$lines") || { echo "fan_out.sh: there is nothing to run in $lines" >&2; return 2; }
  rm -f -- "$results"/*.status
  sbatch --quiet --wait --array="1-$count" --output="$results/%a.log" --job-name=fireclaw \
    --ntasks=1 --cpus-per-task=1 --mem=512M --time=00:10:00 "$@" "$0" "$lines" "$results" || status=$?
  local number line ended node
  for ((number = 1; number <= count; number++)); do
    IFS= read -r line || true
    read -r ended node 2>/dev/null <"$results/$number.status" || ended=lost node=-
    printf '%5d  %-6s  %-12s  %s\n' "$number" "$ended" "$node" "$line"
  done <"$lines"
  return "$status"
}

# On a node, for line $SLURM_ARRAY_TASK_ID.
run_line() {
  local line result=$2/$SLURM_ARRAY_TASK_ID status=0
  line=$(sed -n "${SLURM_ARRAY_TASK_ID}p" -- "$1")
  # A node's first task prepares its home folder, which takes a minute; all others have nothing to do here.
  fireclaw setup
  # scancel and the time limit send SIGTERM to everything there is, this script too, which still is to note how it ended.
  trap : TERM
  srun --ntasks=1 --output="$result.out" --error="$result.err" fireclaw run --net none "$line" || status=$?
  echo "$status $SLURMD_NODENAME" >"$result.status"
  return "$status"
}

if [[ ${SLURM_ARRAY_TASK_ID:-} ]]; then
  run_line "$@"
elif [[ $# -ge 2 ]]; then
  submit "$@"
else
  sed -n '4s/^# //p' -- "$0" >&2
  exit 2
fi
