"""The audit of models of which nothing is told: they are Tracr's, and its judge can refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tracr_reference import fast_initialisation, reset_ids
from untracr.audit.claims import judge_claim
from untracr.audit.kinds import KINDS
from untracr.audit.subject import Subject
from untracr.decompile import bundled_decompiler
from untracr.decompile.result import Result
from untracr.syntax.tracr_objects import to_tracr
from untracr.transformer.token_rows import TokenRows, tokens_first

SEED = 12


def answered(subject: Subject) -> Result:
    """What the decompiler says."""
    return bundled_decompiler().decompile(subject.model, naming=subject.naming, budget=2)


def first(kind: str, *, assumed: bool) -> tuple[Subject, Result]:
    """The first model whose rows are, or are not, assumed, with its answer."""
    for index in range(0, 40, 2):
        subject = KINDS[kind].make(SEED, index)
        result = answered(subject)
        assert result.token_rows is not None
        if bool(result.token_rows.assumed) == assumed and result.verdict == "identical":
            return subject, result
    raise AssertionError("none among twenty")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["letters", "exactness"])
def test_models_are_those_of_tracr(kind: str) -> None:
    """The same arrays, rows in the same order, as Tracr makes of the program and the names."""
    from tracr.compiler import compiling
    from tracr.rasp import rasp

    for index in range(0, 12, 2):
        subject = KINDS[kind].make(SEED, index)
        assert subject.reference is not None
        reset_ids(rasp)
        with fast_initialisation():
            made = compiling.compile_rasp_to_model(
                to_tracr(subject.reference),
                set(subject.domain.vocab),
                subject.domain.max_seq_len,
                mlp_exactness=subject.mlp_exactness,
            )
        rows = np.asarray(made.params["token_embed"]["embeddings"])
        assert np.array_equal(rows, subject.model.W_E)
        assert list(made.input_encoder.encoding_map) == list(subject.row_names or ())
        read = np.asarray(made.params["transformer/layer_0/mlp/linear_1"]["w"])
        assert np.array_equal(read, subject.model.W_in[0])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["letters", "exactness"])
def test_answers_are_true(kind: str) -> None:
    """Whatever is called identical."""
    for index in range(8):
        subject = KINDS[kind].make(SEED, index)
        claim = judge_claim(subject, answered(subject))
        assert not claim.false, (index, claim.false)


def moved(rows: TokenRows) -> TokenRows:
    """Rows with the first token's and BOS's exchanged."""
    return replace(rows, tokens=(rows.bos, *rows.tokens[1:]), bos=rows.tokens[0])


def test_wrong_rows_are_refused() -> None:
    """BOS's row taken for a token's, unsaid; and said, where something reads it."""
    subject, result = first("letters", assumed=False)
    assert result.token_rows is not None
    wrong = replace(result, token_rows=moved(result.token_rows))
    assert "taken for BOS or PAD, unsaid" in judge_claim(subject, wrong).false
    assert judge_claim(subject, replace(wrong, departures=3)).false  # these hide nothing
    said = replace(result, token_rows=replace(moved(result.token_rows), assumed="some are alike"))
    assert judge_claim(subject, said).false


def test_another_program_or_slope_is_refused() -> None:
    """The judge does not take the decompiler's word."""
    subject, result = first("exactness", assumed=False)
    if result.mlp_exactness is not None:
        assert "mlp_exactness is" in judge_claim(subject, replace(result, mlp_exactness=7.0)).false
    other = "tokens_ = Map(lambda x: x, tokens)\n"
    assert judge_claim(subject, replace(result, source=other)).false
    named = bundled_decompiler().decompile(subject.model, naming=tokens_first(subject.domain.vocab))
    assert not judge_claim(subject, named).false
