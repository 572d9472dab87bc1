"""The task of a compiled model: inputs behind BOS, an output at each of their tokens."""

from __future__ import annotations

from collections.abc import Mapping

from untracr.rasp.domain import BOS, PAD
from untracr.rasp.values import Value
from untracr.task.task import (
    AfterToken,
    Label,
    Layout,
    Lengths,
    Meaning,
    Number,
    Specials,
    Task,
)
from untracr.transformer.described import Described
from untracr.transformer.token_rows import NOTHING_SAID, Naming, TokenRows, token_rows
from untracr.transformer.transformer import Transformer


def compiled_task(loaded: Described, naming: Naming = NOTHING_SAID) -> tuple[Task, tuple[str, ...]]:
    """The task of compiled weights.

    Args:
        loaded: the weights, and what their file says.
        naming: what the user says of their rows.

    Returns:
        The task, and in sentences what was assumed.

    Raises:
        ModelFileError: what is said does not fit the rows.
    """
    model, rows = loaded.transformer, token_rows(loaded, naming)
    tokens = _names(rows, loaded.metadata)
    task = Task(
        tokens,
        Specials(bos=rows.bos, pad=rows.pad),
        Layout(before=(rows.bos,)),
        Lengths(1, len(model.W_pos) - 1),
        counted=AfterToken(rows.bos),
        meaning=_meaning(model),
    )
    said = [rows.assumed] if rows.assumed else []
    if rows.names_from == "assumed":
        said.append("tokens have no names; they are called 0, 1, 2, ... in the order of their rows")
    return task, tuple(said)


def _names(rows: TokenRows, metadata: Mapping[str, object]) -> tuple[Value, ...]:
    names: dict[int, Value] = dict(zip(rows.tokens, rows.values, strict=True))
    for row, key, usual in ((rows.bos, "bos", BOS), (rows.pad, "pad", PAD)):
        told = metadata.get(key)
        name = told if isinstance(told, str) else usual
        while name in names.values():
            name = f"<{name}>"
        names[row] = name
    return tuple(names[row] for row in range(len(names)))


def _meaning(model: Transformer) -> Meaning | None:
    """What the read-out's columns mean; None where the file does not say."""
    if model.W_U is None:
        return None
    if model.output_values is not None:
        return Label(model.output_values)
    return Number() if model.W_U.shape[1] == 1 else None
