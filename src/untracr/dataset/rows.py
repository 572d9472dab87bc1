"""One row of a data set: a program, its weights, and all that is known of them.

A row is a pure function of the settings and the index at which its program was
drawn, to the last bit on one machine. (Compressions rest on LAPACK, which on
processors of another kind may choose another basis, and rotations may differ in
the last bit.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from untracr import strict_json
from untracr.compile.canonical import canonicalise, paper_tokens, program_from_paper_tokens
from untracr.compile.compiler import compile_program
from untracr.dataset.drawing import Drawn, drawn_program
from untracr.dataset.settings import DatasetSettings
from untracr.errors import DatasetError
from untracr.loading.model_document import output_values
from untracr.rasp.domain import Domain
from untracr.rasp.program import Program, print_program
from untracr.rasp.values import Value
from untracr.sample.deduplication import program_key
from untracr.sample.fingerprint import fingerprint
from untracr.shown_text import shown
from untracr.transformer.transformer import ARRAY_NAMES, Array, Transformer
from untracr.version import __version__

Row = dict[str, Any]

COMPILED = "compiled"
"""The name of no treatment, as elsewhere on the command line."""


def row_of(settings: DatasetSettings, drawn: Drawn, program: Program) -> Row:
    """The row of a drawn program; ``program`` is what its tokens say."""
    domain = settings.other_domains.draw(settings.seed, drawn.index) or settings.sampler.domain
    return _row(settings, program, domain, drawn)


def row_at(settings: DatasetSettings, index: int) -> Row:
    """The row of what the stream holds at an index, from nothing but that.

    Raises:
        DatasetError: the program there has no fingerprint, so that it is in no data set.
    """
    program, domain = drawn_program(settings, index)
    behaviour = fingerprint(program, settings.behaviour_domain)
    if behaviour is None:
        raise DatasetError(f"the program at index {index} fails on some input")
    tokens = paper_tokens(program)
    return _row(settings, program, domain, Drawn(index, program_key(program), behaviour, tokens))


def _row(settings: DatasetSettings, program: Program, domain: Domain, drawn: Drawn) -> Row:
    compiled = compile_program(program, domain.vocab, domain.max_seq_len)
    name = settings.treatments.name(settings.seed, drawn.index)
    treated = settings.treatments.treat(compiled.transformer, settings.seed, drawn.index)
    model = treated.model
    values = model.output_values
    return {
        "seed": settings.seed,
        "index": drawn.index,
        "split": settings.split_of(drawn.behaviour),
        "program": print_program(program),
        "tokens": drawn.tokens,
        "length": program.length,
        "n_layers": model.n_layers,
        "n_parameters": model.n_parameters,
        "treatment": name or COMPILED,
        "treatment_size": treated.size,
        "vocab": list(domain.vocab),
        "max_seq_len": domain.max_seq_len,
        "causal": model.causal,
        "output_values": None if values is None else json.dumps(values),
        "key": drawn.key.hex(),
        "behaviour": drawn.behaviour.hex(),
        "compiler_version": __version__,
        "layout": layout(model),
        "weights": flat_weights(model),
    }


def layout(model: Transformer) -> list[dict[str, Any]]:
    """Names and shapes of the arrays in the order of `flat_weights`."""
    return [{"name": name, "shape": list(array.shape)} for name, array in _arrays(model)]


def flat_weights(model: Transformer) -> Array:
    """All weights, one array after the other, each row by row."""
    return np.concatenate([array.ravel() for _, array in _arrays(model)])


def _arrays(model: Transformer) -> list[tuple[str, Array]]:
    found = [(name, getattr(model, name)) for name in ARRAY_NAMES]
    return found if model.W_U is None else [*found, ("W_U", model.W_U)]


def cut_weights(weights: Array, layout: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
    """The arrays that a row's weights are made of.

    Args:
        weights: [n], the row's weights, as any sequence of numbers.
        layout: the row's layout: a name and a shape for each array.

    Raises:
        DatasetError: there are more or fewer weights than the layout tells.
    """
    flat = np.asarray(weights, dtype=np.float32)
    sizes = [int(np.prod(entry["shape"], dtype=np.int64)) for entry in layout]
    if sum(sizes) != len(flat):
        raise DatasetError(f"the layout tells {sum(sizes):,} weights, and there are {len(flat):,}")
    parts = np.split(flat, np.cumsum(sizes)[:-1])
    return {
        str(entry["name"]): part.reshape([int(size) for size in entry["shape"]])
        for entry, part in zip(layout, parts, strict=True)
    }


def transformer_of(row: Mapping[str, Any]) -> Transformer:
    """The model of a row.

    Args:
        row: with ``weights``, ``layout``, ``causal`` and ``output_values``, from
            whatever read the file.

    Raises:
        DatasetError: the weights do not fit the layout.
        ModelFileError: they are no model's.
    """
    arrays = cut_weights(row["weights"], row["layout"])
    missing = [name for name in ARRAY_NAMES if name not in arrays]
    if missing or set(arrays) - {*ARRAY_NAMES, "W_U"}:
        raise DatasetError(f"a row's arrays must be those of a model, not {', '.join(arrays)}")
    values = row["output_values"]  # where there are none, pandas has NaN
    return Transformer(
        **arrays,
        causal=bool(row["causal"]),
        output_values=_output_values(values) if isinstance(values, str) else None,
    ).validate()


def _output_values(text: str) -> tuple[Value, ...]:
    try:
        values = strict_json.parse_json(text)
    except ValueError as error:
        raise DatasetError(f"a row's output_values must be JSON: {error}") from None
    if not isinstance(values, list):
        raise DatasetError(f"a row's output_values must be a list, not {shown(values)}")
    return output_values(values)


def domain_of(row: Mapping[str, Any]) -> Domain:
    """The inputs that a row's program was compiled for."""
    return Domain(tuple(int(token) for token in row["vocab"]), int(row["max_seq_len"]))


def program_of(tokens: Sequence[str]) -> Program:
    """The program that a row's tokens say.

    Raises:
        ProgramError: they say none.
    """
    return canonicalise(program_from_paper_tokens(tokens))
