"""Small programs as people write them for Tracr, as live objects: decompiling is tested on them.

Kinds that samplers leave out: constants, functions that give None, a function of one
argument twice, selectors by a constant, several truth values of the tokens side by side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from tracr.compiler import lib
from tracr.rasp import rasp

from tracr_reference import compile_with_tracr, reset_ids
from untracr.loading.haiku import transformer_from_haiku
from untracr.rasp.functions import Value
from untracr.transformer.transformer import Transformer

tokens, indices = rasp.tokens, rasp.indices
categorical, numerical = rasp.categorical, rasp.numerical
Select, Aggregate, SelectorWidth = rasp.Select, rasp.Aggregate, rasp.SelectorWidth
Map, SequenceMap, LinearSequenceMap = rasp.Map, rasp.SequenceMap, rasp.LinearSequenceMap
EQ, LEQ, TRUE = rasp.Comparison.EQ, rasp.Comparison.LEQ, rasp.Comparison.TRUE

LETTERS: tuple[Value, ...] = ("a", "b", "c")
DIGITS: tuple[Value, ...] = (0, 1, 2, 3)
BRACKETS: tuple[Value, ...] = ("(", ")")
MAX_SEQ_LEN = 5


def _length() -> Any:
    return SelectorWidth(Select(tokens, tokens, TRUE)).named("length")


def _constant(value: Value, of: Any = indices) -> Any:
    return Map(lambda x: value, of).named(f"constant_{value}")


def _first(sop: Any = tokens) -> Any:
    return Aggregate(Select(indices, _constant(0), EQ), sop).named("first")


def _last() -> Any:
    place = Map(lambda x: x - 1, _length()).named("last_place")
    return Aggregate(Select(indices, place, EQ), tokens).named("last")


def _is(token: Value, name: str) -> Any:
    return numerical(Map(lambda x: x == token, tokens)).named(name)


def _share(sop: Any, name: str) -> Any:
    return numerical(Aggregate(Select(indices, indices, LEQ), sop, default=0)).named(name)


def _balance(opening: str, closing: str) -> Any:
    opened = _share(_is(opening, f"is_{opening}"), f"share_{opening}")
    closed = _share(_is(closing, f"is_{closing}"), f"share_{closing}")
    return numerical(LinearSequenceMap(opened, closed, 1, -1)).named(f"balance_{opening}")


def _swap_first_and_last() -> Any:
    at_first = SequenceMap(lambda x, y: x if y == 0 else None, _last(), indices).named("at_first")
    return SequenceMap(lambda x, y: y if x is None else x, at_first, tokens)


def _previous() -> Any:
    place = Map(lambda x: x - 1 if x > 0 else None, indices).named("place")
    return Aggregate(Select(indices, place, EQ), tokens).named("previous")


def _on_evens(build: Callable[[Any], Any]) -> Any:
    return build(Map(lambda x: x % 2 == 0, indices).named("even"))


CONSTANTS: dict[str, tuple[Callable[[], Any], tuple[Value, ...]]] = {
    "first token": (_first, LETTERS),
    "first digit": (lambda: Aggregate(Select(indices, _constant(0, tokens), EQ), tokens), DIGITS),
    "third token": (lambda: Aggregate(Select(indices, _constant(2), EQ), tokens), LETTERS),
    "constant key": (lambda: Aggregate(Select(_constant(2), indices, EQ), tokens), LETTERS),
    "two constants": (
        lambda: SelectorWidth(Select(_constant(1), _constant(1, tokens), EQ)),
        LETTERS,
    ),
    "last token": (_last, LETTERS),
    "last token by a difference": (
        lambda: Aggregate(
            Select(
                indices,
                SequenceMap(lambda x, y: x - y, _length(), _constant(1)).named("place"),
                EQ,
            ),
            tokens,
        ),
        LETTERS,
    ),
    "first and last": (lambda: SequenceMap(lambda x, y: x + y, _first(), _last()), DIGITS),
    "is the first": (lambda: SequenceMap(lambda x, y: x == y, tokens, _first()), DIGITS),
    "count of the first": (lambda: SelectorWidth(Select(tokens, _first(), EQ)), LETTERS),
    "count of b": (lambda: SelectorWidth(Select(tokens, _constant("b"), EQ)), LETTERS),
    "first two alike": (
        lambda: SequenceMap(
            lambda x, y: x == y,
            _first(),
            Aggregate(Select(indices, _constant(1), EQ), tokens).named("second"),
        ),
        LETTERS,
    ),
    "first is a, as a number": (
        lambda: numerical(
            Aggregate(Select(indices, _constant(0), EQ), _is("a", "is_a"), default=0)
        ),
        LETTERS,
    ),
    "count by a constant": (
        lambda: SelectorWidth(
            Select(Map(lambda x: int(x == "a"), tokens).named("is_a"), _constant(1), EQ)
        ),
        LETTERS,
    ),
    "constant and token": (
        lambda: SequenceMap(lambda x, y: x + y, _constant("_"), tokens),
        LETTERS,
    ),
    "swap first and last": (_swap_first_and_last, LETTERS),
}
"""Constants as queries, keys and arguments: the output, and the tokens."""

NONE: dict[str, tuple[Callable[[], Any], tuple[Value, ...]]] = {
    "none of a map": (lambda: Map(lambda x: x if x else None, tokens), DIGITS),
    "none of a division": (lambda: Map(lambda x: 6 / x if x else None, tokens), DIGITS),
    "one value and none": (lambda: Map(lambda x: x if x == "a" else None, tokens), LETTERS),
    "none then a grid": (
        lambda: SequenceMap(
            lambda x, y: y if x is None else x,
            Map(lambda x: x if x > 1 else None, tokens).named("large"),
            tokens,
        ),
        DIGITS,
    ),
    "none then a selector": (
        lambda: Aggregate(
            Select(indices, Map(lambda x: x - 1 if x > 0 else None, indices).named("place"), EQ),
            tokens,
        ),
        LETTERS,
    ),
    "none of a grid": (
        lambda: SequenceMap(lambda x, y: x if x > y else None, tokens, indices),
        DIGITS,
    ),
    "only even places": (
        lambda: _on_evens(lambda even: SequenceMap(lambda x, y: x if y else None, tokens, even)),
        LETTERS,
    ),
    "as the previous": (lambda: SequenceMap(lambda x, y: x == y, tokens, _previous()), LETTERS),
}
"""Functions that give None."""

TRUTHS: dict[str, tuple[Callable[[], Any], tuple[Value, ...]]] = {
    "balance": (lambda: _balance("(", ")"), BRACKETS),
    "all values as numbers": (
        lambda: numerical(
            LinearSequenceMap(_balance("(", ")"), _share(_is("a", "is_a"), "share_a"), 1, 2)
        ),
        (*BRACKETS, "a"),
    ),
    "truths as values": (
        lambda: SequenceMap(
            lambda x, y: x and y == 0, Map(lambda x: x == "a", tokens).named("is_a"), indices
        ),
        LETTERS,
    ),
}
"""Truth values of tokens, as numbers and as values."""

TWICE: dict[str, tuple[Callable[[], Any], tuple[Value, ...]]] = {
    "doubled": (lambda: SequenceMap(lambda x, y: x + y, tokens, tokens), DIGITS),
    "letters doubled": (lambda: SequenceMap(lambda x, y: x + y, tokens, tokens), LETTERS),
    "always true": (lambda: SequenceMap(lambda x, y: x == y, tokens, tokens), LETTERS),
    "square less itself": (
        lambda: SequenceMap(
            lambda x, y: x - y,
            SequenceMap(lambda x, y: x * y, tokens, tokens).named("square"),
            tokens,
        ),
        DIGITS,
    ),
    "none of a pair alike": (
        lambda: SequenceMap(lambda x, y: x if x == y and x > 1 else None, tokens, tokens),
        DIGITS,
    ),
}
"""A function of one argument given twice."""

NUMBERS: dict[str, tuple[Callable[[], Any], tuple[Value, ...]]] = {
    "tanh": (lambda: numerical(Map(lambda x: math.tanh(3 * x), tokens)), DIGITS),
    "almost itself": (lambda: numerical(Map(lambda x: x + 0.004, tokens)), DIGITS),
    "mean squared": (
        lambda: numerical(Map(lambda x: x * x, _share(_is("a", "is_a"), "share_a"))),
        LETTERS,
    ),
}
"""Numbers that are no simple fractions."""

BALANCED: dict[str, tuple[Callable[[], Any], tuple[Value, ...]]] = {
    "two kinds of brackets": (lambda: lib.make_shuffle_dyck(["()", "[]"]), tuple("()[]")),
    "three kinds of brackets": (lambda: lib.make_shuffle_dyck(["()", "[]", "{}"]), tuple("()[]{}")),
}
"""Long programs with many numbers side by side: 25 and 33 operations."""

PROGRAMS = {**CONSTANTS, **NONE, **TRUTHS, **TWICE, **NUMBERS, **BALANCED}


def compiled(name: str) -> tuple[Transformer, tuple[Value, ...]]:
    """A program compiled by the real Tracr, with the values of its token rows: BOS and PAD last."""
    build, vocab = PROGRAMS[name]
    reset_ids(rasp)
    theirs = compile_with_tracr(build(), set(vocab), MAX_SEQ_LEN)
    params = {
        module: {key: np.asarray(array) for key, array in arrays.items()}
        for module, arrays in theirs.params.items()
    }
    config, rows = theirs.model_config, theirs.input_encoder.encoding_map
    model = transformer_from_haiku(params, config.num_heads, config.causal)
    values = tuple(sorted(vocab))  # type: ignore[type-var]
    places = [rows[value] for value in (*values, "compiler_bos", "compiler_pad")]
    return model.replace(W_E=model.W_E[places]), values
