"""A network as a plain module of PyTorch, and back.

The parameters have TransformerLens' names and shapes. Each value with a name in
TransformerLens passes through an `nn.Identity` of that name, so that
``module.get_submodule("blocks.0.attn.hook_pattern").register_forward_hook(...)`` sees it or
puts another in its place, and gradients flow through it. Axes: B inputs, T positions,
H heads, K = d_head, D = d_model, M neurons, O outputs. Nothing here is loaded unless asked for.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from untracr.errors import ModelFileError
from untracr.network.architecture import (
    Activation,
    Architecture,
    LayerNorm,
    Normalisation,
    PositionTable,
    Rotary,
)
from untracr.network.network import Array, Attention, Layer, Mlp, Network, Norm
from untracr.network.state_dict import Scores, network_of_state_dict


def to_torch(network: Network) -> TorchNetwork:
    """A module that computes what a network computes, in the network's precision.

    Its weights are copies. A read-out that equals the embedding is a parameter of its
    own, as in TransformerLens: training moves the two apart.
    """
    return TorchNetwork(network)


def network_of_module(module: TorchNetwork) -> Network:
    """The network of a module's weights as they are now; the inverse of `to_torch`.

    Raises:
        ModelFileError: it is another module, or its weights are not finite.
    """
    if not isinstance(module, TorchNetwork):
        raise ModelFileError(
            f"a module must be one that to_torch made, not {type(module).__name__}"
        )
    tensors = {name: t.detach().cpu().numpy().copy() for name, t in module.state_dict().items()}
    scores = [Scores(block.attn.divisor, block.attn.window) for block in module.layers]
    return network_of_state_dict(tensors, module.architecture, scores)


class TorchNetwork(nn.Module):
    """Token ids [B, T] in, logits [B, T, O] out; without a read-out the final stream [B, T, D]."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.architecture = network.architecture
        self.embed = _Weights(W_E=network.W_E)
        self.pos_embed = _Weights(W_pos=network.W_pos)
        self.blocks = nn.ModuleList(
            TorchBlock(layer, network.architecture) for layer in network.layers
        )
        self.ln_final = TorchNorm(network.ln_final, network.architecture.norm)
        self.unembed = _Weights(W_U=network.W_U, b_U=network.b_U)
        self.hook_embed, self.hook_pos_embed = nn.Identity(), nn.Identity()

    @property
    def layers(self) -> list[TorchBlock]:
        """The blocks, with their type."""
        return [block for block in self.blocks if isinstance(block, TorchBlock)]

    def forward(self, ids: Tensor) -> Tensor:
        """Logits [B, T, O] of token ids [B, T]."""
        stream = self.hook_embed(self.embed.W_E[ids])
        if isinstance(self.architecture.positions, PositionTable):
            first = self.architecture.positions.first
            rows = self.pos_embed.W_pos[first : first + ids.shape[1]]
            stream = stream + self.hook_pos_embed(rows.expand_as(stream))
        mask = attention_mask(self.architecture, ids)
        for block in self.blocks:
            stream = block(stream, mask)
        normed: Tensor = self.ln_final(stream)
        if self.unembed.W_U is None:
            return normed
        logits = normed @ self.unembed.W_U
        return logits if self.unembed.b_U is None else logits + self.unembed.b_U


class TorchBlock(nn.Module):
    """A layer: heads, then neurons, each reading the normalised stream and adding to it."""

    def __init__(self, layer: Layer, architecture: Architecture) -> None:
        super().__init__()
        self.ln1 = TorchNorm(layer.ln1, architecture.norm)
        self.attn = TorchAttention(layer.attention, architecture)
        self.ln2 = TorchNorm(layer.ln2, architecture.norm)
        self.mlp = None if layer.mlp is None else TorchMlp(layer.mlp, architecture.activation)
        self.hook_resid_pre, self.hook_attn_out = nn.Identity(), nn.Identity()
        self.hook_resid_mid, self.hook_mlp_out = nn.Identity(), nn.Identity()
        self.hook_resid_post = nn.Identity()

    def forward(self, stream: Tensor, mask: Tensor | None) -> Tensor:
        """The stream [B, T, D] after the layer; the mask is [1 or B, 1, T, T]."""
        stream = self.hook_resid_pre(stream)
        stream = stream + self.hook_attn_out(self.attn(self.ln1(stream), mask))
        if self.mlp is not None:
            stream = self.hook_resid_mid(stream)
            stream = stream + self.hook_mlp_out(self.mlp(self.ln2(stream)))
        after: Tensor = self.hook_resid_post(stream)
        return after


class TorchNorm(nn.Module):
    """Layer norm, RMS norm, or nothing, over the last axis."""

    def __init__(self, weights: Norm, norm: Normalisation | None) -> None:
        super().__init__()
        self.norm = norm
        self.w, self.b = _parameter(weights.w), _parameter(weights.b)
        self.hook_scale, self.hook_normalized = nn.Identity(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] to [..., D]."""
        if self.norm is None:
            return x
        if isinstance(self.norm, LayerNorm):
            x = x - x.mean(dim=-1, keepdim=True)
        mean_square = (x * x).mean(dim=-1, keepdim=True)
        x = x / self.hook_scale(torch.sqrt(mean_square + self.norm.epsilon))
        x = self.hook_normalized(x)
        if self.w is not None:
            x = x * self.w
        normed: Tensor = x if self.b is None else x + self.b
        return normed


class TorchAttention(nn.Module):
    """The heads of a layer."""

    def __init__(self, heads: Attention, architecture: Architecture) -> None:
        super().__init__()
        self.divisor, self.window = heads.divisor, heads.window
        positions = architecture.positions
        self.rotary = positions if isinstance(positions, Rotary) else None
        self.may_see_nothing = architecture.masked_token is not None
        self.W_Q, self.b_Q = _copied(heads.W_Q), _copied(heads.b_Q)
        self.W_K, self.b_K = _copied(heads.W_K), _copied(heads.b_K)
        self.W_V, self.b_V = _copied(heads.W_V), _copied(heads.b_V)
        self.W_O, self.b_O = _copied(heads.W_O), _copied(heads.b_O)
        self.hook_q, self.hook_k, self.hook_v = nn.Identity(), nn.Identity(), nn.Identity()
        self.hook_rot_q, self.hook_rot_k = nn.Identity(), nn.Identity()
        self.hook_attn_scores, self.hook_pattern = nn.Identity(), nn.Identity()
        self.hook_z = nn.Identity()

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """What the heads add, [B, T, D], of the normalised stream [B, T, D]."""
        query = self.hook_q(torch.einsum("btd,hdk->bthk", x, self.W_Q) + self.b_Q)
        key = self.hook_k(torch.einsum("btd,hdk->bthk", x, self.W_K) + self.b_K)
        value = self.hook_v(torch.einsum("btd,hdk->bthk", x, self.W_V) + self.b_V)
        if self.rotary is not None:
            query = self.hook_rot_q(turned(self.rotary, query))
            key = self.hook_rot_k(turned(self.rotary, key))
        scores = torch.einsum("bthk,bshk->bhts", query, key) / self.divisor
        allowed = _within(mask, self.window, x)
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -torch.inf)
        pattern = softmax(self.hook_attn_scores(scores), self.may_see_nothing)
        z = self.hook_z(torch.einsum("bhts,bshk->bthk", self.hook_pattern(pattern), value))
        return torch.einsum("bthk,hkd->btd", z, self.W_O) + self.b_O


class TorchMlp(nn.Module):
    """The neurons of a layer, with gates or without."""

    def __init__(self, mlp: Mlp, activation: Activation) -> None:
        super().__init__()
        self.activation = activation
        self.W_in, self.b_in = _copied(mlp.W_in), _copied(mlp.b_in)
        self.W_out, self.b_out = _copied(mlp.W_out), _copied(mlp.b_out)
        self.W_gate = _parameter(mlp.W_gate)
        self.hook_pre, self.hook_post = nn.Identity(), nn.Identity()
        self.hook_pre_linear = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """What the neurons add, [B, T, D], of the normalised stream [B, T, D]."""
        if self.W_gate is None:
            neurons = activated(self.activation, self.hook_pre(x @ self.W_in + self.b_in))
        else:
            gates = activated(self.activation, self.hook_pre(x @ self.W_gate))
            neurons = gates * self.hook_pre_linear(x @ self.W_in) + self.b_in
        added: Tensor = self.hook_post(neurons) @ self.W_out + self.b_out
        return added


def activated(activation: Activation, x: Tensor) -> Tensor:
    """The activation of each number."""
    match activation:
        case Activation.RELU:
            return F.relu(x)
        case Activation.GELU:
            return F.gelu(x)
        case Activation.GELU_TANH:
            return F.gelu(x, approximate="tanh")
        case Activation.SILU:
            return F.silu(x)


def attention_mask(architecture: Architecture, ids: Tensor) -> Tensor | None:
    """Which position may attend to which, [1 or B, 1, T, T]; None where all may to all."""
    T = ids.shape[1]
    mask = torch.ones((1, 1, T, T), dtype=torch.bool, device=ids.device)
    if architecture.masked_token is not None:
        mask = mask & (ids != architecture.masked_token)[:, None, None, :]
    elif not architecture.causal:
        return None
    return mask.tril() if architecture.causal else mask


def softmax(scores: Tensor, may_see_nothing: bool) -> Tensor:
    """Softmax over the last axis; zeros where every score is minus infinity, if that may be."""
    if not may_see_nothing:
        return torch.softmax(scores, dim=-1)
    nothing = torch.isneginf(scores.amax(dim=-1, keepdim=True))
    return torch.softmax(scores.masked_fill(nothing, 0), dim=-1).masked_fill(nothing, 0)


def turned(rotary: Rotary, heads: Tensor) -> Tensor:
    """Queries or keys [B, T, H, K] turned by their positions' angles (Su et al., 2021, eq. 15)."""
    half = rotary.dimensions // 2
    # angle[t, j] = (first + t) * base ** (-j / half), worked out in double precision
    pairs = torch.arange(half, dtype=torch.float64, device=heads.device)
    places = torch.arange(heads.shape[1], dtype=torch.float64, device=heads.device)
    angles = torch.outer(places + rotary.first, rotary.base ** (-pairs / half))[:, None, :]
    cos, sin = angles.cos().to(heads.dtype), angles.sin().to(heads.dtype)
    rest = heads[..., rotary.dimensions :]
    if rotary.adjacent:
        a, b = heads[..., 0 : rotary.dimensions : 2], heads[..., 1 : rotary.dimensions : 2]
        pair = torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(-2)
        return torch.cat([pair, rest], dim=-1)
    a, b = heads[..., :half], heads[..., half : rotary.dimensions]
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], dim=-1)


def _within(mask: Tensor | None, window: int | None, x: Tensor) -> Tensor | None:
    """A mask with what lies further back than a window left out."""
    T = x.shape[1]
    if window is None or window >= T:
        return mask
    places = torch.arange(T, device=x.device)
    near = (places[:, None] - places < window)[None, None]
    return near if mask is None else mask & near


def _copied(array: Array) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(array.copy()))


def _parameter(array: Array | None) -> nn.Parameter | None:
    return None if array is None else _copied(array)


class _Weights(nn.Module):
    """Parameters that belong together under one name."""

    W_E: nn.Parameter
    W_pos: nn.Parameter
    W_U: nn.Parameter | None
    b_U: nn.Parameter | None

    def __init__(self, **arrays: Array | None) -> None:
        super().__init__()
        for name, array in arrays.items():
            self.register_parameter(name, _parameter(array))
