"""The same computation written otherwise: what decides no verdict, and what must never pass.

Names of variables decide on the order of axes, columns and neurons; heads may have
any inner basis, parts any order. All of these are changed at once. The controls
change one factor of a head without the other, or one entry of a product.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import numpy.typing as npt

from untracr.audit.claims import compiled_rows
from untracr.audit.foreign import without_read_out
from untracr.audit.subject import Subject
from untracr.rasp.nodes import INDICES, TOKENS
from untracr.rasp.program import Program
from untracr.sample.sampler import PAPER, sample_program
from untracr.transformer.head_basis import BasisKind, change_head_bases
from untracr.transformer.transformer import Transformer
from untracr.transformer.treatments import permute_heads, permute_neurons, permute_residual, rotate

Rng = np.random.Generator

DOMAIN = PAPER.domain

LETTERS = "abcdefghijklmnopqrstuvwxyz_"

BASES: tuple[BasisKind, ...] = ("permuted", "orthogonal", "invertible")

FACTOR_MATRICES = ("W_Q", "W_K", "W_V", "W_O")

MOST_MORE = 3
"""Inner dimensions by which heads grow at most."""

TRIED = 1_000
"""Programs among which one with a head is looked for."""


def renamed_variables(seed: int, index: int) -> Subject:
    """A sampled program whose variables have random names; of every second the axes are rotated."""
    rng = np.random.default_rng([seed, index, 5])
    program = with_random_names(sample_program(seed, index), Random(f"names/{seed}/{index}"))
    compiled = compiled_rows(program, DOMAIN, causal=False)
    model = rotate(compiled, rng) if index % 2 else compiled
    how = "rotated" if index % 2 else "as compiled"
    return _subject(f"{seed}/{index} {how}", model, program, compiled)


def with_random_names(program: Program, rng: Random) -> Program:
    """The program with other names of all its variables, before and behind ``tokens``."""
    names: list[str] = []
    for ref in range(len(program.nodes)):
        name = program.labels[ref]
        while ref not in (TOKENS, INDICES) and (name in names or name == program.labels[ref]):
            name = "".join(rng.choices(LETTERS, k=rng.randint(1, 4)))
            name = name if name.isidentifier() else program.labels[ref]
        names.append(name)
    return replace(program, labels=tuple(names))


def inner_basis(seed: int, index: int) -> Subject:
    """A sampled program with all changed at once that decides no verdict."""
    rng = np.random.default_rng([seed, index, 6])
    program = with_random_names(sample_program(seed, index), Random(f"form/{seed}/{index}"))
    compiled = compiled_rows(program, DOMAIN, causal=False)
    kind = BASES[index % len(BASES)]
    d_head = compiled.d_head + int(rng.integers(MOST_MORE + 1))
    model = change_head_bases(compiled, rng, kind, d_head)
    model = permute_heads(permute_neurons(model, rng), rng)
    rotated = bool(rng.random() < 0.5)
    model = rotate(model, rng) if rotated else permute_residual(model, rng)
    how = f"{kind}, d_head {d_head}, {'rotated' if rotated else 'axes reordered'}"
    return _subject(f"{seed}/{index} {how}", model, program, compiled)


def _subject(name: str, model: Transformer, program: Program, before: Transformer) -> Subject:
    """Every third item has its read-out."""
    given = model if int(name.split()[0].split("/")[1]) % 3 == 0 else without_read_out(model)
    read_out = "" if given.W_U is None else ", read-out"
    return Subject(
        f"{name}{read_out}", given, DOMAIN, program, without_read_out(before), read_out=model
    )


def half_a_basis(seed: int, index: int) -> Subject:
    """A head one of whose factors is in another basis, or one of whose products is changed."""
    rng = np.random.default_rng([seed, index, 7])
    model = _with_heads(seed, index)
    living = np.argwhere((model.W_Q != 0).any(axis=(2, 3)))
    layer, head = (int(n) for n in rng.choice(living))
    moved = change_head_bases(model, rng, BASES[1 + index % 2], model.d_head + 1)
    if index % 2:
        name = FACTOR_MATRICES[index // 2 % len(FACTOR_MATRICES)]
        other = change_head_bases(model, rng, BASES[1 + index // 2 % 2], model.d_head + 1)
        array = getattr(moved, name).copy()
        array[layer, head] = getattr(other, name)[layer, head]
        changed, what = moved.replace(**{name: array}), f"{name} in another basis"
    else:
        scores = bool(index // 2 % 2)
        amount = float(rng.choice([1e-2, 1.0, -1.0]))
        changed = _with_changed_entry(moved, layer, head, rng, scores=scores, amount=amount)
        what = f"{amount:g} more in {'W_Q W_K^T' if scores else 'W_V W_O'}"
    shown = f"{seed}/{index} layer {layer} head {head}: {what}"
    return Subject(shown, without_read_out(changed), DOMAIN, before=without_read_out(changed))


def _with_heads(seed: int, index: int) -> Transformer:
    programs = (sample_program(seed, 30_000_000 + TRIED * index + n) for n in range(TRIED))
    models = (compiled_rows(program, DOMAIN, causal=False) for program in programs)
    return next(model for model in models if model.W_Q.any())


def _with_changed_entry(
    model: Transformer, layer: int, head: int, rng: Rng, *, scores: bool, amount: float
) -> Transformer:
    """One entry of a head's product is changed; its factors have a dimension to spare."""
    first, second = ("W_Q", "W_K") if scores else ("W_V", "W_O")
    product = _factor(model, first, layer, head) @ _factor(model, second, layer, head).T
    place = rng.integers(model.d_model, size=2)
    product[tuple(place)] += amount
    u, sizes, vt = np.linalg.svd(product)
    kept = slice(0, model.d_head)
    arrays = {name: getattr(model, name).copy() for name in (first, second)}
    arrays[first][layer, head] = u[:, kept] * sizes[kept]
    arrays[second][layer, head] = vt[kept].T if scores else vt[kept]
    return model.replace(**arrays)


def _factor(model: Transformer, name: str, layer: int, head: int) -> npt.NDArray[np.float64]:
    array = getattr(model, name)[layer, head].astype(np.float64)
    return np.asarray(array.T if name == "W_O" else array)
