#!/bin/bash
# Pretraining under SLURM, on one node or several; every rank is a GPU.
#
#     sbatch recipes/slurm.sh recipes/paper/recipe.toml runs/paper
#     sbatch --nodes=4 recipes/slurm.sh recipes/paper/recipe.toml runs/paper
#
# Adapt the lines below that say partition, account, GPUs and time, and how the environment is
# found. A job that is preempted, or that meets its time limit, loses at most the steps since
# the last checkpoint; submitted again with the same arguments, it goes on from there.
#
#SBATCH --job-name=spectok
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --mem=128G
#SBATCH --time=24:00:00
##SBATCH --partition=gpu
##SBATCH --account=survey
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log

set -euo pipefail
recipe=${1:?the recipe, a TOML file}
folder=${2:?the folder of the run, on a disk that all nodes see}
ranks=${SPECTOK_RANKS:-${SLURM_GPUS_ON_NODE:?no GPU was granted; set SPECTOK_RANKS for CPUs}}

# Where spectok was installed with pip install ".[training]"; or a module, or a container.
. "${SPECTOK_VENV:-$SLURM_SUBMIT_DIR/.venv}/bin/activate"
cd "$SLURM_SUBMIT_DIR"

# Threads of one rank: its share of the node's cores.
threads=$(( ${SLURM_CPUS_PER_TASK:-1} / ranks ))
export OMP_NUM_THREADS=$(( threads > 0 ? threads : 1 ))

# The first node is where the ranks meet. The port differs from job to job.
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$(( 20000 + SLURM_JOB_ID % 20000 ))

# One torchrun on each node, which starts the ranks there. Whether one node or several, the
# command is the same.
srun --ntasks-per-node=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" --kill-on-bad-exit=1 \
    torchrun \
    --nnodes "$SLURM_NNODES" \
    --nproc_per_node "$ranks" \
    --rdzv_id "$SLURM_JOB_ID" \
    --rdzv_backend c10d \
    --rdzv_endpoint "$head:$port" \
    -m spectok pretrain "$recipe" --folder "$folder"
