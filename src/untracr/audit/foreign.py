"""Models that no program was compiled to: random, spliced of two, or changed by hand.

Item ``index`` of a kind is a pure function of (seed, index). About half of
them have a read-out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from untracr.audit.claims import compiled_rows
from untracr.audit.subject import Subject
from untracr.sample.sampler import PAPER, sample_program
from untracr.transformer.controls import gaussian_weights, shuffle_weights
from untracr.transformer.transformer import ARRAY_NAMES, BIASES, Array, Transformer
from untracr.transformer.treatments import rotate

Rng = np.random.Generator

WITHOUT_BIASES = tuple(name for name in ARRAY_NAMES if name not in BIASES)
DOMAIN = PAPER.domain
PARTNERS = 30
"""Models among which one of the same shape is looked for, to be spliced."""


def compiled_sample(seed: int, index: int) -> Transformer:
    """Sampled program ``index`` of the stream ``seed``, compiled, with its read-out."""
    return compiled_rows(sample_program(seed, index), DOMAIN, causal=False)


def without_read_out(model: Transformer) -> Transformer:
    """The model as most files hold it."""
    return model.replace(W_U=None, output_values=None)


def _foreign(name: str, model: Transformer, rng: Rng, *, rotated: bool = False) -> Subject:
    """A model of no known program; of every second the decompiler gets the read-out."""
    given = model if rng.random() < 0.5 else without_read_out(model)
    before = without_read_out(model)
    if rotated:
        given = rotate(given, rng)
    read_out = "" if given.W_U is None else ", read-out"
    return Subject(f"{name}{read_out}", given, DOMAIN, before=before, read_out=None)


def random_weights(seed: int, index: int) -> Subject:
    """Weights drawn at random, in the shapes of a compiled model."""
    rng = np.random.default_rng([seed, index, 1])
    model = compiled_sample(seed, index)
    names = list(_RANDOM)
    name = names[index % len(names)]
    return _foreign(f"{seed}/{index} {name}", _RANDOM[name](model, rng), rng)


def _normal(scale: float) -> Callable[[Transformer, Rng], Transformer]:
    def drawn(model: Transformer, rng: Rng) -> Transformer:
        def new(array: Array) -> Array:
            return (scale * rng.standard_normal(array.shape)).astype(np.float32)

        read_out = None if model.W_U is None else new(model.W_U)
        return model.replace(**{n: new(getattr(model, n)) for n in WITHOUT_BIASES}, W_U=read_out)

    return drawn


def _sparse(model: Transformer, rng: Rng) -> Transformer:
    """Few entries, of the numbers that compiled models are made of."""

    def new(array: Array) -> Array:
        values = rng.choice([1.0, -1.0, 0.5, 100.0], size=array.shape)
        return np.where(rng.random(array.shape) < 0.05, values, 0.0).astype(np.float32)

    return model.replace(**{name: new(getattr(model, name)) for name in WITHOUT_BIASES})


def _own_embeddings(model: Transformer, rng: Rng) -> Transformer:
    """Sparse layers behind the embeddings of a compiled model."""
    return _sparse(model, rng).replace(W_E=model.W_E, W_pos=model.W_pos)


def _no_layers(model: Transformer, rng: Rng) -> Transformer:
    """Layers that do nothing."""
    nothing = {
        n: np.zeros_like(getattr(model, n)) for n in WITHOUT_BIASES if n not in ("W_E", "W_pos")
    }
    return model.replace(**nothing)


_RANDOM: dict[str, Callable[[Transformer, Rng], Transformer]] = {
    "gaussian": gaussian_weights,
    "shuffled": shuffle_weights,
    "normal of 0.02": _normal(0.02),
    "normal of 1": _normal(1.0),
    "normal of 30": _normal(30.0),
    "sparse": _sparse,
    "sparse behind embeddings": _own_embeddings,
    "no layers": _no_layers,
}


def spliced(seed: int, index: int) -> Subject:
    """Parts of two compiled models put together.

    The second is one of the same shape where there is one among the next `PARTNERS`
    of the stream, else both are padded with zeros.
    """
    rng = np.random.default_rng([seed, index, 2])
    fst = compiled_sample(seed, index)
    start = 10_000_000 + index * PARTNERS
    others = (compiled_sample(seed, start + n) for n in range(PARTNERS))
    alike = next((m for m in others if _shape(m) == _shape(fst)), None)
    snd = alike if alike is not None else compiled_sample(seed, start)
    how = list(_SPLICES)[index % len(_SPLICES)]
    size = "same shape" if alike is not None else "padded"
    model = _SPLICES[how](*_padded(fst, snd), rng)
    return _foreign(f"{seed}/{index} {how}, {size}", model, rng)


def _shape(model: Transformer) -> tuple[int, ...]:
    return (model.d_model, model.d_head, model.n_heads)


def _padded(fst: Transformer, snd: Transformer) -> tuple[Transformer, Transformer]:
    """Both with the larger's width, heads, neurons and layers; neither computes anything else."""
    sizes = {
        "D": max(fst.d_model, snd.d_model),
        "K": max(fst.d_head, snd.d_head),
        "H": max(fst.n_heads, snd.n_heads),
        "M": max(fst.d_mlp, snd.d_mlp),
        "L": max(fst.n_layers, snd.n_layers),
    }
    return _pad(fst, sizes), _pad(snd, sizes)


_AXES = {
    **dict.fromkeys(("W_E", "W_pos"), "-D"),
    **dict.fromkeys(("W_Q", "W_K", "W_V"), "LHDK"),
    **dict.fromkeys(("b_Q", "b_K", "b_V"), "LHK"),
    "W_O": "LHKD",
    "b_O": "LD",
    "W_in": "LDM",
    "b_in": "LM",
    "W_out": "LMD",
    "b_out": "LD",
}


def _pad(model: Transformer, sizes: dict[str, int]) -> Transformer:
    changes: dict[str, Array] = {}
    for name, axes in _AXES.items():
        array = getattr(model, name)
        wider = [sizes.get(axis, n) - n for axis, n in zip(axes, array.shape, strict=True)]
        changes[name] = np.pad(array, [(0, n) for n in wider])
    scale = np.float32(np.sqrt(sizes["K"] / model.d_head))  # scores are divided by sqrt(K)
    changes["W_Q"] = changes["W_Q"] * scale
    if model.W_U is not None:
        changes["W_U"] = np.pad(model.W_U, [(0, sizes["D"] - model.d_model), (0, 0)])
    return model.replace(**changes)


def _with_layers(
    model: Transformer, other: Transformer, which: npt.NDArray[np.bool_]
) -> Transformer:
    """A model with some layers of another."""
    changes = {}
    for name, axes in _AXES.items():
        if axes[0] == "L":
            array = getattr(model, name).copy()
            array[which] = getattr(other, name)[which]
            changes[name] = array
    return model.replace(**changes)


def _all_layers(fst: Transformer, snd: Transformer, rng: Rng) -> Transformer:
    return _with_layers(fst, snd, np.ones(fst.n_layers, dtype=np.bool_))


def _later_layers(fst: Transformer, snd: Transformer, rng: Rng) -> Transformer:
    return _with_layers(fst, snd, np.arange(fst.n_layers) >= rng.integers(1, max(2, fst.n_layers)))


def _later_layers_and_read_out(fst: Transformer, snd: Transformer, rng: Rng) -> Transformer:
    model = _later_layers(fst, snd, rng)
    return model.replace(W_U=snd.W_U, output_values=snd.output_values)


def _neurons(fst: Transformer, snd: Transformer, rng: Rng) -> Transformer:
    return fst.replace(W_in=snd.W_in, b_in=snd.b_in, W_out=snd.W_out, b_out=snd.b_out)


def _read_out(fst: Transformer, snd: Transformer, rng: Rng) -> Transformer:
    return fst.replace(W_U=snd.W_U, output_values=snd.output_values)


_SPLICES: dict[str, Callable[[Transformer, Transformer, Rng], Transformer]] = {
    "embeddings of one, layers of the other": _all_layers,
    "later layers of the other": _later_layers,
    "later layers and read-out of the other": _later_layers_and_read_out,
    "neurons of the other": _neurons,
    "read-out of the other": _read_out,
}


def changed(seed: int, index: int) -> Subject:
    """A compiled model with one weight changed."""
    return _changed(seed, index, rotated=False)


def changed_rotated(seed: int, index: int) -> Subject:
    """The same one, rotated afterwards."""
    return _changed(seed, index, rotated=True)


def _changed(seed: int, index: int, *, rotated: bool) -> Subject:
    rng = np.random.default_rng([seed, index, 3])
    model = compiled_sample(seed, index)
    how = list(_CHANGES)[index % len(_CHANGES)]
    wants_zero, change = _CHANGES[how]
    names = (*ARRAY_NAMES, "W_U") if wants_zero else (*WITHOUT_BIASES, "W_U")
    arrays = {name: getattr(model, name) for name in names}
    places = {name: np.argwhere((a == 0) == wants_zero) for name, a in arrays.items()}
    name = str(rng.choice([name for name, found in places.items() if len(found)]))
    entry = tuple(int(n) for n in rng.choice(places[name]))
    array = arrays[name].copy()
    array[entry] = change(float(array[entry]), arrays[name], rng)
    shown = f"{seed}/{index} {name}{list(entry)} {how}"
    return _foreign(shown, model.replace(**{name: array}), rng, rotated=rotated)


def _like_others(weight: float, array: Array, rng: Rng) -> float:
    some = array[array != 0]
    return float(rng.choice(some)) if some.size else 1.0


_CHANGES: dict[str, tuple[bool, Callable[[float, Array, Rng], float]]] = {
    "zeroed": (False, lambda w, array, rng: 0.0),
    "with the other sign": (False, lambda w, array, rng: -w),
    "doubled": (False, lambda w, array, rng: 2 * w),
    "1 more": (False, lambda w, array, rng: w + 1),
    "1 less": (False, lambda w, array, rng: w - 1),
    "0.001 more": (False, lambda w, array, rng: w + 1e-3),
    "0.1% more": (False, lambda w, array, rng: w * 1.001),
    "1% more": (False, lambda w, array, rng: w * 1.01),
    "0 to 1": (True, lambda w, array, rng: 1.0),
    "0 to 0.001": (True, lambda w, array, rng: 1e-3),
    "0 to -0.1": (True, lambda w, array, rng: -0.1),
    "0 to another weight": (True, _like_others),
}
