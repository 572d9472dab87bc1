#!/usr/bin/env bash
# The paper's approach, flattened weights in and a program out, for the same half hour of two cores.
set -euo pipefail
cd "$(dirname "$0")/.."

untracr train --baseline --out runs/baseline --hours 0.5 --seed 1 \
    --batch-size 32 --learning-rate 3e-4 --threads 2
tail -n 1 runs/baseline/log.jsonl
