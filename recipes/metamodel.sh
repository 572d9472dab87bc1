#!/usr/bin/env bash
# The released meta-model from nothing: half an hour of two CPU cores (one trains, one makes
# programs), then its 16-bit file and its accuracy. The clock decides how many programs are seen,
# so another machine gives another network; on the same settings it lands within a point or two.
set -euo pipefail
cd "$(dirname "$0")/.."

untracr train --out runs/metamodel --hours 0.5 --seed 1 --batch-size 128 --learning-rate 1.5e-3
untracr export runs/metamodel/checkpoint.safetensors -o runs/metamodel.safetensors
untracr eval tests/real --checkpoint runs/metamodel.safetensors
untracr eval --programs 1000 --seed 777 --checkpoint runs/metamodel.safetensors
