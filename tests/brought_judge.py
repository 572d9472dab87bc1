"""Judges answers on programs that people bring, by Tracr alone.

Nothing here is shared with what gives verdicts: the printed text is run as the
Python for Tracr that it is, compiled by Tracr and evaluated by Tracr's own
interpreter, and its model is laid beside the given one by what both compute.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from brought import Brought, SOp
from tracr_reference import fast_initialisation, reset_ids
from untracr.decompile.result import Result
from untracr.loading.compiled_file import save_model
from untracr.loading.haiku import transformer_from_haiku
from untracr.rasp.values import Value
from untracr.verify.evidence import PROVED

Floats = npt.NDArray[np.floating[Any]]

MANY = 400
"""Inputs on which outputs are compared; all of a domain that has no more."""

SOME = 60
"""Inputs on which the insides of two models are compared."""

CLOSE = 1e-3
"""Numbers may differ by this share of themselves, or of 1."""


@dataclass(frozen=True)
class Compiled:
    """A program as Tracr compiles it.

    Attributes:
        brought: the program.
        sop: its live object.
        model: Tracr's.
        tokens: in the order of their rows.
    """

    brought: Brought
    sop: SOp
    model: Any
    tokens: tuple[Value, ...]


def compiled(brought: Brought) -> Compiled:
    """A program compiled by Tracr with its own settings."""
    from tracr.rasp import rasp

    reset_ids(rasp)
    sop = brought.build()
    model = _compile(sop, brought.vocab, brought)
    rows = model.input_encoder.encoding_map
    tokens = sorted((t for t in rows if t not in (brought.bos, brought.pad)), key=rows.get)
    return Compiled(brought, sop, model, tuple(tokens))


def _compile(sop: SOp, vocab: tuple[Value, ...], like: Brought) -> Any:
    from tracr.compiler import compiling

    with fast_initialisation():
        return compiling.compile_rasp_to_model(
            sop,
            set(vocab),
            like.max_seq_len,
            causal=like.causal,
            compiler_bos=like.bos,
            compiler_pad=like.pad,
            mlp_exactness=like.mlp_exactness,
        )


def save_weights(given: Compiled, path: Path) -> None:
    """Writes an npz file of the parameters under their own names, which says nothing else."""
    config = given.model.model_config
    arrays: dict[str, Any] = {"num_heads": config.num_heads, "causal": int(config.causal)}
    for module, parameters in given.model.params.items():
        arrays |= {f"{module}/{name}": np.asarray(array) for name, array in parameters.items()}
    np.savez(path, **arrays)


def save_with_read_out(given: Compiled, path: Path) -> None:
    """Writes a file of the weights and what Tracr reads out of them, token rows not named."""
    model = given.model
    params = {m: {n: np.asarray(a) for n, a in p.items()} for m, p in model.params.items()}
    config = model.model_config
    transformer = transformer_from_haiku(params, config.num_heads, config.causal)
    values = read_out_values(model)
    labels = [given.sop.label] if values is None else [f"{given.sop.label}:{v}" for v in values]
    places = [model.residual_labels.index(label) for label in labels]
    W_U = np.eye(len(model.residual_labels), dtype=np.float32)[:, places]
    save_model(path, transformer.replace(W_U=W_U, output_values=values))


def read_out_values(model: Any) -> tuple[Value, ...] | None:
    """What the columns of a read-out stand for; None for a number."""
    rows = getattr(model.output_encoder, "encoding_map", None)
    return None if rows is None else tuple(sorted(rows, key=rows.get))


def fault(given: Compiled, answer: Result, *, read_out: bool) -> str:
    """What is false about an answer shown as proved; empty if nothing was found.

    Args:
        given: the program that was compiled.
        answer: of its model.
        read_out: whether the model came with a read-out.
    """
    if answer.verdict not in PROVED:
        return ""
    try:
        sop = printed(answer.source)
        theirs = _compile(sop, answer.vocab, given.brought)
    except Exception as error:  # whatever it is: the text is no program
        return f"Tracr takes no such program: {type(error).__name__}: {error}"
    tokens = dict(zip(given.tokens, answer.vocab, strict=True))
    if answer.verdict == "identical":
        found = _weights_differ(given.model, theirs) or _insides_differ(given, theirs, tokens)
        if found:
            return found
    if not read_out:
        return ""
    return _outputs_differ(given, theirs, sop, tokens, departs=answer.departures > 0)


def printed(source: str) -> SOp:
    """The live object of a printed program: the value of its last line."""
    from tracr.rasp import rasp

    names: dict[str, Any] = {"rasp": rasp, **vars(rasp)}
    exec(source, names)
    return names[source.strip().splitlines()[-1].partition("=")[0].strip()]


def same_outputs(given: Compiled, sop: SOp, tokens: dict[Value, Value]) -> str:
    """How outputs are to those of the given program: ``same``, ``renamed`` or ``other``."""
    pairs = []
    for xs in inputs(given.tokens, given.brought.max_seq_len, MANY):
        left, right = _outputs(given.sop, xs), _outputs(sop, [tokens[x] for x in xs])
        if left is None or right is None:
            return "other"
        pairs += list(zip(left, right, strict=True))
    if all(alike(a, b) for a, b in pairs):
        return "same"
    names = {(_name(a), _name(b)) for a, b in pairs}
    one_to_one = len({a for a, _ in names}) == len(names) == len({b for _, b in names})
    return "renamed" if one_to_one else "other"


def _weights_differ(given: Any, theirs: Any) -> str:
    """Whether two models have other numbers anywhere, whatever the order."""
    if list(given.params) != list(theirs.params):
        return "the printed program has other layers"
    for module, parameters in given.params.items():
        for name, array in parameters.items():
            mine, other = np.asarray(array), np.asarray(theirs.params[module][name])
            if mine.shape != other.shape:
                return f"the printed program's {module}/{name} has shape {other.shape}"
            if not _all_close(np.sort(mine.ravel()), np.sort(other.ravel())):
                return f"the printed program's {module}/{name} has other numbers"
    return ""


def _insides_differ(given: Compiled, theirs: Any, tokens: dict[Value, Value]) -> str:
    """Whether two models' streams hold other numbers, whatever the order of axes."""
    bos = given.brought.bos
    drawn = sorted(inputs(given.tokens, given.brought.max_seq_len, SOME), key=len)
    for length, group in itertools.groupby(drawn, key=len):
        some = list(group)
        mine = streams(given.model, [[bos, *xs] for xs in some])
        other = streams(theirs, [[bos, *(tokens[x] for x in xs)] for xs in some])
        if not _all_close(np.sort(mine), np.sort(other)):
            return f"on inputs of {length} the printed program's stream holds other numbers"
    return ""


def streams(model: Any, sequences: list[list[Value]]) -> Floats:
    """The residual stream after each half-layer, [half-layer, input, position, axis]."""
    ids = np.array([model.input_encoder.encode(sequence) for sequence in sequences])
    params = {m: {n: np.asarray(a) for n, a in p.items()} for m, p in model.params.items()}
    stream = params["token_embed"]["embeddings"][ids]
    stream = stream + params["pos_embed"]["embeddings"][: ids.shape[1]]
    found = []
    for layer in range(model.model_config.num_layers):
        at = f"transformer/layer_{layer}"
        stream = stream + _attention(params, f"{at}/attn", stream, model.model_config)
        found.append(stream)
        hidden = np.maximum(_linear(params[f"{at}/mlp/linear_1"], stream), 0)
        stream = stream + _linear(params[f"{at}/mlp/linear_2"], hidden)
        found.append(stream)
    return np.array(found)


def _attention(params: Any, at: str, stream: Floats, config: Any) -> Floats:
    parts = [_linear(params[f"{at}/{name}"], stream) for name in ("query", "key", "value")]
    shape = (*stream.shape[:2], config.num_heads, -1)
    query, key, value = (part.reshape(shape).swapaxes(1, 2) for part in parts)
    scores = query @ key.swapaxes(2, 3) / np.sqrt(key.shape[-1])
    if config.causal:
        scores = np.where(np.tri(scores.shape[-1], dtype=bool), scores, -1e30)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = weights / weights.sum(axis=-1, keepdims=True) @ value
    joined = mixed.swapaxes(1, 2).reshape(*stream.shape[:2], -1)
    return _linear(params[f"{at}/linear"], joined)


def _linear(part: Any, stream: Floats) -> Floats:
    product: Floats = stream @ part["w"] + part["b"]
    return product


def _outputs_differ(
    given: Compiled, theirs: Any, sop: SOp, tokens: dict[Value, Value], *, departs: bool
) -> str:
    """An input on which an answer gives neither what the program gives nor the model.

    Args:
        given: the program that was compiled.
        theirs: Tracr's model of the printed one.
        sop: the printed program.
        tokens: the printed program's names of tokens.
        departs: whether the answer says that its own weights give something else
            somewhere; then it is right where these do as the model does.
    """
    for xs in inputs(given.tokens, given.brought.max_seq_len, MANY):
        renamed = [tokens[x] for x in xs]
        left, right = _outputs(given.sop, xs), _outputs(sop, renamed)
        if left is not None and right is not None and all(map(alike, left, right)):
            continue
        decoded = given.model.apply([given.brought.bos, *xs]).decoded[1:]
        if right is not None and all(map(alike, decoded, right)):
            continue
        own = theirs.apply([given.brought.bos, *renamed]).decoded[1:]
        if not departs or not all(map(alike, decoded, own)):
            return f"{xs} gives {right}, where the program gives {left} and the model {decoded}"
    return ""


def _outputs(sop: SOp, xs: list[Value]) -> list[Value] | None:
    try:
        return list(sop(xs))
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


def inputs(tokens: tuple[Value, ...], longest: int, most: int) -> Iterator[list[Value]]:
    """All inputs, or ``most`` different ones of every length, few tokens and many."""
    lengths = range(1, longest + 1)
    if sum(len(tokens) ** n for n in lengths) <= most:
        for n in lengths:
            yield from map(list, itertools.product(tokens, repeat=n))
        return
    rng = np.random.default_rng(7)
    seen: set[tuple[Value, ...]] = set()
    for number in range(8 * most):
        few = rng.permutation(len(tokens))[: 1 + number % len(tokens)]
        places = rng.choice(few, size=1 + (number // len(tokens)) % longest)
        drawn = tuple(tokens[place] for place in places)
        if drawn not in seen:
            seen.add(drawn)
            yield list(drawn)
        if len(seen) == most:
            return


def alike(a: object, b: object) -> bool:
    """Whether two values are the same, numbers up to rounding."""
    numbers = (bool, int, float)
    if isinstance(a, numbers) and isinstance(b, numbers):
        return abs(a - b) <= CLOSE * max(1.0, abs(a))
    return type(a) is type(b) and a == b


def _name(value: object) -> str:
    return f"{float(value):.6g}" if isinstance(value, (bool, int, float)) else repr(value)


def _all_close(a: Floats, b: Floats) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=CLOSE, atol=CLOSE))
