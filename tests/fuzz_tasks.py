"""Hostile tasks and inputs: ``python tests/fuzz_tasks.py --cases 10000 --seed 0``.

Sound task files, beside a small network, are changed in their structure; phrases, layouts and
inputs are put together of words that mean something in one place. Each goes through
`untracr run` and through Python.
"""

from __future__ import annotations

import functools
import json
import random
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save

import fuzz_running
import untracr
from fuzz_json import VALUES, mutated, text_of
from fuzz_running import Case
from known_networks import network_of_table
from untracr.network.state_dict import state_dict

TOKENS = ["a", "b", "(", "x", "<bos>", "<sep>", "<eos>", "PAD"]

SOUND: tuple[dict[str, object], ...] = (
    {"tokens": TOKENS, "outputs": "next token, the largest logit", "input": "BOS x SEP y EOS"},
    {
        "tokens": TOKENS,
        "outputs": "next-token sets, one logit a token, allowed where it is above 0",
    },
    {
        "tokens": {name: token for token, name in enumerate(TOKENS)},
        "specials": {"BOS": "<bos>", "EOS": None, "PAD": 7},
        "outputs": {"where": {"at": "<bos>"}, "means": "label", "labels": [*range(8)]},
        "lengths": [1, 5],
        "pad": "PAD",
        "causal": True,
        "layer_norm": False,
        "input": ["<bos>", "x", {"fill": 7}],
    },
    {"tokens": [*range(8)], "outputs": "at every position: 0 to 7", "answer_lengths": 2},
)

WORDS = (
    *("at", "after", "from", "every position", "the last position", "END", "on", ":", ",", ";"),
    *("next token", "next-token sets", "the largest logit", "0", "1", "0 to 7", "a token", "or"),
    *("BOS", "SEP", "EOS", "PAD...", "x", "y", "w", "'", '"', "'a'", "(", "a number", "above"),
)

INPUTS = (
    "a",
    "ab",
    "a,b",
    "a b",
    "",
    "<bos>ab<eos>",
    "a<sep>b",
    "x" * 12,
    "x" * 5_000,
    "\0",
    "'",
    ",",
)


@functools.cache
def weights() -> bytes:
    """A network's file."""
    return save(dict(state_dict(network_of_table(np.eye(8)))))


def phrase(rng: random.Random) -> str:
    """Words in any order."""
    words = rng.choices(WORDS, k=rng.randrange(12))
    return rng.choice((" ", " ", "")).join(words) * rng.choice((1, 1, 1, 1_000))


def make(rng: random.Random, folder: Path) -> Case:
    """One task and some inputs."""
    (folder / "model.safetensors").write_bytes(weights())
    sound = dict(rng.choice(SOUND))
    document = mutated(rng, sound) if rng.random() < 0.6 else sound
    if isinstance(document, dict) and rng.random() < 0.4:
        document[rng.choice(("outputs", "input"))] = phrase(rng)
    path = folder / ("task.json" if rng.random() < 0.95 else "task.toml")
    path.write_bytes(text_of(rng, document))
    label = json.dumps(document)[:200]
    if rng.random() < 0.3:
        rows = [rng.choice((*INPUTS, *VALUES))]
        return Case(label, doors=[lambda: untracr.load(folder).run(rows)])
    options = rng.choice(([], [], ["--outputs", phrase(rng)], ["--layout", phrase(rng)]))
    given = rng.choice([text for text in INPUTS if "\0" not in text])
    return Case(label, [["run", str(folder), *options, *rng.choice(([], ["--json"])), "--", given]])


if __name__ == "__main__":
    weights()
    sys.exit(fuzz_running.main_of(make, "tasks", "Runs networks with hostile tasks."))
