"""Compiles programs with the real Tracr, for tests that compare weights.

Tracr takes seconds a program, nearly all of it in drawing random initial
weights that it then overwrites with zeros. `fast_initialisation` skips that
draw: Haiku's `init` is traced for its shapes only, and the two embeddings are
those that Tracr hands to Haiku. Every number compared is still computed by
Tracr's code; a test checks that both ways agree.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np

from untracr.rasp.functions import Value
from untracr.rasp.nodes import Ref, children
from untracr.rasp.program import Program
from untracr.syntax.tracr_objects import to_tracr


def reset_ids(rasp: Any) -> None:
    """Makes Tracr number expressions from 1, as in a fresh process."""
    rasp.RASPExpr._ids = itertools.count(1)


def compile_with_tracr(
    sop: Any,
    vocab: set[Value],
    max_seq_len: int,
    *,
    causal: bool = False,
    fast: bool = True,
    mlp_exactness: float = 100,
) -> Any:
    """Tracr's model of a live SOp."""
    from tracr.compiler import compiling

    with fast_initialisation() if fast else contextlib.nullcontext():
        return compiling.compile_rasp_to_model(
            sop, vocab, max_seq_len, causal=causal, mlp_exactness=mlp_exactness
        )


def build(program: Program) -> tuple[Any, Program]:
    """A program as live Tracr objects, and itself with the labels that Tracr gives them."""
    from tracr.rasp import rasp

    reset_ids(rasp)
    sop = to_tracr(program)
    found: dict[Ref, str] = {}
    queue: list[tuple[Ref, Any]] = [(program.output, sop)]
    for ref, expression in queue:
        if ref not in found:
            found[ref] = expression.label
            queue += zip(children(program.nodes[ref]), expression.children, strict=True)
    labels = tuple(found.get(ref, label) for ref, label in enumerate(program.labels))
    return sop, dataclasses.replace(program, labels=labels)


def differences(params: Any, ours: dict[str, dict[str, np.ndarray[Any, Any]]]) -> list[str]:
    """What tells our parameters from Tracr's: keys, their order, dtypes, shapes, numbers."""
    found = [] if list(params) == list(ours) else ["keys or their order"]
    for key in params.keys() & ours.keys():
        if list(params[key]) != list(ours[key]):
            found.append(f"{key}: names or their order")
        for name in params[key].keys() & ours[key].keys():
            theirs, mine = np.asarray(params[key][name]), ours[key][name]
            if theirs.dtype != np.float32 or mine.dtype != np.float32:
                found.append(f"{key}/{name}: {theirs.dtype} and {mine.dtype}")
            elif not np.array_equal(theirs, mine):
                found.append(f"{key}/{name}")
    return found


@contextlib.contextmanager
def fast_initialisation() -> Iterator[None]:
    """Lets Tracr assemble models without Haiku's random initial weights."""
    from tracr.compiler import assemble

    embeddings: dict[str, Any] = {}
    with mock.patch.object(assemble, "hk", _Haiku(assemble.hk, embeddings)):
        yield


class _Haiku:
    """Haiku, but for the two names that Tracr's assembly initialises weights with."""

    def __init__(self, haiku: Any, embeddings: dict[str, Any]) -> None:
        self._haiku = haiku
        self._embeddings = embeddings

    def __getattr__(self, name: str) -> Any:
        return getattr(self._haiku, name)

    def Embed(self, *, embedding_matrix: Any, name: str) -> Any:
        self._embeddings[name] = np.asarray(embedding_matrix, dtype=np.float32)
        return self._haiku.Embed(embedding_matrix=embedding_matrix, name=name)

    def without_apply_rng(self, transformed: Any) -> Any:
        real = self._haiku.without_apply_rng(transformed)
        return dataclasses.make_dataclass("Transformed", ["init", "apply"])(
            self._init(real.init), real.apply
        )

    def _init(self, init: Callable[..., Any]) -> Callable[..., Any]:
        import jax

        def shapes_only(*args: Any) -> dict[str, dict[str, Any]]:
            shapes = jax.eval_shape(init, *args)
            return {
                module: {
                    name: self._embeddings.get(module, np.zeros(leaf.shape, np.float32))
                    for name, leaf in parameters.items()
                }
                for module, parameters in shapes.items()
            }

        return shapes_only
