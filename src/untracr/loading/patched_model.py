"""A loaded model with patches, in its task's words."""

from __future__ import annotations

from dataclasses import dataclass

from untracr.network.patching import Patched
from untracr.network.tracing import Trace
from untracr.task.outputs import Output
from untracr.task.task import Task
from untracr.task.together import Inputs, ids_together, outputs_together


@dataclass(frozen=True, eq=False, repr=False)
class PatchedModel:
    """What a model computes when some of its values are changed; see `LoadedModel.patched`.

    Attributes:
        patched: the network and the patches.
        task: the words of inputs and outputs.
    """

    patched: Patched
    task: Task

    def __repr__(self) -> str:
        return repr(self.patched).replace("<Patched", "<PatchedModel", 1)

    def run(self, inputs: Inputs) -> list[list[Output]]:
        """The outputs at the positions that count; no answer is written on.

        Args:
            inputs: as of `LoadedModel.trace`.

        Raises:
            InputError: one is no input of the task's.
            PatchError: values do not fit these inputs.
            ModelFileError: outputs are no finite numbers, or there is no read-out.
        """
        ids = ids_together(self.patched.network, self.task, inputs)
        return outputs_together(self.task, ids, self.patched.run(ids))

    def trace(self, inputs: Inputs) -> Trace:
        """All that is computed with the patches made, as of `LoadedModel.trace`."""
        return self.patched.trace(ids_together(self.patched.network, self.task, inputs))
