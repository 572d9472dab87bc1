"""The paper's approach as a reader to compare with: flattened weights in, tokens out. Needs torch.

See `untracr.train.baseline`, whose checkpoints (``untracr train --baseline``)
are read here. It was trained on weights as compiled by us.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from untracr.compile.canonical import canonicalise, paper_tokens, program_from_paper_tokens
from untracr.errors import ModelFileError, ProgramError
from untracr.evaluate.cases import Case
from untracr.evaluate.outcome import same_behaviour
from untracr.evaluate.share import Share
from untracr.rasp.program import Program
from untracr.train.baseline import (
    PAPER_TOKENS,
    TOKEN_PLACES,
    BaselineConfig,
    FlatNetwork,
    baseline_task,
    collate_flat,
    flatten_weights,
)
from untracr.train.checkpoint import load_checkpoint
from untracr.transformer.transformer import Transformer

WEIGHT_PLACES = 65_536
"""Weights of a model that its network has places for."""

MODELS_AT_ONCE = 16
"""Models read at a time; weights are padded to the longest of them, as in training."""


@dataclass(frozen=True)
class FlatResult:
    """How the baseline does.

    Attributes:
        exact: every canonical token is right, written greedily.
        same_behaviour: same outputs on every input, likewise.
        tokens: of the paper's tokens, how many are the likeliest with the true
            ones before them.
        left_out: programs it has no tokens or places for, not counted above.
    """

    exact: Share
    same_behaviour: Share
    tokens: Share
    left_out: int

    def as_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        return {
            "exact": self.exact.as_dict(),
            "same_behaviour": self.same_behaviour.as_dict(),
            "tokens": self.tokens.as_dict(),
            "left_out": self.left_out,
        }


class FlatReader:
    """The baseline's network.

    Args:
        checkpoint: a training checkpoint of the baseline.

    Raises:
        ModelFileError: it cannot be read, or belongs to another task.
    """

    def __init__(self, checkpoint: Path) -> None:
        checkpoint_read = load_checkpoint(checkpoint)
        task, wanted = checkpoint_read.state["task"], baseline_task(BaselineConfig()).name
        if task != wanted:
            raise ModelFileError(
                f"{checkpoint}: a baseline's checkpoint is of the task {wanted!r}, not {task!r}"
            )
        try:
            config = BaselineConfig(**checkpoint_read.state["config"])
            self.chunk = config.width
            self._network = FlatNetwork(config)
            self._network.load_state_dict(checkpoint_read.model)
        except (KeyError, TypeError, RuntimeError) as error:
            raise ModelFileError(
                f"{checkpoint}: the checkpoint does not fit the baseline: {error}"
            ) from None
        self._network.eval()

    def judge(self, cases: Sequence[Case], models: Sequence[Transformer]) -> FlatResult:
        """Reads models and judges the answers.

        Args:
            cases: the references.
            models: their weights, perhaps treated.
        """
        pairs = [
            (case, model) for case, model in zip(cases, models, strict=True) if _fits(case, model)
        ]
        exact: list[bool] = []
        same: list[bool] = []
        hits: list[bool] = []
        for start in range(0, len(pairs), MODELS_AT_ONCE):
            batch = pairs[start : start + MODELS_AT_ONCE]
            programs = [case.program for case, _ in batch]
            arrays = collate_flat(
                [flatten_weights(model) for _, model in batch], programs, self.chunk
            )
            chunks = torch.from_numpy(arrays["chunks"])
            hits += self._forced(chunks, arrays["tokens"])
            for (case, _), words in zip(batch, self._written(chunks), strict=True):
                program = _program(words)
                exact.append(program is not None and paper_tokens(program) == list(case.tokens))
                same.append(same_behaviour(program, case.program, case.domain))
        return FlatResult(Share.of(exact), Share.of(same), Share.of(hits), len(cases) - len(pairs))

    @torch.no_grad()
    def _forced(self, chunks: Tensor, tokens: npt.NDArray[Any]) -> list[bool]:
        """Whether each token behind the first is the likeliest, rows one after another."""
        logits = self._network(chunks, torch.from_numpy(tokens[:, :-1]).clamp(min=0))
        targets = tokens[:, 1:]
        hits: list[bool] = (logits.argmax(dim=-1).numpy() == targets)[targets >= 0].tolist()
        return hits

    @torch.no_grad()
    def _written(self, chunks: Tensor) -> list[list[str]]:
        """For each row the tokens that are written greedily, up to EOS or `TOKEN_PLACES`."""
        begin, end = PAPER_TOKENS.index("BOS"), PAPER_TOKENS.index("EOS")
        tokens = torch.full((len(chunks), 1), begin)
        while tokens.shape[1] < TOKEN_PLACES and not (tokens == end).any(dim=1).all():
            best = self._network(chunks, tokens)[:, -1].argmax(dim=-1, keepdim=True)
            tokens = torch.cat([tokens, best], dim=1)
        rows = []
        for row in tokens.tolist():
            ids = row[: row.index(end) + 1] if end in row else row
            rows.append([PAPER_TOKENS[i] for i in ids])
        return rows


def _fits(case: Case, model: Transformer) -> bool:
    known = set(case.tokens) <= set(PAPER_TOKENS)
    return known and len(case.tokens) <= TOKEN_PLACES and model.n_parameters <= WEIGHT_PLACES


def _program(words: list[str]) -> Program | None:
    try:
        return canonicalise(program_from_paper_tokens(words))
    except (ProgramError, ValueError, IndexError):
        return None
