"""What is told of a model's task, and what it says of the weights."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from untracr.errors import ModelFileError, TaskError
from untracr.loading.stated import Stated
from untracr.loading.stated import Told as Said
from untracr.network.architecture import LayerNorm
from untracr.network.compiled_form import network_of_compiled, why_not_compiled
from untracr.network.network import Network
from untracr.shown_text import printable
from untracr.task.compiled import compiled_task
from untracr.task.documents import told_of
from untracr.task.files import task_file
from untracr.task.settling import masked_token, settled
from untracr.task.task import Task
from untracr.task.told import Told
from untracr.task.written import task_document
from untracr.transformer.described import Described
from untracr.transformer.token_rows import token_rows
from untracr.transformer.transformer import Transformer


class HasTask(Described, Protocol):
    """A model with what is told of its task."""

    @property
    def weights(self) -> Transformer | Network:
        """As they were read."""

    @property
    def network(self) -> Network:
        """The weights as a network."""

    @property
    def told(self) -> Told:
        """What is told of the task."""


def told_by(task: object) -> Told:
    """What a user tells of a task, in Python.

    Args:
        task: a `Task`, a mapping with the keys of a task file, or a file's path.

    Raises:
        TaskError: it is none of these, or says what no task has.
    """
    match task:
        case Told():
            return task
        case Task():
            return told_of(task_document(task), "task")
        case Mapping():
            return told_of(task, "task")
        case str() | os.PathLike():
            return task_file(Path(task))
        case _:
            raise TaskError(
                "a task must be an untracr.task.Task, a mapping with the keys of a task file, or a "
                f"file's path, not {type(task).__name__}"
            )


def task_of(loaded: HasTask) -> tuple[Task, tuple[str, ...]]:
    """A model's task, and in sentences what was assumed of it.

    Raises:
        TaskError: what is told does not fit the network.
        ModelFileError: what a compiled model's file says of its rows does not fit them.
    """
    if not _is_compiled(loaded):
        return settled(loaded.told, loaded.network)
    task, said = compiled_task(loaded)
    if not tells_task(loaded.told):
        return task, said
    whole, more = settled(loaded.told.over(told_of(task_document(task))), loaded.network)
    return whole, (*said, *more)


def tells_task(told: Told) -> bool:
    """Whether anything is told of the words of a task."""
    parts = (told.tokens, told.layout, told.lengths, told.answer_lengths, told.outputs, told.pad)
    return bool(told.specials) or any(part is not None for part in parts)


def is_untold(loaded: HasTask) -> bool:
    """Whether nothing is told and the form is a compiled model's: then weights are asked, late."""
    if tells_task(loaded.told):
        return False
    return isinstance(loaded.weights, Transformer) or why_not_compiled(loaded.network) is None


def _is_compiled(loaded: HasTask) -> bool:
    """Whether weights are of our own or Tracr's form, or show BOS and PAD as compiled ones do."""
    if isinstance(loaded.weights, Transformer):
        return True
    return is_untold(loaded) and token_rows(loaded).rows_from == "weights"


def stated_with(stated: Stated, told: Told, tokens: int) -> Stated:
    """What is known of a network with what its task tells.

    Args:
        stated: what else is known.
        told: of the task.
        tokens: rows of the token embedding.

    Raises:
        TaskError: the masked token is none of them.
        ModelFileError: a configuration says otherwise.
    """
    if told.causal is not None:
        _require_same("causal", told.causal, stated.causal, told)
        stated = dataclasses.replace(stated, causal=told.causal)
    if told.layer_norm is not None:
        norm = None if stated.norm is None else stated.norm.value is not None
        _require_same("layer_norm", told.layer_norm, norm, told)
        if stated.norm is None:
            stated = _with_norm(stated, told.layer_norm)
    if (masked := masked_token(told, tokens)) is not None:
        stated = dataclasses.replace(stated, masked_token=masked)
    return stated


def _with_norm(stated: Stated, layer_norm: bool) -> Stated:
    if not layer_norm:
        return dataclasses.replace(stated, norm=Said(None))
    norm = LayerNorm()
    note = f"epsilon {norm.epsilon:g} of the layer norm assumed"
    return dataclasses.replace(stated, norm=Said(norm), notes=(*stated.notes, note))


def _require_same(name: str, told: bool, stated: bool | None, who: Told) -> None:
    if stated not in (None, told):
        raise ModelFileError(
            f"{printable(who.source)} says {name} {str(told).lower()}, the configuration "
            f"{str(stated).lower()}"
        )


def weights_with(weights: Transformer | Network, told: Told) -> Transformer | Network:
    """Weights, masked as a task tells.

    Raises:
        TaskError: the masked token is none of the network's, or the task tells of a layer norm
            what is not so.
    """
    network = network_of_compiled(weights) if isinstance(weights, Transformer) else weights
    what = network.architecture
    if told.layer_norm not in (None, what.norm is not None):
        raise TaskError(
            f"{told.source}: layer_norm is {str(told.layer_norm).lower()}, but the network "
            f"has {'one' if what.norm is not None else 'none'}"
        )
    masked = masked_token(told, network.n_tokens)
    causal = what.causal if told.causal is None else told.causal
    if masked is None and isinstance(weights, Transformer):
        return weights if causal == weights.causal else weights.replace(causal=causal)
    masked = what.masked_token if masked is None else masked
    changed = dataclasses.replace(what, causal=causal, masked_token=masked)
    return weights if changed == what else network.replace(architecture=changed)
