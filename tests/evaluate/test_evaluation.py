"""Evaluation counts what it says it counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripted_decompiler import Scripted, in_order
from untracr.compile.canonical import paper_tokens
from untracr.compile.compiler import compile_program
from untracr.errors import ModelFileError, UsageError
from untracr.evaluate.evaluation import evaluate_folder, evaluate_samples
from untracr.evaluate.share import Share
from untracr.loading.compiled_file import save_model
from untracr.sample.sampler import sample_program

SEED = 11


def test_true_programs_score_all_and_others_none() -> None:
    """The truth is exact and behaves the same; the next program is neither; None is wrong too."""
    truth = [sample_program(SEED, i) for i in range(6)]
    report = evaluate_samples(Scripted(in_order(truth)), SEED, 6)
    assert all(o.exact and o.same_behaviour for o in report.outcomes)
    shifted = evaluate_samples(Scripted(in_order([*truth[1:], None])), SEED, 6)
    assert not any(o.exact for o in shifted.outcomes)
    assert not shifted.outcomes[-1].same_behaviour


def test_operations_are_counted_word_for_word() -> None:
    """With the truth every operation of the reference is found, and their number is its length."""
    truth = [sample_program(SEED, i) for i in range(4)]
    report = evaluate_samples(Scripted(in_order(truth)), SEED, 4)
    for program, outcome in zip(truth, report.outcomes, strict=True):
        counts = outcome.operations.values()
        assert all(right == total for right, total in counts)
        assert sum(total for _, total in counts) == paper_tokens(program).count("EOO")


def test_folder_is_read_and_missing_parts_are_named(tmp_path: Path) -> None:
    """A folder of models is judged by its programs.jsonl; what is missing or malformed is named."""
    program = sample_program(SEED, 0)
    model = compile_program(program, range(5), 5).transformer
    save_model(tmp_path / "m.npz", model)
    entry = {"name": "m", "tokens": paper_tokens(program), "vocab": [0, 1, 2, 3, 4]}
    (tmp_path / "programs.jsonl").write_text(json.dumps({**entry, "max_seq_len": 5}) + "\n")
    report = evaluate_folder(Scripted(in_order([program])), tmp_path, treatment="rotated")
    assert report.as_dict()["verdicts"] == {"unverified": 1}
    assert "token-exact" in report.to_markdown()
    (tmp_path / "m.npz").unlink()
    with pytest.raises(ModelFileError, match=r"m\.npz is missing"):
        evaluate_folder(Scripted(in_order([program])), tmp_path)
    (tmp_path / "programs.jsonl").write_text(json.dumps(entry) + "\n")
    with pytest.raises(ModelFileError, match=r"programs\.jsonl:1: .*max_seq_len"):
        evaluate_folder(Scripted(in_order([program])), tmp_path)


def test_unknown_treatment_is_refused() -> None:
    """A mistyped treatment is an error that lists the known ones."""
    with pytest.raises(UsageError, match=r"compiled, rotated, .*, not 'rotatd'"):
        evaluate_samples(Scripted(in_order([])), SEED, 0, treatment="rotatd")


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(60, 100, 0.502, 0.691), (0, 10, 0.0, 0.278), (10, 10, 0.722, 1.0)],
)
def test_interval_is_wilsons(count: int, total: int, low: float, high: float) -> None:
    """Bounds agree with published values of the Wilson interval."""
    found = Share(count, total).interval
    assert found == pytest.approx((low, high), abs=1e-3)
