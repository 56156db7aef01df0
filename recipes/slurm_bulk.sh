#!/usr/bin/env bash
#SBATCH --job-name=spectok-bulk
#SBATCH --array=1-64
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=24:00:00
# Bulk encoding as an array job: each task takes one share of the files, all write into one folder.
#
#     sbatch recipes/slurm_bulk.sh SRC OUT [options of `spectok bulk`]
#
# A task that was killed goes on where it was when it is submitted again: all of them, or only
# some, as in `SHARDS=64 sbatch --array=3,17 recipes/slurm_bulk.sh SRC OUT`. `spectok bulk --status
# OUT` says how far all are, and which files nobody goes on with. For GPUs: --gres=gpu:1 and --device cuda. A HATS catalogue is finished
# by whichever task ends last; if two end at once, one more call of `spectok bulk` finishes it.
set -euo pipefail
source=$1 output=$2
shift 2
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
exec spectok bulk "$source" -o "$output" \
    --shard "${SLURM_ARRAY_TASK_ID:-1}/${SHARDS:-${SLURM_ARRAY_TASK_MAX:-1}}" "$@"
