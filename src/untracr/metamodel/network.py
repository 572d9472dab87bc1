"""The network: a small causal transformer that writes operations, looking at components.

A token of the program attends to the tokens before it and to the components of
its own and earlier half-layers. Operations are written in the order of the
components, so each token is also handed the embedding of the component whose
turn it is and may point at the variables that component reads: names of
variables are shuffled in training and mean nothing by themselves, so programs
longer than any seen can still be written. `numpy_network` computes the same logits without torch.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from untracr.metamodel.features import INTEGER_SIZES, N_NUMBERS
from untracr.metamodel.vocabulary import CLASS_RANGES, FIRST_SLOT, MAX_FIELDS, N_SLOTS, SIZE
from untracr.read.operations import MAX_OPERATIONS


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network.

    Attributes:
        width: of the token and component vectors.
        layers: decoder layers.
        heads: attention heads, dividing ``width``.
    """

    width: int = 128
    layers: int = 3
    heads: int = 4

    def as_dict(self) -> dict[str, int]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Batch:
    """Padded examples. B examples, T tokens, C components.

    Attributes:
        integers: [B, C, features]; numbers: [B, C, features].
        component_step: [B, C], a large number where there is none.
        component_ordinal: [B, C], its number within its step.
        inputs, targets, step, ordinal, field: [B, T]; targets are -1
            where there is no token.
    """

    integers: Tensor
    numbers: Tensor
    component_step: Tensor
    component_ordinal: Tensor
    inputs: Tensor
    targets: Tensor
    step: Tensor
    ordinal: Tensor
    field: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        return Batch(*(tensor.to(device) for tensor in vars(self).values()))


class ComponentEncoder(nn.Module):
    """Components to vectors: embeddings of the integers plus a two-layer map of the numbers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.ModuleList(nn.Embedding(size, width) for size in INTEGER_SIZES)
        self.number_in = nn.Linear(N_NUMBERS, width)
        self.ordinal = nn.Embedding(MAX_OPERATIONS + 1, width)
        self.hidden = nn.Linear(width, 2 * width)
        self.out = nn.Linear(2 * width, width)

    def forward(self, batch: Batch) -> Tensor:
        """[B, C, width]."""
        x: Tensor = self.number_in(batch.numbers)
        for place, table in enumerate(self.embed):
            x = x + table(batch.integers[:, :, place])
        x = x + self.ordinal(batch.component_ordinal.clamp(max=MAX_OPERATIONS))
        out: Tensor = x + self.out(F.relu(self.hidden(norm(x))))
        return out


class Attention(nn.Module):
    """Multi-head attention with a boolean mask."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        """Attends from x [B, T, width] to source [B, S, width] where mask [B, T, S] is true."""

        def split(y: Tensor) -> Tensor:
            return y.reshape(*y.shape[:2], self.heads, -1).transpose(1, 2)

        q, k, v = split(self.query(x)), split(self.key(source)), split(self.value(source))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None])
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(-2))
        return out


class Layer(nn.Module):
    """Self-attention, attention to components, and an MLP, each behind a norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attend_self = Attention(width, heads)
        self.attend_components = Attention(width, heads)
        self.hidden = nn.Linear(width, 4 * width)
        self.out = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, components: Tensor, causal: Tensor, visible: Tensor) -> Tensor:
        """[B, T, width]."""
        y = norm(x)
        x = x + self.attend_self(y, y, causal)
        x = x + self.attend_components(norm(x), components, visible)
        out: Tensor = x + self.out(F.relu(self.hidden(norm(x))))
        return out


class Network(nn.Module):
    """The whole meta-model."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.encoder = ComponentEncoder(width)
        self.token = nn.Embedding(SIZE, width)
        self.ordinal = nn.Embedding(MAX_OPERATIONS + 2, width)
        self.field = nn.Embedding(MAX_FIELDS, width)
        self.turn = nn.Linear(width, width, bias=False)
        self.layers = nn.ModuleList(Layer(width, config.heads) for _ in range(config.layers))
        self.logits = nn.Linear(width, SIZE)
        self.point = nn.Linear(width, 3)
        self.register_buffer("class_mask", class_mask(), persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02 if "embed" in name else width**-0.5 / 2)
            else:
                nn.init.zeros_(parameter)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B, T, SIZE], unmasked."""
        components = self.encoder(batch)
        memory = norm(components)
        x = self.token(batch.inputs) + self.field(batch.field)
        x = x + self.ordinal(batch.ordinal.clamp(max=MAX_OPERATIONS + 1))
        turn = self._turn(batch)
        x = x + self.turn(turn.to(components.dtype) @ components)
        length = batch.inputs.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=x.device).tril()
        causal = causal.expand(len(x), -1, -1)
        visible = batch.component_step[:, None, :] <= batch.step[:, :, None]
        for layer in self.layers:
            x = layer(x, memory, causal, visible)
        y = norm(x)
        return self._point(self.logits(y), self.point(y), batch, turn)

    def _turn(self, batch: Batch) -> Tensor:
        """[B, T, C]: the component whose turn it is at each token; none behind the last."""
        return (batch.component_step[:, None, :] == batch.step[:, :, None]) & (
            batch.component_ordinal[:, None, :] == batch.ordinal[:, :, None]
        )

    def _point(self, logits: Tensor, scores: Tensor, batch: Batch, turn: Tensor) -> Tensor:
        """Adds scores [B, T, 3] to the logits of the three variables the component reads."""
        reads = batch.integers[:, :, 1:4].float()
        here = (turn.float() @ reads).long()  # [B, T, 3]
        counts = (here < N_SLOTS) & turn.any(dim=-1, keepdim=True)
        place = FIRST_SLOT + here.clamp(max=N_SLOTS - 1)
        return logits.scatter_add(2, place, (scores * counts).to(logits.dtype))


def norm(x: Tensor) -> Tensor:
    """Root-mean-square norm without weights."""
    return F.rms_norm(x, (x.shape[-1],), eps=1e-6)


def class_mask() -> Tensor:
    """[SIZE, SIZE]: for each token, which tokens belong to its class; START is one of its own."""
    mask = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    for first, last in CLASS_RANGES.values():
        mask[first:last, first:last] = True
    mask[0, 0] = True
    return mask


def masked_logits(network: Network, batch: Batch) -> Tensor:
    """Logits with the tokens of other classes than the target's ruled out."""
    logits: Tensor = network(batch)
    mask = network.get_buffer("class_mask")[batch.targets.clamp(min=0)]
    return logits.float().masked_fill(~mask, -1e9)


def loss_and_hits(network: Network, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Mean cross-entropy a token; tokens right [B, T]; and which tokens count [B, T]."""
    logits = masked_logits(network, batch)
    counts = batch.targets >= 0
    loss = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=-1)
    hits = (logits.argmax(dim=-1) == batch.targets) | ~counts
    return loss, hits, counts
