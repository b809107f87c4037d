#!/usr/bin/env bash
# Tries on GPUs all that can use them, and prints one table: what, seconds, against one
# device, equal results or not.
#
#   benchmarks/gpu.sh            on a machine with GPUs; without any, an error
#   benchmarks/gpu.sh --cpu      the same path on two logical CPUs, to see that it works
#
# More flags go to benchmarks/gpu_table.py, e.g. --num_models=200 --workers=8. Another
# Python than .venv's: PYTHON=python3.12 benchmarks/gpu.sh
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON="${PYTHON:-.venv/bin/python}"

if [[ " $* " != *" --cpu "* ]]; then
    "$PYTHON" -c 'import sys, tensorflow as tf
sys.exit(None if tf.config.list_physical_devices("GPU") else
         "error: TensorFlow sees no GPU here; see it work without one: benchmarks/gpu.sh --cpu")'
    "$PYTHON" -m pytest --quiet --run_gpu -m gpu tests
fi
exec "$PYTHON" -m benchmarks.gpu_table "$@"
