"""The network's forward pass in plain NumPy: decompiling needs no torch.

Tokens are fed one at a time and keys and values of earlier ones are kept, so a
program costs a few milliseconds. The logits equal those of `network` (tested).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from untracr.errors import ModelFileError
from untracr.loading.safetensors_format import declared_shape, read_tensors
from untracr.metamodel.checkpoint_file import network_sizes, read_checkpoint, read_state
from untracr.metamodel.features import INTEGER_SIZES, N_NUMBERS, Features
from untracr.metamodel.vocabulary import FIRST_SLOT, MAX_FIELDS, N_SLOTS, SIZE
from untracr.read.operations import MAX_OPERATIONS
from untracr.shown_text import printable
from untracr.transformer.transformer import Array


@dataclass(frozen=True)
class TokenPlace:
    """Where a token stands: its operation's number in the half-layer, and its field."""

    ordinal: int
    field: int


@dataclass(frozen=True)
class _Layer:
    self_in: Array  # query, key and value side by side
    self_out: Array
    component_query: Array
    component_key_value: Array
    component_out: Array
    hidden: tuple[Array, Array]
    out: tuple[Array, Array]


class NumpyNetwork:
    """A trained network, ready to read models.

    Args:
        weights: the network's arrays by their torch names.
        config: ``width``, ``layers`` and ``heads``.

    Raises:
        ModelFileError: an array is missing or has a wrong shape.
    """

    def __init__(self, weights: Mapping[str, Array], config: Mapping[str, int]) -> None:
        self.width, self.heads = config["width"], config["heads"]
        _check(weights, config)

        def linear(name: str) -> tuple[Array, Array]:
            return np.ascontiguousarray(weights[f"{name}.weight"].T), weights[f"{name}.bias"]

        def stacked(*names: str) -> Array:
            return np.ascontiguousarray(np.concatenate([weights[f"{n}.weight"] for n in names]).T)

        self._embed = [weights[f"encoder.embed.{i}.weight"] for i in range(len(INTEGER_SIZES))]
        self._number_in = linear("encoder.number_in")
        self._encoder_ordinal = weights["encoder.ordinal.weight"]
        self._encoder_hidden = linear("encoder.hidden")
        self._encoder_out = linear("encoder.out")
        self._token = weights["token.weight"]
        self._ordinal = weights["ordinal.weight"]
        self._field = weights["field.weight"]
        self._turn = stacked("turn")
        self._logits = linear("logits")
        self._point = linear("point")
        self._layers = [
            _Layer(
                stacked(*(f"layers.{i}.attend_self.{n}" for n in ("query", "key", "value"))),
                stacked(f"layers.{i}.attend_self.out"),
                stacked(f"layers.{i}.attend_components.query"),
                stacked(*(f"layers.{i}.attend_components.{n}" for n in ("key", "value"))),
                stacked(f"layers.{i}.attend_components.out"),
                linear(f"layers.{i}.hidden"),
                linear(f"layers.{i}.out"),
            )
            for i in range(config["layers"])
        ]

    def __repr__(self) -> str:
        return f"<NumpyNetwork: {len(self._layers)} layers of width {self.width}>"

    @classmethod
    def load(cls, path: Path) -> NumpyNetwork:
        """Reads a released checkpoint (16-bit safetensors) or a training checkpoint.

        Raises:
            ModelFileError: the file is missing or is no checkpoint of ours.
        """
        data = read_checkpoint(path)
        header, state = read_state(data, path)
        config = network_sizes(state, path)
        wanted = expected_shapes(config)
        try:
            for name in wanted:
                _require_shape(name, header, wanted[name])
            found = read_tensors(data, {f"model.{name}" for name in wanted})
        except ModelFileError as error:
            raise ModelFileError(f"{printable(path)}: {error}") from None
        return cls({name: found[f"model.{name}"] for name in wanted}, config)

    def start(self) -> Decoding:
        """Begins to write the program of one model."""
        return Decoding(self)

    def encode(self, features: Features) -> Array:
        """The vectors of one step's components, [components, width]."""
        count = len(features.integers)
        x = features.numbers @ self._number_in[0] + self._number_in[1]
        for place, table in enumerate(self._embed):
            x = x + table[features.integers[:, place]]
        x = x + self._encoder_ordinal[np.minimum(np.arange(count), MAX_OPERATIONS)]
        hidden = np.maximum(norm(x) @ self._encoder_hidden[0] + self._encoder_hidden[1], 0.0)
        return np.asarray(x + hidden @ self._encoder_out[0] + self._encoder_out[1])

    def embed(self, token: int, place: TokenPlace, turn: Array | None) -> Array:
        """The input vector of one token, [width]."""
        x = self._token[token] + self._field[place.field]
        x = x + self._ordinal[min(place.ordinal, MAX_OPERATIONS + 1)]
        return x if turn is None else np.asarray(x + turn @ self._turn)


class Decoding:
    """The state of writing one program: component vectors, and keys and values so far."""

    def __init__(self, network: NumpyNetwork) -> None:
        self._network = network
        empty = np.zeros((0, network.width), dtype=np.float32)
        layers = range(len(network._layers))
        self._keys = [empty for _ in layers]
        self._values = [empty for _ in layers]
        self._component_keys = [empty for _ in layers]
        self._component_values = [empty for _ in layers]
        self._current = empty
        self._reads = np.zeros((0, 3), dtype=np.int64)

    def __repr__(self) -> str:
        return f"<Decoding: {len(self._reads)} components>"

    def branch(self) -> Decoding:
        """A copy that goes on from here; what was fed is shared, since arrays are never changed."""
        copy = Decoding(self._network)
        copy._keys, copy._values = list(self._keys), list(self._values)
        copy._component_keys = list(self._component_keys)
        copy._component_values = list(self._component_values)
        copy._current, copy._reads = self._current, self._reads
        return copy

    def see(self, features: Features) -> None:
        """Shows the components of the next step."""
        network = self._network
        self._current = network.encode(features)
        self._reads = features.integers[:, 1:4]
        memory = norm(self._current)
        for number, layer in enumerate(network._layers):
            key, value = np.split(memory @ layer.component_key_value, 2, axis=1)
            self._component_keys[number] = np.concatenate([self._component_keys[number], key])
            self._component_values[number] = np.concatenate([self._component_values[number], value])

    def feed(self, token: int, place: TokenPlace) -> Array:
        """Feeds one token; returns the logits of the next, [SIZE]."""
        network = self._network
        turn = self._current[place.ordinal] if place.ordinal < len(self._current) else None
        x = network.embed(token, place, turn)
        for number, layer in enumerate(network._layers):
            query, key, value = np.split(norm(x) @ layer.self_in, 3)
            self._keys[number] = np.concatenate([self._keys[number], key[None]])
            self._values[number] = np.concatenate([self._values[number], value[None]])
            x = x + self._attend(query, self._keys[number], self._values[number]) @ layer.self_out
            query = norm(x) @ layer.component_query
            keys, values = self._component_keys[number], self._component_values[number]
            x = x + self._attend(query, keys, values) @ layer.component_out
            hidden = np.maximum(norm(x) @ layer.hidden[0] + layer.hidden[1], 0.0)
            x = x + hidden @ layer.out[0] + layer.out[1]
        y = norm(x)
        logits = y @ network._logits[0] + network._logits[1]
        if turn is not None:
            scores = y @ network._point[0] + network._point[1]
            for score, slot in zip(scores, self._reads[place.ordinal].tolist(), strict=True):
                if slot < N_SLOTS:
                    logits[FIRST_SLOT + slot] += score
        return np.asarray(logits)

    def _attend(self, query: Array, keys: Array, values: Array) -> Array:
        heads = self._network.heads
        size = len(query) // heads
        q = query.reshape(heads, size, 1)
        k = keys.reshape(-1, heads, size).transpose(1, 0, 2)
        v = values.reshape(-1, heads, size).transpose(1, 0, 2)
        scores = (k @ q)[:, :, 0] / np.float32(np.sqrt(size))
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        mixed: Array = (weights[:, None] @ v).reshape(-1)
        return mixed


def norm(x: Array) -> Array:
    """Root-mean-square norm without weights."""
    return np.asarray(x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + np.float32(1e-6)))


def expected_shapes(config: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """The shape of every array of a network, by its torch name."""
    width = config["width"]
    shapes: dict[str, tuple[int, ...]] = {
        "token.weight": (SIZE, width),
        "ordinal.weight": (MAX_OPERATIONS + 2, width),
        "field.weight": (MAX_FIELDS, width),
        "turn.weight": (width, width),
        "encoder.ordinal.weight": (MAX_OPERATIONS + 1, width),
    }
    shapes |= {f"encoder.embed.{i}.weight": (n, width) for i, n in enumerate(INTEGER_SIZES)}
    linear = {
        "encoder.number_in": (width, N_NUMBERS),
        "encoder.hidden": (2 * width, width),
        "encoder.out": (width, 2 * width),
        "logits": (SIZE, width),
        "point": (3, width),
    }
    for layer in range(config["layers"]):
        for part in ("attend_self", "attend_components"):
            for name in ("query", "key", "value", "out"):
                shapes[f"layers.{layer}.{part}.{name}.weight"] = (width, width)
        linear[f"layers.{layer}.hidden"] = (4 * width, width)
        linear[f"layers.{layer}.out"] = (width, 4 * width)
    for name, shape in linear.items():
        shapes[f"{name}.weight"] = shape
        shapes[f"{name}.bias"] = shape[:1]
    return shapes


def _check(weights: Mapping[str, Array], config: Mapping[str, int]) -> None:
    for name, shape in expected_shapes(config).items():
        _require_same(name, weights[name].shape if name in weights else None, shape)


def _require_shape(name: str, header: Mapping[str, Any], shape: tuple[int, ...]) -> None:
    """Checks what a file declares, before its tensors are read."""
    entry = header.get(f"model.{name}")
    _require_same(name, None if entry is None else declared_shape(name, entry), shape)


def _require_same(name: str, found: tuple[int, ...] | None, wanted: tuple[int, ...]) -> None:
    if found != wanted:
        raise ModelFileError(
            f"a checkpoint for this version of the network needs {name} of shape "
            f"{list(wanted)}, not {'none' if found is None else list(found)}"
        )
