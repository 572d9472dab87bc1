#!/usr/bin/env bash
# The released meta-model from nothing: 27 minutes of two CPU cores (0.9 core-hours; one process
# trains, two make programs, never those on which it is measured below nor any that behave like
# them), then its 16-bit file and its accuracy. The clock decides how many programs are seen, so
# another machine gives another network; on the same settings it lands within a point or two.
# On more machines or GPUs: `torchrun --standalone --nproc-per-node N -m untracr train ...` with the same
# flags; see docs/scale.md. The batch size is that of all processes together.
set -euo pipefail
cd "$(dirname "$0")/.."

untracr train --out runs/metamodel --hours 0.45 --seed 1 --batch-size 128 --learning-rate 1.5e-3 \
    --workers 2 --exclude tests/real --exclude-sampled 777:1000 \
    --treatments rotated=0.1,rotated-compressed=0.15,rotated-compressed-bos=0.1,noisy=0.15 \
    --other-domains 0.2 --outside-functions 0.15
untracr export runs/metamodel/checkpoint.safetensors -o runs/metamodel.safetensors

treatments=compiled,rotated,rotated-compressed,rotated-compressed-bos,noisy:0.001:0.003:0.01:0.03
untracr eval tests/real --library --treatments $treatments \
    --checkpoint runs/metamodel.safetensors --report runs/report-real
untracr eval --programs 1000 --seed 777 --treatments $treatments \
    --checkpoint runs/metamodel.safetensors --report runs/report-sampled
untracr eval --programs 200 --seed 779 --length 9-12 --treatments compiled,rotated \
    --checkpoint runs/metamodel.safetensors
