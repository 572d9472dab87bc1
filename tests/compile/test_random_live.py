"""What Tracr compiles of random live programs, we compile to the same arrays or refuse by a rule.

``UNTRACR_LIVE_PROGRAMS`` of them; none may end in an error that is not ours.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from random_live import VOCABULARIES, random_live, rasp
from tracr_reference import compile_with_tracr, differences, reset_ids
from untracr.diagnose.model import CompiledModel, compile_rasp_to_model
from untracr.errors import UntracrError
from untracr.loading.loading import load_model
from untracr.syntax.parsing import parse

pytestmark = pytest.mark.slow

PROGRAMS = int(os.environ.get("UNTRACR_LIVE_PROGRAMS", "120"))
CHUNK = 30

REFUSED = ("must be finite", "float32", "must give True or False")
"""Rules by which we refuse what Tracr compiles."""


def compiled_by_both(seed: int) -> tuple[Any, CompiledModel | str]:
    """Tracr's model, None where it fails; and ours, or why there is none."""
    rng = Random(seed)
    reset_ids(rasp)
    vocab, length, causal = rng.choice(VOCABULARIES), rng.randint(1, 4), rng.random() < 0.2
    sop = random_live(rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, of what functions do
        try:
            theirs = compile_with_tracr(sop, set(vocab), length, causal=causal)
        except Exception:
            theirs = None
        try:
            return theirs, compile_rasp_to_model(sop, set(vocab), length, causal, strict=False)
        except UntracrError as error:
            return theirs, str(error)


@pytest.mark.parametrize("start", range(0, PROGRAMS, CHUNK))
def test_random_live_programs(start: int, tmp_path: Path) -> None:
    """The same arrays and encoders, and all that is compiled is saved, loaded and read back."""
    same = 0
    for seed in range(start, min(start + CHUNK, PROGRAMS)):
        theirs, ours = compiled_by_both(seed)
        if isinstance(ours, str):
            assert theirs is None or any(rule in ours for rule in REFUSED), (seed, ours)
            continue
        path = tmp_path / "m.npz"
        ours.save(path)
        assert load_model(path).transformer.output_values == ours.transformer.output_values
        assert not differ(parse(str(ours.source)), ours.source), seed
        if theirs is not None:
            assert differences(theirs.params, ours.params) == [], seed
            assert theirs.input_encoder.encoding_map == ours.input_encoder.encoding_map
            same += 1
    assert same >= CHUNK // 5 or PROGRAMS < CHUNK


def differ(printed: Any, source: Any) -> bool:
    """Whether a printed program reads back as another, but for arguments that fail."""
    if printed == source:
        return False
    fails = [node for node in source.nodes if getattr(getattr(node, "function", 0), "fails", ())]
    return not fails


def test_drawn_programs_are_of_many_kinds() -> None:
    """Some are compiled by both, some by us alone, and some are refused by both."""
    found = [compiled_by_both(seed) for seed in range(60)]
    kinds = {(theirs is not None, not isinstance(ours, str)) for theirs, ours in found}
    assert {(True, True), (False, True), (False, False)} <= kinds
    arrays = [theirs.params for theirs, ours in found if theirs is not None]
    assert all(np.asarray(p["token_embed"]["embeddings"]).any() for p in arrays)
