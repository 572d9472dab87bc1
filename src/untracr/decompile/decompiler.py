"""Decompiling models: greedy decoding, then the verdict."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from untracr.decompile.checking import Check, check
from untracr.decompile.greedy import decode_greedily
from untracr.decompile.result import Result
from untracr.decompile.token_rows import in_standard_order, vocabulary
from untracr.errors import ModelFileError, ProgramError
from untracr.metamodel.numpy_network import NumpyNetwork
from untracr.metamodel.scope import MAX_NUMBER
from untracr.rasp.domain import Domain
from untracr.rasp.functions import Value
from untracr.rasp.printing import print_program
from untracr.rasp.program import Program
from untracr.transformer.files import LoadedModel, load_model
from untracr.transformer.transformer import Transformer

BUNDLED = "checkpoints/metamodel.safetensors"

MAX_PARAMETERS = 50_000_000
"""Weights of a model that is read; this and the next two bound time and memory."""

MAX_LAYERS = 24
"""Layers of a model that is read."""

MAX_ROWS = 1_000
"""Rows of its W_E and of its W_pos."""


class Decompiler:
    """Reads programs off weights with one loaded meta-model.

    Args:
        checkpoint: a meta-model's file; the one in the package if not given.

    Raises:
        ModelFileError: the checkpoint cannot be read.
    """

    def __init__(self, checkpoint: Path | None = None) -> None:
        self.checkpoint = checkpoint or Path(str(files("untracr") / BUNDLED))
        self._network = NumpyNetwork.load(self.checkpoint)

    def decompile(
        self,
        model: Transformer,
        *,
        name: str = "",
        vocab: Sequence[Value] | None = None,
        greedy: bool = False,
    ) -> Result:
        """Reads one model.

        Args:
            model: the weights; the last two rows of W_E are BOS and PAD.
            name: carried into the result.
            vocab: the values of the other rows; 0, 1, 2, ... if not given.
            greedy: keep the program as written, even where the model's read-out
                shows that another one of the same weights is meant.

        Raises:
            ModelFileError: the model is outside what can be read.
        """
        begun = time.perf_counter()
        require_readable(model)
        values = tuple(vocab) if vocab is not None else vocabulary(model)
        if not all(_is_token(value) for value in values):
            raise ModelFileError(
                "tokens must be None, bool, int, float or str, and numbers at most "
                f"{MAX_NUMBER:.0e} in size; one of them is not"
            )
        if len(values) != len(model.W_E) - 2:
            raise ModelFileError(
                f"a vocabulary must name all but the last two of {len(model.W_E)} token rows "
                f"(BOS and PAD), not {len(values)}"
            )
        domain = Domain(values, len(model.W_pos) - 1)
        try:
            decoded = decode_greedily(self._network, model, values)
        except ProgramError as error:
            detail = f"no program could be read: {error}"
            return self._result(name, None, Check("unverified", 0, detail), begun, domain, 0.0)
        verdict = check(model, decoded.program, domain, settle=not greedy)
        return self._result(name, verdict.program, verdict, begun, domain, decoded.log_probability)

    def decompile_files(self, paths: Iterable[Path]) -> Iterator[Result]:
        """Reads many files, one result each, in order.

        Raises:
            ModelFileError: a file is no model, or outside what can be read.
        """
        return (self.decompile_loaded(load_model(path)) for path in paths)

    def decompile_loaded(
        self,
        loaded: LoadedModel,
        *,
        name: str = "",
        vocab: Sequence[Value] | None = None,
        greedy: bool = False,
    ) -> Result:
        """Reads a model from a file that may name its token rows.

        Args:
            loaded: the file's contents.
            name: carried into the result; the file's path if not given.
            vocab, greedy: as for `decompile`; ``vocab`` goes before what the file says.

        Raises:
            ModelFileError: the model is outside what can be read.
        """
        model, values = in_standard_order(loaded, vocab)
        name = name or str(loaded.path)
        return self.decompile(model, name=name, vocab=values, greedy=greedy)

    def _result(
        self,
        name: str,
        program: Program | None,
        verdict: Check,
        begun: float,
        domain: Domain,
        log_probability: float,
    ) -> Result:
        return Result(
            name=name,
            program=program,
            source=print_program(program) if program is not None else "",
            verdict=verdict.verdict,
            inputs_checked=verdict.inputs_checked,
            detail=verdict.detail,
            seconds=time.perf_counter() - begun,
            vocab=domain.vocab,
            max_seq_len=domain.max_seq_len,
            log_probability=log_probability,
            other_programs=tuple(print_program(other) for other in verdict.others),
            evidence=verdict.evidence,
        )


def _is_token(value: object) -> bool:
    if isinstance(value, (int, float)):
        return abs(value) <= MAX_NUMBER  # and is a number
    return value is None or isinstance(value, str)


def require_readable(model: Transformer) -> None:
    """Checks that a model is of a size that can be read.

    Raises:
        ModelFileError: it is too large, or has no tokens or positions.
    """
    if model.n_parameters > MAX_PARAMETERS:
        raise ModelFileError(
            f"a model may hold at most {MAX_PARAMETERS:,} weights to be read, "
            f"not {model.n_parameters:,}"
        )
    if model.n_layers > MAX_LAYERS:
        raise ModelFileError(f"a model may have at most {MAX_LAYERS} layers, not {model.n_layers}")
    if max(len(model.W_E), len(model.W_pos)) > MAX_ROWS:
        raise ModelFileError(
            f"W_E and W_pos may have at most {MAX_ROWS:,} rows to be read, "
            f"not {len(model.W_E):,} and {len(model.W_pos):,}"
        )
    if min(model.d_model, model.d_head, model.n_heads) < 1:
        raise ModelFileError(
            "d_model, d_head and the number of heads must be at least 1, "
            f"not {model.d_model}, {model.d_head} and {model.n_heads}"
        )
    if len(model.W_E) < 3 or len(model.W_pos) < 2:
        raise ModelFileError(
            "a compiled model has rows for at least one token, BOS and PAD in W_E, and for BOS "
            f"and one position in W_pos, not {len(model.W_E)} and {len(model.W_pos)}"
        )
