#!/usr/bin/env bash
# The released meta-model from nothing: a quarter of an hour of two CPU cores (one trains, one
# makes programs; never those on which it is measured below, nor any that behave like them), then
# its 16-bit file and its accuracy. The clock decides how many programs are seen, so another
# machine gives another network; on the same settings it lands within a point or two.
set -euo pipefail
cd "$(dirname "$0")/.."

untracr train --out runs/metamodel --hours 0.25 --seed 1 --batch-size 128 \
    --learning-rate 1.5e-3 --exclude tests/real --exclude-sampled 777:1000
untracr export runs/metamodel/checkpoint.safetensors -o runs/metamodel.safetensors
untracr eval tests/real --checkpoint runs/metamodel.safetensors
untracr eval --programs 1000 --seed 777 --checkpoint runs/metamodel.safetensors
