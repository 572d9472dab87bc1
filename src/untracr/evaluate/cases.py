"""Models whose programs are known: a folder of them, random ones, or the library's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from untracr.compile.canonical import canonicalise, paper_tokens, program_from_paper_tokens
from untracr.compile.compiler import compile_program
from untracr.compile.lowering import lower_selectors
from untracr.errors import ModelFileError, ProgramError
from untracr.evaluate.reference import Reference, read_references
from untracr.loading.loading import load_model
from untracr.rasp.domain import BOS, PAD, Domain
from untracr.rasp.nodes import INDICES, TOKENS
from untracr.rasp.program import Program
from untracr.read.operations import MAX_OPERATIONS, operation_of
from untracr.sample.sampler import PAPER, SamplerSettings, sample_program
from untracr.short_repr import short_repr
from untracr.syntax.hand_written import HAND_WRITTEN
from untracr.syntax.library import LIBRARY, NamedProgram
from untracr.transformer.token_rows import in_standard_order
from untracr.transformer.transformer import Transformer


@dataclass(frozen=True)
class Case:
    """A model and its true program.

    Attributes:
        name: of the model.
        tokens: the reference's canonical token list.
        program: the reference, in canonical form.
        domain: vocabulary and longest input.
        load: gives the weights, the last two rows of W_E being BOS and PAD.
        source: the reference in Tracr's syntax with the names that it was compiled
            with, which decide the order of heads, neurons and axes; empty if not
            known.
    """

    name: str
    tokens: tuple[str, ...]
    program: Program
    domain: Domain
    load: Callable[[], Transformer]
    source: str = ""

    __repr__ = short_repr

    @property
    def in_language(self) -> bool:
        """Whether the meta-model's closed lists hold all that the program uses."""
        slots = {ref: number for number, ref in enumerate(self.program.sops)}
        operations = [ref for ref in slots if ref not in (TOKENS, INDICES)]
        try:
            for ref in operations:
                operation_of(self.program, ref, slots)
        except ProgramError:
            return False
        return len(operations) <= MAX_OPERATIONS


@dataclass(frozen=True)
class CaseSet:
    """Models to be judged together.

    Attributes:
        title: one line that says what they are.
        cases: in order.
        listed: whether they have names of their own and are worth a line each.
    """

    title: str
    cases: tuple[Case, ...]
    listed: bool

    __repr__ = short_repr


def folder_cases(folder: Path) -> CaseSet:
    """The models that a folder's ``programs.jsonl`` lists (see `read_references`).

    Raises:
        ModelFileError: the list or a model is missing, or a line is malformed.
    """
    cases = tuple(_folder_case(folder, reference) for reference in read_references(folder))
    return CaseSet(f"{_count(cases)} of the folder {folder.resolve().name}", cases, listed=True)


def _folder_case(folder: Path, reference: Reference) -> Case:
    path = folder / f"{reference.name}.npz"
    if not path.exists():
        raise ModelFileError(f"{path} is missing, though programs.jsonl lists it")
    try:
        program = program_from_paper_tokens(reference.tokens)
    except ProgramError as error:
        raise ModelFileError(
            f"{folder / 'programs.jsonl'}: the program of {reference.name} cannot be read: {error}"
        ) from None
    return Case(
        reference.name,
        reference.tokens,
        program,
        reference.domain,
        lambda: in_standard_order(load_model(path), reference.domain.vocab)[0],
        reference.source,
    )


def sampled_cases(seed: int, count: int, settings: SamplerSettings = PAPER) -> CaseSet:
    """Programs 0 to ``count - 1`` of a stream of our sampler, compiled without a read-out."""
    cases = tuple(_sampled_case(seed, index, settings) for index in range(count))
    lengths = f"{settings.min_length} to {settings.max_length}"
    title = f"{_count(cases)} of our sampler, seed {seed}, lengths {lengths}"
    return CaseSet(title, cases, listed=False)


def _sampled_case(seed: int, index: int, settings: SamplerSettings) -> Case:
    program, domain = sample_program(seed, index, settings), settings.domain
    load = partial(_compiled, program, domain, causal=False, read_out=False)
    return Case(f"{seed}/{index}", tuple(paper_tokens(program)), program, domain, load)


def library_cases() -> CaseSet:
    """The package's named programs on the inputs they are meant for, with their read-outs."""
    cases = tuple(map(_library_case, (*LIBRARY, *HAND_WRITTEN)))
    return CaseSet(f"{_count(cases)} of the library and written by hand", cases, listed=True)


def _library_case(named: NamedProgram) -> Case:
    domain = named.domain
    program = canonicalise(lower_selectors(named.program, domain.vocab, domain.max_seq_len))
    load = partial(_compiled, program, domain, causal=named.causal, read_out=True)
    return Case(named.name, tuple(paper_tokens(program)), program, domain, load)


def _compiled(program: Program, domain: Domain, *, causal: bool, read_out: bool) -> Transformer:
    compiled = compile_program(program, domain.vocab, domain.max_seq_len, causal=causal)
    model = compiled.with_rows((*domain.vocab, BOS, PAD)).transformer
    return model if read_out else model.replace(W_U=None, output_values=None)


def _count(cases: tuple[Case, ...]) -> str:
    return f"{len(cases)} program{'' if len(cases) == 1 else 's'}"
