"""How fast networks run beside PyTorch, on one thread, one after the other in one process.

Networks are of random weights and of GPT-2's parts, in the sizes of small networks that are
trained for interpretability. Each runs as ours (`forward`), as the module that `to_torch`
makes, and, where the transformers library is installed, as its `GPT2LMHeadModel`. Logits are
compared before anything is timed.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from untracr.errors import UntracrError
from untracr.markdown_table import markdown_table
from untracr.network.architecture import Activation, Architecture, LayerNorm
from untracr.network.forward import Ids, forward
from untracr.network.network import Array, Attention, Layer, Mlp, Network, Norm

Size = tuple[int, int, int]
"""Layers, heads, width."""


@dataclass(frozen=True)
class Batches:
    """What is run: networks of these sizes on batches of these lengths and numbers of inputs."""

    sizes: tuple[Size, ...]
    lengths: tuple[int, ...]
    inputs: tuple[int, ...]


WHOLE = Batches(
    ((1, 1, 16), (1, 2, 16), (2, 1, 64), (4, 2, 64), (4, 4, 64), (1, 4, 256)), (52, 102), (64, 1200)
)
"""About a minute of processor time."""

QUICK = Batches(((1, 1, 16), (2, 2, 64)), (52,), (64,))

ENOUGH = 0.4
"""Seconds for which each is run, at least once."""

RELATIVE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-12}
"""How far logits may be from each other, relative to the largest."""


@dataclass(frozen=True)
class ForwardSpeed:
    """One network on one batch.

    Attributes:
        layers, heads, width: its size.
        length, inputs: of the batch.
        ours, module, transformers: seconds of processor time of the fastest run; None without
            the library.
        difference: the largest one of logits, relative to the largest logit.
    """

    layers: int
    heads: int
    width: int
    length: int
    inputs: int
    ours: float
    module: float
    transformers: float | None
    difference: float

    @property
    def times_torch(self) -> float:
        """How many times as long as the faster of the others ours takes."""
        return self.ours / min(self.module, self.transformers or math.inf)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "times_torch": self.times_torch}


def run_forward_benchmark(
    batches: Batches = WHOLE, dtype: npt.DTypeLike = np.float32, seed: int = 0
) -> list[ForwardSpeed]:
    """Times each network on each batch.

    Set ``OMP_NUM_THREADS=1`` and ``OPENBLAS_NUM_THREADS=1`` before Python starts: NumPy cannot
    be told later. PyTorch is told here.

    Raises:
        UntracrError: logits differ by more than `RELATIVE`.
    """
    import torch

    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    speeds = []
    for size in batches.sizes:
        network = gpt2_like(size, max(batches.lengths), rng).astype(dtype)
        for length, inputs in itertools.product(batches.lengths, batches.inputs):
            ids = rng.integers(0, network.n_tokens, (inputs, length))
            speeds.append(_speed(size, network, ids))
    return speeds


def gpt2_like(size: Size, longest: int, rng: np.random.Generator) -> Network:
    """A network of random weights with GPT-2's parts and a vocabulary of 32."""
    layers, heads, D = size
    K, V = D // heads, 32

    def draw(*shape: int) -> Array:
        return (rng.normal(size=shape) / math.sqrt(D)).astype(np.float32)

    def layer() -> Layer:
        W, b = draw(3, heads, D, K), draw(3, heads, K)
        written = (draw(heads, K, D), draw(D), math.sqrt(K))
        attention = Attention(W[0], b[0], W[1], b[1], W[2], b[2], *written)
        mlp = Mlp(draw(D, 4 * D), draw(4 * D), draw(4 * D, D), draw(D))
        return Layer(attention, mlp, Norm(1 + draw(D), draw(D)), Norm(1 + draw(D), draw(D)))

    W_E = draw(V, D)
    return Network(
        Architecture(LayerNorm(), Activation.GELU_TANH, causal=True),
        W_E,
        draw(longest, D),
        tuple(layer() for _ in range(layers)),
        Norm(1 + draw(D), draw(D)),
        np.ascontiguousarray(W_E.T),
    ).validate()


def _speed(size: Size, network: Network, ids: Ids) -> ForwardSpeed:
    import torch

    from untracr.network.torch_module import to_torch

    tensor = torch.from_numpy(ids)
    runs: dict[str, Callable[[], Array]] = {"ours": lambda: forward(network, ids)}
    with torch.no_grad():
        module, other = to_torch(network), _transformers_model(network)
        runs["module"] = lambda: np.asarray(module(tensor).numpy())
        if other is not None:
            runs["transformers"] = lambda: np.asarray(other(tensor).logits.numpy())
        difference = _difference([run() for run in runs.values()])
        seconds = _fastest(runs)
    return ForwardSpeed(
        *size,
        ids.shape[1],
        len(ids),
        seconds["ours"],
        seconds["module"],
        seconds.get("transformers"),
        difference,
    )


def _difference(logits: list[Array]) -> float:
    """The largest difference of logits from the first, relative to the largest of them."""
    first, *others = logits
    largest = float(np.abs(first).max())
    difference = max(float(np.abs(other - first).max()) for other in others) / largest
    if not difference < RELATIVE[first.dtype]:
        raise UntracrError(
            f"logits must be equal to relative {RELATIVE[first.dtype]}, they differ by {difference}"
        )
    return difference


def _fastest(runs: dict[str, Callable[[], Array]]) -> dict[str, float]:
    """Seconds of each one's fastest run, of processor time: others use the machine, too."""
    fastest = dict.fromkeys(runs, math.inf)
    spent = 0.0
    while spent < ENOUGH * len(runs):
        for name, run in runs.items():
            start = time.process_time()
            run()
            seconds = time.process_time() - start
            fastest[name] = min(fastest[name], seconds)
            spent += seconds
    return fastest


def _transformers_model(network: Network) -> Any | None:
    """The network as transformers' GPT-2, if the library is installed."""
    try:
        import transformers
    except ModuleNotFoundError as error:
        if error.name != "transformers":
            raise
        return None
    import torch

    first = network.layers[0].attention
    assert network.n_positions is not None
    config = transformers.GPT2Config(
        vocab_size=network.n_tokens,
        n_positions=network.n_positions,
        n_embd=network.d_model,
        n_layer=network.n_layers,
        n_head=first.W_Q.shape[0],
        activation_function=network.architecture.activation.value,
        use_cache=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    tensors = {name: torch.from_numpy(array.copy()) for name, array in _gpt2_tensors(network)}
    model.to(next(iter(tensors.values())).dtype).load_state_dict(tensors, strict=False)
    return model


def _gpt2_tensors(network: Network) -> list[tuple[str, Array]]:
    """Weights by transformers' names; matrices are [in, out], queries, keys and values in one."""
    tensors = [("wte.weight", network.W_E), ("wpe.weight", network.W_pos)]
    for number, layer in enumerate(network.layers):
        (W, b), at, mlp, h = layer.attention.joined, layer.attention, layer.mlp, f"h.{number}."
        assert mlp is not None
        tensors += [(f"{h}attn.c_attn.weight", W), (f"{h}attn.c_attn.bias", b)]
        tensors += [(f"{h}attn.c_proj.weight", at.W_O.reshape(W.shape[0], -1))]
        tensors += [(f"{h}attn.c_proj.bias", at.b_O), (f"{h}mlp.c_fc.weight", mlp.W_in)]
        tensors += [(f"{h}mlp.c_fc.bias", mlp.b_in), (f"{h}mlp.c_proj.weight", mlp.W_out)]
        tensors += [(f"{h}mlp.c_proj.bias", mlp.b_out)]
        for name, norm in (("ln_1", layer.ln1), ("ln_2", layer.ln2)):
            tensors += [(f"{h}{name}.weight", norm.w), (f"{h}{name}.bias", norm.b)]
    final = network.ln_final
    tensors += [("ln_f.weight", final.w), ("ln_f.bias", final.b)]
    return [(f"transformer.{name}", array) for name, array in tensors if array is not None]


def to_markdown(speeds: Sequence[ForwardSpeed]) -> str:
    """A table, and how the slowest compares."""
    rows = [
        (
            f"{s.layers}, {s.heads}, {s.width}",
            f"{s.inputs} x {s.length}",
            f"{1000 * s.ours:.1f}",
            f"{1000 * s.module:.1f}",
            "-" if s.transformers is None else f"{1000 * s.transformers:.1f}",
            f"{s.times_torch:.2f}",
        )
        for s in speeds
    ]
    head = ("layers, heads, width", "inputs", "ours, ms", "to_torch, ms", "GPT2LMHeadModel, ms",
            "ours / the faster")  # fmt: skip
    slowest = max(s.times_torch for s in speeds)
    difference = max(s.difference for s in speeds)
    return (
        f"{markdown_table(head, rows)}\n\nOne thread, processor time, the fastest run of each. "
        f"Ours takes {slowest:.2f} times as long as the faster of the others at most. "
        f"Logits are equal to relative {difference:.0e}."
    )
