"""Shapes in signatures are checked while models are read and compared."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from array_shapes import Calls, WrongShape, checked_modules, shapes_checked
from compiled_models import model_of
from test_house import MODULES
from untracr.arrays import Floats
from untracr.decompile.bundled import decompile_model
from untracr.read.heads import HeadWeights
from untracr.sample.sampler import sample_program
from untracr.transformer.named_treatments import parse_treatments
from untracr.verify import change_of_basis

ARRAYS = {"Array", "Bools", "Codes", "Floats", "Ints", "Mask", "NDArray", "Reals"}
"""Names of arrays that say nothing of their shape."""

FUNCTIONS = 170
"""Functions and classes whose shapes are checked, at least."""

REACHED = 0.6
"""The share of them that decompiling a few models calls; the rooms' own tests call others."""

TREATMENTS = "compiled,rotated,noisy,compressed-bos"


@pytest.fixture
def calls() -> Iterator[Calls]:
    """How often each function was called that was checked."""
    with shapes_checked(checked_modules()) as counted:
        yield counted


def test_models_are_decompiled_with_every_shape_checked(calls: Calls) -> None:
    """No array is of another shape than its signature says; most functions are on the way."""
    for index in range(4):
        model = model_of(sample_program(5, index))
        for treatment in parse_treatments(TREATMENTS):
            treated = treatment.apply(model, np.random.default_rng(index))
            decompile_model(treated.model, budget=0.0)
    called = [name for name, count in calls.items() if count]
    assert len(calls) >= FUNCTIONS
    assert len(called) >= REACHED * len(calls), sorted(set(calls) - set(called))


@pytest.mark.parametrize("theirs", [np.ones((3, 4)), np.ones((2, 5)), np.ones((3, 5, 1))])
def test_a_wrong_shape_is_caught(theirs: Floats, calls: Calls) -> None:
    """Matrices of other sizes are none that correspond, even where NumPy can multiply them."""
    with pytest.raises(WrongShape, match="nearest_orthogonal: theirs"):
        change_of_basis.nearest_orthogonal(np.ones((3, 5)), theirs)
    assert calls["untracr.verify.change_of_basis.nearest_orthogonal"] == 1


def test_a_wrong_type_is_caught(calls: Calls) -> None:
    """Single precision where double is meant, and fields of a class that do not fit each other."""
    mine: Any = np.ones((3, 5), np.float32)
    with pytest.raises(WrongShape, match="nearest_orthogonal: mine"):
        change_of_basis.nearest_orthogonal(mine, np.ones((3, 5)))
    square, wide = np.ones((4, 2)), np.ones((4, 3))
    HeadWeights(square, square, wide, wide.T)
    with pytest.raises(WrongShape, match="W_O"):
        HeadWeights(square, square, wide, wide)


@pytest.mark.parametrize("module", checked_modules())
def test_every_array_in_a_signature_has_a_shape(module: str) -> None:
    """Arguments, results and fields: none is an array and no more."""
    bare = [
        f"line {name.lineno}: {name.id}"
        for hint in _hints(ast.parse(MODULES[module].read_text("utf-8")))
        for name in _bare(hint)
    ]
    assert bare == []


def _hints(tree: ast.Module) -> Iterator[ast.expr]:
    """The annotations of arguments, results and fields."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None:
            yield node.annotation
        if isinstance(node, ast.FunctionDef) and node.returns is not None:
            yield node.returns
        if isinstance(node, ast.ClassDef):
            yield from (field.annotation for field in node.body if isinstance(field, ast.AnnAssign))


def _bare(hint: ast.AST) -> Iterator[ast.Name]:
    """Names of arrays that stand outside of an `Annotated`."""
    if isinstance(hint, ast.Name) and hint.id in ARRAYS:
        yield hint
    if isinstance(hint, ast.Subscript) and ast.unparse(hint.value) in ("Annotated", "Iterator"):
        return  # what is iterated over cannot be checked before it is
    for part in ast.iter_child_nodes(hint):
        yield from _bare(part)


def test_users_do_not_load_what_checks() -> None:
    """Nor need it be installed: shapes cost nothing at run time."""
    script = f"import sys\nfor name in {checked_modules()!r}: __import__(name)\nprint(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "untracr.read.reader" in loaded
    assert not {"jaxtyping", "typeguard", "beartype"} & set(loaded)
