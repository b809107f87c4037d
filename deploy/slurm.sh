#!/usr/bin/env bash
# A zoo on the nodes of a SLURM allocation: Ray is started on all of them, the build runs
# on the first, and Ray ends with it. Given again, it goes on.
#
#   sbatch --nodes=8 deploy/slurm.sh --num_models=10000 --zoo_dir=$HOME/zoo
#
#SBATCH --job-name=build_zoo
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --time=24:00:00
set -euo pipefail

# Where `pip install 'kennen_tf[ray]'` was done, on a file system that all nodes see.
source "${KENNEN_ENVIRONMENT:-$HOME/kennen/bin/activate}"

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(getent ahostsv4 "$head" | awk 'NR == 1 { print $1 }'):6379

# Nodes are shared with others: only who has the token of this user's home is let in.
export RAY_AUTH_MODE=token
ray get-auth-token --generate >/dev/null

exec srun --kill-on-bad-exit=1 ray symmetric-run --address="$address" \
    --min-nodes="$SLURM_JOB_NUM_NODES" -- \
    python -m kennen_tf.build_zoo --engine=ray --ray_address="$address" "$@"
