"""Subspaces found by training: distributed alignment search (Geiger et al., 2024, section 3).

An orthonormal basis Q [D, r] is trained so that exchanging the coordinates in it makes
the network put out what the program gives after the exchange. Only where the closed
form finds nothing; the network's weights stay as they are. Needs PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from untracr.errors import UsageError
from untracr.hypothesis.interchange import Pairs, Place, Recorded
from untracr.hypothesis.subject import Subject
from untracr.hypothesis.subspaces import Subspace
from untracr.task.task import NextTokens, Number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from untracr.network.torch_module import TorchNetwork

LEARNING_RATE = 0.03
"""Of Adam, on the entries of a matrix whose QR decomposition gives the basis."""

BATCH = 96
"""Exchanges of one step."""


def require_torch() -> None:
    """Checks that PyTorch is there.

    Raises:
        UsageError: it is not.
    """
    try:
        import torch  # noqa: F401
    except ImportError:
        raise UsageError("training rotations needs PyTorch: pip install 'untracr[train]'") from None


def module_of(subject: Subject) -> TorchNetwork:
    """The subject's network as a module whose weights take no gradient."""
    from untracr.network.torch_module import to_torch

    module = to_torch(subject.network)
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module


def trained_rotation(
    subject: Subject,
    module: TorchNetwork,
    data: Recorded,
    place: Place,
    pairs: Pairs,
    rank: int,
    steps: int,
    rng: np.random.Generator,
    start: Subspace | None = None,
) -> Subspace:
    """A subspace in which exchanges do what the program says, as far as training finds one.

    Args:
        subject: the network.
        module: the same network (`module_of`).
        data: what it computes on inputs.
        place: where the subspace is.
        pairs: exchanges to train on, of single positions or of all.
        rank: r, dimensions of the subspace.
        steps: of training.
        rng: of batches and of where training starts.
        start: begins there instead of at random.
    """
    import torch

    width = subject.network.d_model
    first = rng.normal(size=(width, rank)) / np.sqrt(width)
    if start is not None:
        first[:, : start.rank] = start.write[:, :rank]
    weights = torch.tensor(first, dtype=torch.float32, requires_grad=True)
    optimiser = torch.optim.Adam([weights], lr=LEARNING_RATE)
    loss_of = _loss(subject)
    seen = torch.from_numpy(np.ascontiguousarray(data.seen[place])).float()
    for _ in range(steps):
        rows = rng.integers(len(pairs), size=min(BATCH, len(pairs)))
        basis = torch.linalg.qr(weights).Q
        value = _exchanged(subject, data, seen, pairs, rows, basis)
        with replaced(module, place.name, value):
            logits = module(torch.from_numpy(data.ids[pairs.base[rows]]))
        own = logits[:, subject.first : logits.shape[1] - len(subject.after)]
        counted = torch.from_numpy(pairs.counted[rows])
        loss = loss_of(own[counted], torch.from_numpy(pairs.wanted[rows])[counted])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    basis = torch.linalg.qr(weights.detach()).Q.double().numpy()
    return Subspace(basis, basis)


def _exchanged(
    subject: Subject, data: Recorded, seen: Tensor, pairs: Pairs, rows: Any, basis: Tensor
) -> Tensor:
    """[B, S, D], base activations with the source's coordinates in a basis."""
    import torch

    base, source = pairs.base[rows], pairs.source[rows]
    value = seen[torch.from_numpy(base)].clone()
    if pairs.at is None or pairs.from_ is None:
        own = slice(subject.first, subject.first + data.tokens.shape[1])
        change = (seen[torch.from_numpy(source)][:, own] - value[:, own]) @ basis @ basis.T
        value[:, own] = value[:, own] + change
        return value
    number = torch.arange(len(rows))
    at = torch.from_numpy(subject.first + pairs.at[rows])
    from_ = torch.from_numpy(subject.first + pairs.from_[rows])
    before = value[number, at]
    change = (seen[torch.from_numpy(source), from_] - before) @ basis @ basis.T
    return value.index_put((number, at), before + change)


@contextmanager
def replaced(module: TorchNetwork, point: str, value: Tensor) -> Iterator[None]:
    """While it lasts, a module goes on with a value at a hook point."""
    handle = module.get_submodule(point).register_forward_hook(lambda *_: value)
    try:
        yield
    finally:
        handle.remove()


def _loss(subject: Subject) -> Callable[[Tensor, Tensor], Tensor]:
    """How far logits [M, O] are from wanted outputs [M]."""
    import torch
    from torch.nn import functional as F

    match subject.task.meaning:
        case Number():
            return lambda logits, wanted: F.mse_loss(logits[:, 0], wanted.to(logits.dtype))
        case NextTokens(above):
            bits = 1 << torch.arange(subject.columns)
            return lambda logits, wanted: F.binary_cross_entropy_with_logits(
                logits - above, ((wanted[:, None] & bits) > 0).to(logits.dtype)
            )
        case _:
            return F.cross_entropy
