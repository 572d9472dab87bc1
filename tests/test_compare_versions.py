"""Two versions of the package compared (recipes/compare_versions.py): the command can fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from comparing.answers import (
    A_TIME,
    CUT_OFF,
    compare,
    first_difference,
    is_cut_off,
    timeless,
    timeless_text,
)
from comparing.models import bare, change_all, noisy, rotated
from untracr import compile_rasp_to_model, named_program

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[1]
COMMAND = REPOSITORY / "recipes" / "compare_versions.py"
SMALL = ("--quick", "--models", "2", "--real", "1", "--library", "1", "--only", "samples,weights")


def compared(old: Path, new: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """What the command says of two folders."""
    command = [sys.executable, str(COMMAND), str(old), str(new), *SMALL, *options]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A copy of the tree whose staircases have another slope: one constant is changed."""
    copy = tmp_path / "planted"
    shutil.copytree(REPOSITORY / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    changed = 0
    for file in (copy / "src").rglob("*.py"):
        text = file.read_text("utf-8")
        file.write_text(text.replace("\nMLP_EXACTNESS = 100\n", "\nMLP_EXACTNESS = 101\n"), "utf-8")
        changed += file.read_text("utf-8") != text
    assert changed == 1
    return copy


def test_a_tree_is_the_same_as_itself() -> None:
    """Whatever is asked."""
    done = compared(REPOSITORY, REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["samples", "weights", "exported names"]
    assert all(" same: " in line for line in lines)


def test_a_changed_constant_is_found(planted: Path) -> None:
    """The weights of all programs with a staircase are others; the sampled programs are not."""
    done = compared(REPOSITORY, planted)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "samples:       same: 6 of 6" in done.stdout
    assert "weights:       different: " in done.stdout
    assert "byte " in done.stdout


def test_a_version_that_does_not_load_is_told(tmp_path: Path) -> None:
    """A package of another place must not stand in for it."""
    package = tmp_path / "src" / "untracr"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('broken')\n", "utf-8")
    done = compared(REPOSITORY, tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("compare_versions: the package of ")
    assert "broken" in done.stderr


def test_what_is_no_version_is_refused() -> None:
    """Neither a folder with a source nor a revision."""
    done = compared(REPOSITORY, Path("no-such-version"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "'no-such-version' is neither a folder" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, "a[1].b"),
        ({"a": 1}, {"a": 1.0}, "a"),
        ({"a": 0.0}, {"a": -0.0}, "a"),
        ({"a": 1}, {"a": True}, "a"),
        ({"a": 1}, {"a": 1, "b": None}, "b"),
        ([1], [1, 2], ""),
        ("one\ntwo\n", "one\ntwo", "line 2"),
        (b"abc", b"abd", "byte 2"),
        (b"abc", b"abcd", "byte 3"),
    ],
)
def test_the_first_difference(old: object, new: object, where: str) -> None:
    """Also where values are equal to Python and written otherwise."""
    found = first_difference(old, new)
    assert found is not None
    assert found[0] == where
    assert first_difference(old, old) is None


def test_a_missing_answer_is_a_difference() -> None:
    """Also one that only the newer version gives."""
    found = compare({"a": 1, "b": 2}, {"b": 2, "c": 3})
    assert [difference.what for difference in found.differences] == ["a", "c"]
    assert found.total == 3


def test_only_a_search_that_both_cut_off_is_left_out() -> None:
    """A version that now takes too long has changed."""
    found = compare({"a": CUT_OFF, "b": 1, "c": CUT_OFF}, {"a": CUT_OFF, "b": CUT_OFF, "c": 1})
    assert (found.total, found.cut_off) == (2, 1)
    assert [difference.what for difference in found.differences] == ["b", "c"]
    assert is_cut_off({"seconds": 10.0}, 20.0)
    assert not is_cut_off({"seconds": 9.9}, 20.0)
    assert not is_cut_off(None, 20.0)


def test_times_are_left_out_and_nothing_else() -> None:
    """That a field is there is compared still."""
    answer = {"seconds": 0.1, "median_ms": 3, "parts": [{"elapsed": 1}], "forms": 2}
    expected = {"seconds": A_TIME, "median_ms": A_TIME, "parts": [{"elapsed": A_TIME}], "forms": 2}
    assert timeless(answer) == expected
    assert timeless_text("read (0.148 s) of 3 states") == f"read ({A_TIME}) of 3 states"
    assert timeless_text("# A\n## Speed\n12.3 ms\n## B\n1\n") == "# A\n## B\n1\n"


def test_changed_models_are_what_they_are_called(tmp_path: Path) -> None:
    """What reads of what writes stays as it is in a rotated model; noise is small."""
    file = tmp_path / "hist.npz"
    compile_rasp_to_model(named_program("hist"), vocab=range(3), max_seq_len=3).save(file)
    changed = {
        change.__name__: dict(np.load(change_all([file], change, tmp_path / change.__name__, 0)[0]))
        for change in (bare, rotated, noisy)
    }
    given = dict(np.load(file))
    assert set(given) - set(changed["bare"]) == {"causal", "unembed", "untracr"}
    layer = "transformer/layer_0"
    for writer, reader in (
        ("token_embed/embeddings", f"{layer}/attn/query/w"),
        ("pos_embed/embeddings", f"{layer}/mlp/linear_1/w"),
        (f"{layer}/attn/linear/w", f"{layer}/attn/key/w"),
        (f"{layer}/mlp/linear_2/w", "unembed"),
    ):
        product = given[writer] @ given[reader]
        same = changed["rotated"][writer] @ changed["rotated"][reader]
        assert np.allclose(same, product, atol=1e-3)
        assert not np.allclose(changed["rotated"][writer], given[writer], atol=1e-3)
        off = np.abs(changed["noisy"][writer] - given[writer])
        assert 0 < off.max() < 0.1 * given[writer].std()
