"""A `repr` is read in a notebook or a traceback: it is short, whatever the value holds."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import types
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from compiled_models import model_of
from test_house import ROOMS
from untracr.certificate.certificate import certificate_of
from untracr.decompile.bundled import bundled_decompiler, decompile_model
from untracr.diagnose.model import CompiledModel, compile_rasp_to_model
from untracr.errors import Problem
from untracr.explain.side_by_side import explain
from untracr.loading.loading import load_model
from untracr.network.compiled_form import network_of_compiled
from untracr.rasp.domain import Domain
from untracr.short_repr import LONGEST_REPR, short_repr
from untracr.syntax.parsing import parse
from untracr.task.task import Label, Task

SORT = """
less = Select(tokens, tokens, Comparison.LT)
before = Select(indices, indices, Comparison.LT)
same = Select(tokens, tokens, Comparison.EQ)
ties = SelectorAnd(same, before)
target = SelectorWidth(SelectorOr(less, ties))
here = Select(target, indices, Comparison.EQ)
ordered = Aggregate(here, tokens)
"""
HISTOGRAM = "same = Select(tokens, tokens, Comparison.EQ)\ncounts = SelectorWidth(same)\n"
LONG = "a_name_that_goes_on_and_on_" * 40


def public_classes() -> dict[str, type]:
    """Every class that the package or a room offers."""
    doors = ["untracr", *(f"untracr.{room}" for room in ROOMS if room != "cli")]
    modules = map(importlib.import_module, doors)
    named = ((f"{m.__name__}.{name}", getattr(m, name)) for m in modules for name in m.__all__)
    return {name: value for name, value in named if isinstance(value, type)}


def is_small(hint: object) -> bool:
    """Whether all values of a type are written in a few letters."""
    if hint in (int, float, bool, type(None)):
        return True
    if isinstance(hint, type):
        return issubclass(hint, enum.Enum)
    if typing.get_origin(hint) is typing.Literal:
        return True
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return is_union and all(map(is_small, typing.get_args(hint)))


def shows_all(value: type) -> bool:
    """Whether it has the `repr` that dataclasses make, of all that they hold."""
    return dataclasses.is_dataclass(value) and hasattr(value.__repr__, "__wrapped__")


@pytest.mark.parametrize("name", sorted(public_classes()))
def test_no_public_value_shows_all_that_it_holds(name: str) -> None:
    """Texts, collections, arrays and other values are shown in a few letters."""
    public = public_classes()[name]
    if shows_all(public):
        hints = typing.get_type_hints(public)
        fields = [f.name for f in dataclasses.fields(public) if f.repr]
        assert [field for field in fields if not is_small(hints[field])] == []


@pytest.mark.parametrize("name", sorted(public_classes()))
def test_no_public_value_shows_an_address(name: str) -> None:
    """Of use to nobody."""
    public = public_classes()[name]
    own = any("__repr__" in vars(part) for part in public.__mro__[:-1])
    assert own or getattr(public, "_is_protocol", False)


def within(value: object, depth: int = 4) -> Iterator[object]:
    """A value and what it holds."""
    yield value
    if depth and dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from within(getattr(value, field.name), depth - 1)
    elif depth and isinstance(value, (tuple, list)):
        for item in value[:20]:
            yield from within(item, depth - 1)


def of_the_package(values: Iterable[object]) -> Iterator[object]:
    """Those whose classes are the package's own."""
    return (v for v in values if type(v).__module__.startswith("untracr"))


@pytest.fixture(scope="module")
def model() -> CompiledModel:
    """Of 40 tokens and length 8."""
    return compile_rasp_to_model(HISTOGRAM, range(40), 8)


def test_what_a_compiled_model_holds_is_shown_shortly(model: CompiledModel, tmp_path: Path) -> None:
    """The model, its parts, a run, its network and a certificate."""
    small = compile_rasp_to_model(SORT, range(3), 3)
    result = decompile_model(small)
    assert result.program is not None
    domain = Domain(result.vocab, result.max_seq_len)
    explained = next(explain(small.transformer, result.program, domain, [(0, 1, 2)]))
    loaded = load_model(model)
    values = [
        *(
            model,
            model.apply(["compiler_bos", *range(8)]),
            model.input_encoder,
            bundled_decompiler(),
        ),
        *(model.transformer.forward([[40, *range(8)]]), loaded, loaded.network.layers[0]),
        *(result, result.lines, explained, certificate_of(result, load_model(small), tmp_path)),
    ]
    shown = [repr(value) for value in of_the_package(v for top in values for v in within(top))]
    assert len(shown) > 100
    assert [text for text in shown if len(text) > LONGEST_REPR] == []


def test_long_names_and_many_tokens_are_cut() -> None:
    """Names are a stranger's."""
    tokens = tuple(f"{LONG}{i}" for i in range(50))
    program = parse(f"{LONG} = Map(lambda x: x, tokens)\n")
    values: list[object] = [program, Domain(tokens, 3), Label(tokens), Task(tokens)]
    values += [Problem(LONG, LONG, LONG), program.nodes[2], load_model(model_of(program, DIGITS))]
    assert [text for text in map(repr, values) if len(text) > LONGEST_REPR] == []


DIGITS = Domain(tuple(range(10)), 3)


def test_arrays_are_shown_by_their_shapes(model: CompiledModel) -> None:
    """Nothing of thousands of numbers is printed."""
    heads = network_of_compiled(model.transformer).layers[0].attention
    assert f"W_Q=float32{list(heads.W_Q.shape)}" in repr(heads)


def test_a_program_tells_its_name_and_size() -> None:
    """The text of it is `str`'s."""
    assert repr(parse("twice = Map(lambda x: x * 2, tokens)")) == "<Program twice: 1 operation>"


def test_items_beyond_the_first_are_not_looked_at() -> None:
    """A collection of millions costs no more than one of ten."""

    class Counting(list[int]):
        looked = 0

        def __iter__(self) -> Iterator[int]:
            for item in super().__iter__():
                self.looked += 1
                yield item

    @dataclasses.dataclass
    class Holder:
        numbers: list[int]

        __repr__ = short_repr

    numbers = Counting(range(1000))
    assert repr(Holder(numbers)).endswith("... 1,000 in all])")
    assert numbers.looked < 10
