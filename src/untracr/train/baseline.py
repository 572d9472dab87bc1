"""The thing to beat: a decoder-only transformer on flattened weights, as in the paper.

All weights of a model, in Tracr's order, are cut into chunks that are linearly
embedded as a prefix which every position may attend to; the program follows
as the paper's tokens, predicted causally. Source: Langosco et al., "Towards
Meta-Models for Automated Interpretability", and its code: width 256, 6 layers,
heads of 64, weights normalised by mean and deviation. One change in its favour:
the reference pads every model to 65,536 numbers, we pad to the longest model
of the batch, which costs a tenth of the time.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from untracr.compile.canonical import INDICES_NAME, TOKENS_NAME, paper_tokens
from untracr.compile.compiler import compile_program
from untracr.loading.haiku import haiku_params
from untracr.rasp.listed_functions import BINARY, FACTORS, PREDICATES, UNARY
from untracr.rasp.program import Program
from untracr.sample.sampler import PAPER, sample_program
from untracr.train.metrics import Score
from untracr.train.stream import Arrays
from untracr.train.task import VALIDATION_SEED
from untracr.train.training import Task
from untracr.transformer.transformer import Transformer

TOKEN_PLACES = 128
MEAN_WEIGHT, WEIGHT_DEVIATION = 0.49, 77.0
"""Of the weights of sampled programs, rounded."""

PADDING = 0.1

PAPER_TOKENS: tuple[str, ...] = tuple(
    dict.fromkeys(
        (
            "BOS",
            "EOL",
            "EOS",
            "EOO",
            "categorical",
            "numerical",
            "Map",
            "SequenceMap",
            "LinearSequenceMap",
            "SelectAggregate",
            "SelectorWidth",
            TOKENS_NAME,
            INDICES_NAME,
            *(str(f) for f in (*UNARY, *BINARY)),
            *(p.name for p in PREDICATES),
            *(str(f) for f in FACTORS),
            *(f"sop_{n:02d}" for n in range(16)),
        )
    )
)
_ID = {token: number for number, token in enumerate(PAPER_TOKENS)}


@dataclass(frozen=True)
class BaselineConfig:
    """Sizes; the defaults are the paper's.

    Attributes:
        width: of the vectors, and numbers a chunk.
        layers: transformer layers.
        heads: attention heads.
    """

    width: int = 256
    layers: int = 6
    heads: int = 4


def baseline_task(config: BaselineConfig) -> Task:
    """The baseline as a training task."""
    return Task(
        name="flattened weights",
        config=asdict(config),
        build=functools.partial(FlatNetwork, config),
        make=functools.partial(make_flat_batch, chunk=config.width),
        loss=_loss,
        evaluate=functools.partial(_evaluate, chunk=config.width),
    )


def flatten_weights(model: Transformer) -> npt.NDArray[np.float32]:
    """All weights in one row, in Tracr's order of parameters."""
    parameters = haiku_params(model)
    return np.concatenate(
        [array.ravel() for module in parameters.values() for array in module.values()]
    )


def make_flat_batch(seed: int, start: int, count: int, chunk: int) -> Arrays:
    """Fresh programs ``start`` to ``start + count`` with their flattened weights."""
    programs = [sample_program(seed, start + i) for i in range(count)]
    domain = PAPER.domain
    models = [compile_program(p, domain.vocab, domain.max_seq_len).transformer for p in programs]
    return collate_flat([flatten_weights(model) for model in models], programs, chunk)


def collate_flat(
    weights: Sequence[npt.NDArray[np.float32]], programs: Sequence[Program], chunk: int
) -> Arrays:
    """Pads weights to whole chunks [B, chunks, chunk] and programs to one length [B, T]."""
    n_chunks = -(-max(len(w) for w in weights) // chunk)
    flat = np.full((len(weights), n_chunks * chunk), PADDING, dtype=np.float32)
    for row, values in enumerate(weights):
        flat[row, : len(values)] = values
    token_rows = [[_ID[token] for token in paper_tokens(p)] for p in programs]
    tokens = np.full((len(weights), max(map(len, token_rows))), -1, dtype=np.int64)
    for row, ids in enumerate(token_rows):
        tokens[row, : len(ids)] = ids
    normal = (flat - MEAN_WEIGHT) / WEIGHT_DEVIATION
    return {"chunks": normal.reshape(len(weights), n_chunks, chunk), "tokens": tokens}


class FlatNetwork(nn.Module):
    """Chunks of weights as a two-way prefix, then the program, causally."""

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        width = config.width
        self.chunk = nn.Linear(width, width)
        self.chunk_place = nn.Embedding(65_536 // width + 1, width)
        self.token = nn.Embedding(len(PAPER_TOKENS), width)
        self.token_place = nn.Embedding(TOKEN_PLACES, width)
        layer = nn.TransformerEncoderLayer(
            width,
            config.heads,
            4 * width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.body = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.logits = nn.Linear(width, len(PAPER_TOKENS))

    def forward(self, chunks: Tensor, tokens: Tensor) -> Tensor:
        """Logits of each next token, [B, T, tokens].

        Args:
            chunks: [B, chunks, width]; tokens: [B, T] ids.
        """
        device = chunks.device
        prefix = self.chunk(chunks) + self.chunk_place(torch.arange(chunks.shape[1], device=device))
        body = self.token(tokens) + self.token_place(torch.arange(tokens.shape[1], device=device))
        size, n = prefix.shape[1] + body.shape[1], prefix.shape[1]
        blocked = torch.ones(size, size, dtype=torch.bool, device=device).triu(1)
        blocked[:, :n] = False
        x = self.body(torch.cat([prefix, body], dim=1), mask=blocked)
        out: Tensor = self.logits(self.norm(x[:, n:]))
        return out


def _loss(network: nn.Module, arrays: Arrays, device: torch.device) -> Score:
    chunks = torch.from_numpy(arrays["chunks"]).to(device)
    tokens = torch.from_numpy(arrays["tokens"]).to(device)
    targets = tokens[:, 1:]
    logits = network(chunks, tokens[:, :-1].clamp(min=0))
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)
    counts = targets >= 0
    hits = (logits.argmax(dim=-1) == targets) | ~counts
    return Score.of(loss, hits, counts)


@functools.lru_cache(maxsize=2)
def _validation(chunk: int) -> tuple[Arrays, ...]:
    return tuple(make_flat_batch(VALIDATION_SEED, 64 * b, 64, chunk) for b in range(4))


def _evaluate(network: nn.Module, device: torch.device, chunk: int) -> dict[str, float]:
    with torch.no_grad():
        scores = [_loss(network, batch, device) for batch in _validation(chunk)]
    return {
        "validation_loss": sum(score.loss.item() for score in scores) / len(scores),
        "validation_exact": sum(score.exact for score in scores) / len(scores),
        "validation_tokens": sum(score.tokens for score in scores) / len(scores),
    }
