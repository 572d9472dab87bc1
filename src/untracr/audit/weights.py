"""Whether two models hold the same weights up to the symmetries, by Gram matrices.

A rotation of the residual stream leaves all products of two of its vectors as
they are, and nothing else does: models of one width are the same up to a
rotation if and only if the products of all pairs are. So the rotation need not
be known, and nothing here rests on how the decompiler finds and judges one
(`untracr.verify.weight_equivalence`). A head is W_Q W_K^T and W_V W_O, each divided by
what the architecture divides it by; how these turn a few mixtures of the vectors
is asked like the vectors themselves, and nothing may lie aside of them. Where the
order of heads and neurons differs, the decompiler's is taken: whoever names an
order that fits shows that there is one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.transformer.transformer import Transformer
from untracr.verify.weight_equivalence import same_weights

Floats = npt.NDArray[np.float64]

EXACT = 1e-9
"""Products of weights that were only reordered differ by no more than this share of the lengths."""

ROTATED = 1e-6
"""Those of weights rotated in double precision and rounded to single."""

ROUNDED = 2.5e-7
"""Two units of single precision: by this share of it, or of 1, a weight may be rounded another
way."""

TURNED = 30.0
"""Products of heads are of numbers that were rounded one by one, in whatever inner basis they
were: they may be off by this many times as much."""

NOTHING = 1e-6
"""Parts all of whose weights are below this do nothing."""

BIASES = ("b_Q", "b_K", "b_V", "b_O", "b_in", "b_out")


def weights_differ(given: Transformer, compiled: Transformer, tolerance: float) -> str:
    """Why two models are not the same up to rotation and order; empty if they are.

    Args:
        given: the model.
        compiled: a program's weights, of the same order of tokens.
        tolerance: by how much a product may differ, relative to the product of the
            vectors' lengths, each at least 1: `EXACT` or `ROTATED`.
    """
    for name in ("d_model", "causal"):
        if getattr(given, name) != getattr(compiled, name):
            return f"{name} is {getattr(given, name)}, not {getattr(compiled, name)}"
    if given.W_E.shape != compiled.W_E.shape or given.W_pos.shape != compiled.W_pos.shape:
        return "the numbers of tokens or positions differ"
    for name in BIASES:
        if np.any(getattr(given, name)):
            return f"{name} is not zero"
    layers = max(given.n_layers, compiled.n_layers)
    theirs, mine = _Living.of(given, layers), _Living.of(compiled, layers)
    reason = _products_differ(theirs, mine, tolerance)
    if not reason:
        return ""
    equivalence = same_weights(given, compiled)
    if not equivalence.same:
        return reason
    ordered = theirs.in_order(equivalence.heads, equivalence.neurons)
    return _products_differ(ordered, mine, tolerance)


def rounded_alike(given: Transformer, compiled: Transformer) -> bool:
    """Whether two models of one shape and order differ in the rounding of weights at most."""
    theirs, mine = given.arrays(), compiled.arrays()
    if given.causal != compiled.causal or any(theirs[n].shape != a.shape for n, a in mine.items()):
        return False
    for name, array in mine.items():
        exact = array.astype(np.float64)
        if not (np.abs(theirs[name] - exact) <= ROUNDED * np.maximum(1.0, np.abs(exact))).all():
            return False
    return True


@dataclass(frozen=True)
class _Living:
    """All parts of a model that do anything.

    Attributes:
        embeddings: [rows, D].
        heads: of each layer, by number, scores and what is moved, [D, D] each.
        neurons: of each layer, by number, what is read and written, [2, D].
    """

    embeddings: Floats
    heads: tuple[dict[int, tuple[Floats, Floats]], ...]
    neurons: tuple[dict[int, Floats], ...]

    @classmethod
    def of(cls, model: Transformer, layers: int) -> _Living:
        heads: list[dict[int, tuple[Floats, Floats]]] = [{} for _ in range(layers)]
        neurons: list[dict[int, Floats]] = [{} for _ in range(layers)]
        exact = {n: a.astype(np.float64) for n, a in model.arrays().items()}
        for layer in range(model.n_layers):
            for h in range(model.n_heads):
                scores = exact["W_Q"][layer, h] @ exact["W_K"][layer, h].T
                pair = (
                    scores / np.sqrt(model.d_head),
                    exact["W_V"][layer, h] @ exact["W_O"][layer, h],
                )
                if max(np.abs(p).max(initial=0.0) for p in pair) > NOTHING:
                    heads[layer][h] = pair
            for n in range(model.d_mlp):
                neuron = np.stack([exact["W_in"][layer][:, n], exact["W_out"][layer][n]])
                if np.abs(neuron).max() > NOTHING:
                    neurons[layer][n] = neuron
        embeddings = np.concatenate([exact["W_E"], exact["W_pos"]])
        return cls(embeddings, tuple(heads), tuple(neurons))

    def in_order(
        self, heads: tuple[npt.NDArray[np.int64], ...], neurons: tuple[npt.NDArray[np.int64], ...]
    ) -> _Living:
        """The parts in an order of their numbers."""
        return _Living(
            self.embeddings,
            tuple({h: d[h] for h in o.tolist()} for d, o in zip(self.heads, heads, strict=False)),
            tuple(
                {n: d[n] for n in o.tolist()} for d, o in zip(self.neurons, neurons, strict=False)
            ),
        )

    @property
    def counts(self) -> list[tuple[int, int]]:
        pairs = zip(self.heads, self.neurons, strict=True)
        return [(len(heads), len(neurons)) for heads, neurons in pairs]

    def rows(self) -> Floats:
        """All vectors that are no head's, [n, D]."""
        neurons = [neuron for layer in self.neurons for neuron in layer.values()]
        return np.concatenate([self.embeddings, *neurons])

    def turned(self, mixtures: Floats) -> tuple[Floats, Floats]:
        """Mixtures [k, D] as heads turn them, [vectors, D], and the heads' own lengths."""
        vectors, lengths = [mixtures], []
        for scores, moved in (pair for layer in self.heads for pair in layer.values()):
            out = mixtures @ moved
            vectors += [mixtures @ scores, mixtures @ scores.T, out, out @ moved.T]
            lengths += [np.linalg.norm(scores), np.linalg.norm(moved)]
        return np.concatenate(vectors), np.array(lengths)


def _products_differ(theirs: _Living, mine: _Living, tolerance: float) -> str:
    for layer, (given, ours) in enumerate(zip(theirs.counts, mine.counts, strict=False)):
        if given != ours:
            return f"layer {layer} has {given} heads and neurons, not {ours}"
    given_rows, rows = theirs.rows(), mine.rows()
    if not np.isfinite(given_rows).all():
        return "a weight is not finite"
    reason = _gram_differs(given_rows, rows, tolerance)
    if reason:
        return reason
    draw = np.random.default_rng(0).standard_normal((2 * rows.shape[1] + 8, len(rows)))
    draw /= np.maximum(1.0, np.linalg.norm(rows, axis=1))  # a long vector hides no short one
    mixing = draw / np.linalg.norm(draw @ rows, axis=1, keepdims=True)
    given_turned, given_lengths = theirs.turned(mixing @ given_rows)
    turned, lengths = mine.turned(mixing @ rows)
    if not np.isfinite(given_turned).all():
        return "a head is not finite"
    worst = np.abs(given_lengths - lengths) / np.maximum(1.0, lengths)
    if worst.max(initial=0.0) > TURNED * tolerance:
        return f"the length of a head's product differs by {worst.max():.1e} of it"
    return _gram_differs(given_turned, turned, TURNED * tolerance)


def _gram_differs(given: Floats, compiled: Floats, tolerance: float) -> str:
    sizes = np.linalg.norm(compiled, axis=1)
    worst = np.abs(np.linalg.norm(given, axis=1) - sizes) / np.maximum(1.0, sizes)
    if worst.max() > tolerance:
        return f"the length of a vector differs by {worst.max():.1e} of it"
    some = (sizes > 0) | (given != 0).any(axis=1)
    given, compiled = given[some], compiled[some]
    lengths = np.maximum(1.0, sizes[some])
    off = np.abs(given @ given.T - compiled @ compiled.T) / (lengths[:, None] * lengths)
    if off.max() > tolerance:
        return f"the product of two vectors differs by {off.max():.1e} of their lengths"
    return ""
