"""A model that was loaded: its weights, what is known of them, and what was assumed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from untracr.errors import ModelFileError, UntracrError
from untracr.loading.labels import residual_labels, variables_of
from untracr.loading.patched_model import PatchedModel
from untracr.loading.saving import save_loaded
from untracr.loading.tasks import is_untold, task_of, weights_with
from untracr.network.compiled_form import compiled_form, network_of_compiled
from untracr.network.network import Array, Network
from untracr.network.patches import Patch
from untracr.network.patching import patched
from untracr.network.state_dict import state_dict
from untracr.network.tracing import Trace, trace
from untracr.notebook_html import block, heading, remark, table
from untracr.number_ranges import numbered
from untracr.rasp.values import Value
from untracr.shown_text import cut, printable
from untracr.task import running
from untracr.task.accuracy import Wanted, accuracy
from untracr.task.completing import complete
from untracr.task.outputs import Output
from untracr.task.task import Task
from untracr.task.together import Inputs, ids_together
from untracr.task.told import Told
from untracr.transformer.transformer import Transformer

if TYPE_CHECKING:
    from untracr.network.torch_module import TorchNetwork


@dataclass(frozen=True, eq=False, repr=False)
class LoadedModel:
    """A model of any supported architecture, and what is said of it.

    Attributes:
        weights: as they were read: a `Transformer` where they were in the form that a compiler
            writes, else a `Network`.
        metadata: what came beside the weights, such as what was given to `untracr.save`.
        path: where it was read; of a model in memory what it was.
        notes: what was inferred or assumed of the weights because nothing told it, in sentences.
        told: what is told of its task; `task` is made of it.
    """

    weights: Transformer | Network
    metadata: dict[str, object]
    path: Path
    notes: tuple[str, ...] = ()
    told: Told = field(default_factory=Told)

    def __repr__(self) -> str:
        return f"<LoadedModel: {cut(str(self.path), 100)!r}, {self.weights!r}>"

    def _repr_html_(self) -> str:
        """What it is, its task, what was assumed, and which dimensions hold what."""
        try:
            said = [remark(repr(self.task)), *map(remark, self.said)]
        except UntracrError as error:  # a task that does not fit is told, and no reason to fail
            said = [remark(str(error))]
        rows = [(name, numbered("dim", dims)) for name, dims in self.variables.items()]
        tables = [table(("variable", "held in"), rows)] if rows else []
        return block(heading(repr(self)), *said, *tables)

    @cached_property
    def network(self) -> Network:
        """The weights as a network; of compiled ones its arrays are views."""
        if isinstance(self.weights, Network):
            return self.weights
        return network_of_compiled(self.weights)

    @cached_property
    def transformer(self) -> Transformer:
        """The weights in the form that a compiler writes, all layers in one array.

        Raises:
            ModelFileError: the model has a part that no compiled model has.
        """
        if isinstance(self.weights, Transformer):
            return self.weights
        try:
            return compiled_form(self.weights)
        except ModelFileError as error:
            raise ModelFileError(f"{printable(self.path)}: {error}; {_WHAT_ELSE}") from None

    @cached_property
    def residual_labels(self) -> tuple[str, ...]:
        """What each residual dimension holds, as the file says; empty where it does not say."""
        return residual_labels(self.metadata, self.network.d_model)

    @property
    def variables(self) -> dict[str, tuple[int, ...]]:
        """The residual dimensions of each variable, as the file's labels name them."""
        return variables_of(self.residual_labels)

    @property
    def task(self) -> Task:
        """The words of the model's inputs and outputs.

        Raises:
            TaskError: what is told of them does not fit the network.
            ModelFileError: what a compiled model's file says of its rows does not fit them.
        """
        return self._settled[0]

    @property
    def said(self) -> tuple[str, ...]:
        """What was inferred or assumed because nothing told it, in sentences.

        Of compiled weights of which no task is told that is only what is in `notes`: commands
        say what they took of the rows, and where it matters.
        """
        return self.notes if is_untold(self) else (*self.notes, *self._settled[1])

    @cached_property
    def _settled(self) -> tuple[Task, tuple[str, ...]]:
        return task_of(self)

    def run(self, inputs: Iterable[str | Sequence[Value]]) -> list[list[Output]]:
        """Runs the model on inputs in its task's words (`untracr.task.running.run`)."""
        return running.run(self.network, self.task, inputs)

    def answers(self, inputs: Iterable[str | Sequence[Value]]) -> list[running.Answer]:
        """Like `run`, with the whole inputs and the positions at which outputs count."""
        return running.answers(self.network, self.task, inputs)

    def complete(
        self, inputs: Iterable[str | Sequence[Value]], most: int | None = None
    ) -> list[tuple[Value, ...]]:
        """What a next-token model writes behind inputs (`untracr.task.completing.complete`)."""
        return complete(self.network, self.task, inputs, most)

    def run_ids(self, token_ids: npt.ArrayLike) -> list[list[Output]]:
        """The outputs of token ids [B, T] (`untracr.task.running.run_ids`)."""
        return running.run_ids(self.network, self.task, token_ids)

    def trace(self, inputs: Inputs) -> Trace:
        """All that the model computes on inputs, by TransformerLens' hook points, lazily.

        Args:
            inputs: in the task's words, as of `run`; or an array of token ids [B, T].

        Raises:
            InputError: one is no input of the task's, or they differ in length and the task
                has nothing that fills them up.
        """
        return trace(self.network, ids_together(self.network, self.task, inputs))

    def patched(self, patches: Patch | Sequence[Patch]) -> PatchedModel:
        """The model with some of its values replaced or added to (`untracr.network.patches`).

        Raises:
            PatchError: a patch is at a place that the model does not have.
        """
        return PatchedModel(patched(self.network, patches), self.task)

    def accuracy(self, wanted: Wanted) -> float:
        """The share of inputs on which the model is right as a whole."""
        return accuracy(self.network, self.task, wanted)

    def state_dict(self, style: str = "transformer_lens") -> dict[str, Array]:
        """The weights by a library's names (`untracr.network.state_dict.state_dict`)."""
        return state_dict(self.network, style)

    def to_torch(self) -> TorchNetwork:
        """The model as a module of PyTorch (`untracr.network.torch_module`)."""
        from untracr.network.torch_module import to_torch

        return to_torch(self.network)

    def to_transformer_lens(self) -> Any:
        """The model as one of TransformerLens' (`untracr.network.transformer_lens`)."""
        from untracr.network.transformer_lens import to_transformer_lens

        return to_transformer_lens(self.network)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes weights, architecture, task and metadata as one file.

        Args:
            path: ends in ``.safetensors``, or of compiled weights also in ``.npz``.

        Raises:
            UsageError: another suffix.
            ModelFileError: the file cannot be written.
        """
        save_loaded(self, Path(path))

    def with_task(self, told: Told) -> LoadedModel:
        """The same model with more told of its task, which goes before what was told already.

        Raises:
            TaskError: it does not fit the network.
        """
        weights = weights_with(self.weights, told)
        model = dataclasses.replace(self, weights=weights, told=told.over(self.told))
        if not is_untold(model):
            task_of(model)
        return model

    def with_mask(self, causal: bool | None) -> LoadedModel:
        """The same model with attention masked to later positions or not; itself for None."""
        if causal is None:
            return self
        return dataclasses.replace(self, weights=_masked(self.weights, causal))


_WHAT_ELSE = (
    "only compiled weights are read as programs and compared with them. This model can be run "
    "(untracr run) and looked into (untracr explain), and a program be tested as a hypothesis "
    "about it (untracr test)"
)
"""What can be done with a model of another form."""


def _masked(weights: Transformer | Network, causal: bool) -> Transformer | Network:
    match weights:
        case Transformer():
            return weights.replace(causal=causal)
        case Network(architecture):
            return weights.replace(architecture=dataclasses.replace(architecture, causal=causal))
