"""The forward pass, one function a part, with TransformerLens' hook points in it.

A hook point is a named place in the computation. `Hooks` sees every value at the
points that it wants and may give another back, so that one pass serves for running,
tracing and patching. Axes: B inputs, T positions, H heads, K = d_head, D = d_model,
M neurons, O outputs.

What makes it fast: many inputs run in groups whose arrays stay in the processor's cache, a
product is one call for all positions, and arrays that nobody else has are changed in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from untracr.network.activations import activated, scale_of, with_gain
from untracr.network.architecture import PositionTable, Rotary
from untracr.network.network import Array, Attention, Mlp, Network, Norm

Ids = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Hooks(Protocol):
    """What watches a forward pass, or changes it."""

    def wants(self, point: str) -> bool:
        """Whether `at` is to be called for a hook point."""

    def at(self, point: str, value: Array) -> Array:
        """What goes on in place of a value; the value itself if nothing is changed."""


def checked_ids(network: Network, token_ids: npt.ArrayLike) -> Ids:
    """Token ids as an array [B, T].

    Raises:
        ValueError: they are no such array of whole numbers, an id is none of W_E's rows,
            or an input is empty or longer than the positions.
    """
    ids = np.asarray(token_ids)
    longest = network.n_positions
    if ids.ndim != 2 or not ids.shape[1] or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(
            f"token ids must be whole numbers [inputs, positions], not {ids.dtype} of shape "
            f"{list(ids.shape)}"
        )
    if longest is not None and ids.shape[1] > longest:
        raise ValueError(f"an input may have at most {longest} positions, not {ids.shape[1]}")
    wrong = (ids < 0) | (ids >= network.n_tokens)
    if wrong.any():
        raise ValueError(f"token ids must be 0 to {network.n_tokens - 1}, not {ids[wrong][0]}")
    return ids.astype(np.int64, copy=False)


def forward(network: Network, ids: Ids, hooks: Hooks | None = None) -> Array:
    """Runs a network. Without hooks many inputs run in groups of `inputs_at_once`.

    Args:
        network: its weights, in float32 or float64.
        ids: [B, T] token ids that `checked_ids` has passed.
        hooks: called at each hook point that it wants.

    Returns:
        [B, T, O] logits; without a read-out [B, T, D], the (normalised) final stream.
    """
    group = len(ids) if hooks is not None else inputs_at_once(network, ids.shape[1])
    if len(ids) > group:
        parts = [forward(network, ids[i : i + group]) for i in range(0, len(ids), group)]
        return np.concatenate(parts)
    with np.errstate(over="ignore", invalid="ignore"):  # huge weights give what is not finite
        stream = embedded(network, ids, hooks)
        mask = attention_mask(network, ids)
        for step in steps(network):
            stream = through(network, step, stream, mask, hooks)
        return stream


LARGEST_ARRAY = 2**18
"""Numbers of the largest array of a group of inputs: 1 MB, in a second-level cache with others."""


def inputs_at_once(network: Network, length: int) -> int:
    """How many inputs of a length run at a time: as many as give no array above `LARGEST_ARRAY`."""
    heads = [layer.attention.W_Q.shape for layer in network.layers]
    neurons = [layer.mlp.W_in.shape[1] for layer in network.layers if layer.mlp is not None]
    widest = max(*(max(H * length, 3 * H * K) for H, _, K in heads), network.d_model, *neurons)
    return max(1, LARGEST_ARRAY // (length * int(widest)))


@dataclass(frozen=True)
class Heads:
    """The half-layer of a layer's heads."""

    layer: int


@dataclass(frozen=True)
class Neurons:
    """The half-layer of a layer's neurons."""

    layer: int


@dataclass(frozen=True)
class ReadOut:
    """What makes logits of the last stream."""


Step = Heads | Neurons | ReadOut
"""A part of the forward pass from one stream [B, T, D] to the next, or to the logits."""


def steps(network: Network) -> tuple[Step, ...]:
    """The steps after the embedding, in the order in which they run."""
    halves: list[Step] = []
    for number, layer in enumerate(network.layers):
        halves += [Heads(number)] if layer.mlp is None else [Heads(number), Neurons(number)]
    return (*halves, ReadOut())


def embedded(network: Network, ids: Ids, hooks: Hooks | None) -> Array:
    """[B, T, D], the stream before the first layer."""
    stream = _at(hooks, "hook_embed", network.W_E[ids])
    match network.architecture.positions:
        case PositionTable(first):
            assert network.W_pos is not None
            rows = network.W_pos[first : first + ids.shape[1]]
            if _wanted(hooks, "hook_pos_embed"):
                rows = np.broadcast_to(rows, stream.shape)
            return stream + _at(hooks, "hook_pos_embed", rows)
        case _:
            return stream


def attention_mask(network: Network, ids: Ids) -> Mask | None:
    """Which position may attend to which, [1 or B, 1, T, T]; None where all may to all."""
    T = ids.shape[1]
    mask = None
    if network.architecture.causal:
        mask = np.tril(np.ones((T, T), dtype=bool))[None, None]
    if network.architecture.masked_token is not None:
        seen = (ids != network.architecture.masked_token)[:, None, None, :]
        mask = seen & (np.ones((1, 1, T, 1), dtype=bool) if mask is None else mask)
    return mask


def through(
    network: Network, step: Step, stream: Array, mask: Mask | None, hooks: Hooks | None
) -> Array:
    """One step: the next stream [B, T, D] of the one before, or the logits [B, T, O].

    A stream that leaves a layer is hooked (``hook_resid_post``) by the step that reads it,
    so that whoever keeps the streams between steps keeps them as they were before any hook.
    """
    match step:
        case Heads(number):
            return _through_heads(network, number, stream, mask, hooks)
        case Neurons(number):
            return _through_neurons(network, number, stream, hooks)
        case ReadOut():
            return _read_out(network, stream, hooks)


def _through_heads(
    network: Network, number: int, stream: Array, mask: Mask | None, hooks: Hooks | None
) -> Array:
    layer, block = network.layers[number], f"blocks.{number}"
    stream = _from_layer(number - 1, stream, hooks)
    stream = _at(hooks, f"{block}.hook_resid_pre", stream)
    normed = _normalised(network, layer.ln1, stream, f"{block}.ln1", hooks)
    added = _attended(network, layer.attention, normed, mask, f"{block}.attn", hooks)
    return stream + _at(hooks, f"{block}.hook_attn_out", added)


def _through_neurons(network: Network, number: int, stream: Array, hooks: Hooks | None) -> Array:
    layer, block = network.layers[number], f"blocks.{number}"
    assert layer.mlp is not None
    stream = _at(hooks, f"{block}.hook_resid_mid", stream)
    normed = _normalised(network, layer.ln2, stream, f"{block}.ln2", hooks)
    added = _neurons(network, layer.mlp, normed, f"{block}.mlp", hooks)
    return stream + _at(hooks, f"{block}.hook_mlp_out", added)


def _read_out(network: Network, stream: Array, hooks: Hooks | None) -> Array:
    """Logits [B, T, O] of the last stream, or it normalised where no read-out is known."""
    stream = _from_layer(network.n_layers - 1, stream, hooks)
    normed = _normalised(network, network.ln_final, stream, "ln_final", hooks)
    if network.W_U is None:
        return normed
    return affine(normed, network.W_U, network.b_U)


def _from_layer(number: int, stream: Array, hooks: Hooks | None) -> Array:
    return stream if number < 0 else _at(hooks, f"blocks.{number}.hook_resid_post", stream)


def _wanted(hooks: Hooks | None, point: str) -> bool:
    return hooks is not None and hooks.wants(point)


def _at(hooks: Hooks | None, point: str, value: Array) -> Array:
    """A value as it goes on from a hook point."""
    return hooks.at(point, value) if hooks is not None and hooks.wants(point) else value


def _normalised(
    network: Network, weights: Norm, stream: Array, point: str, hooks: Hooks | None
) -> Array:
    norm = network.architecture.norm
    if norm is None:
        return stream
    centred, scale = scale_of(norm, stream)
    normed = centred / _at(hooks, f"{point}.hook_scale", scale)
    # TransformerLens 3 and 4 hook what is normalised before the gain; 2 did so behind it.
    return with_gain(weights, _at(hooks, f"{point}.hook_normalized", normed))


def _attended(
    network: Network,
    heads: Attention,
    normed: Array,
    mask: Mask | None,
    point: str,
    hooks: Hooks | None,
) -> Array:
    """What the heads add to the stream, [B, T, D]."""
    B, T, _ = normed.shape
    H, _, K = heads.W_Q.shape
    weights, biases = heads.joined
    joined = affine(normed, weights, biases).reshape(B, T, 3, H, K)
    query, key, value = (
        _at(hooks, f"{point}.hook_{name}", joined[:, :, i]) for i, name in enumerate("qkv")
    )
    if isinstance(network.architecture.positions, Rotary):
        rotary = network.architecture.positions
        query = _at(hooks, f"{point}.hook_rot_q", turned(rotary, query))
        key = _at(hooks, f"{point}.hook_rot_k", turned(rotary, key))
    # scores[b, h, t, s] = q[b, t, h] / divisor . k[b, s, h]: fewer numbers to divide than scores
    scaled = query / query.dtype.type(heads.divisor)
    scores: Array = scaled.transpose(0, 2, 1, 3) @ key.transpose(0, 2, 3, 1)
    if (allowed := _within(mask, heads.window, T)) is not None:
        np.copyto(scores, scores.dtype.type(-np.inf), where=~allowed)
    scores = _at(hooks, f"{point}.hook_attn_scores", scores)
    pattern = _at(hooks, f"{point}.hook_pattern", softmax(scores))
    z: Array = (pattern @ value.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)  # [B, T, H, K]
    z = _at(hooks, f"{point}.hook_z", z)
    if _wanted(hooks, f"{point}.hook_result"):
        result = np.einsum("bthk,hkd->bthd", z, heads.W_O)
        summed: Array = _at(hooks, f"{point}.hook_result", result).sum(axis=2)
        return summed + heads.b_O
    return affine(z.reshape(B, T, H * K), heads.W_O.reshape(H * K, -1), heads.b_O)


def affine(x: Array, weights: Array, biases: Array | None) -> Array:
    """``x @ weights + biases`` of [B, T, n] as one product of matrices, not one for each input."""
    product: Array = x.reshape(-1, x.shape[-1]) @ weights
    if biases is not None:
        product += biases
    return product.reshape(*x.shape[:-1], product.shape[-1])


def _within(mask: Mask | None, window: int | None, length: int) -> Mask | None:
    """A mask with what lies further back than a window left out."""
    if window is None or window >= length:
        return mask
    near = np.arange(length)[:, None] - np.arange(length) < window
    return near[None, None] if mask is None else mask & near


def softmax(scores: Array) -> Array:
    """Softmax over the last axis; zeros where every score is minus infinity."""
    largest = scores.max(axis=-1, keepdims=True)
    if (nothing := np.isneginf(largest)).any():
        largest = np.where(nothing, scores.dtype.type(0), largest)
    pattern: Array = scores - largest
    np.exp(pattern, out=pattern)
    # A product with ones adds up short rows several times as fast as a sum along them.
    total = (pattern @ np.ones(pattern.shape[-1], dtype=pattern.dtype))[..., None]
    total[nothing] = 1
    pattern /= total
    return pattern


def turned(rotary: Rotary, heads: Array) -> Array:
    """Queries or keys [B, T, H, K] turned by their positions' angles (Su et al., 2021, eq. 15)."""
    half = rotary.dimensions // 2
    # angle[t, j] = (first + t) * base ** (-j / half)
    frequency = rotary.base ** (-np.arange(half) / half)
    angles = np.outer(rotary.first + np.arange(heads.shape[1]), frequency)[:, None, :]
    cos, sin = np.cos(angles).astype(heads.dtype), np.sin(angles).astype(heads.dtype)
    if rotary.adjacent:
        first, second = slice(0, rotary.dimensions, 2), slice(1, rotary.dimensions, 2)
    else:
        first, second = slice(0, half), slice(half, rotary.dimensions)
    result = heads.copy()
    a, b = heads[..., first], heads[..., second]
    result[..., first] = a * cos - b * sin
    result[..., second] = b * cos + a * sin
    return result


def _neurons(network: Network, mlp: Mlp, normed: Array, point: str, hooks: Hooks | None) -> Array:
    """What the neurons add to the stream, [B, T, D]."""
    act = network.architecture.activation
    if mlp.W_gate is None:
        before = _at(hooks, f"{point}.hook_pre", affine(normed, mlp.W_in, mlp.b_in))
        after = activated(act, before)
    else:
        gate = _at(hooks, f"{point}.hook_pre", affine(normed, mlp.W_gate, None))
        linear = _at(hooks, f"{point}.hook_pre_linear", affine(normed, mlp.W_in, None))
        after = activated(act, gate) * linear + mlp.b_in
    return affine(_at(hooks, f"{point}.hook_post", after), mlp.W_out, mlp.b_out)
