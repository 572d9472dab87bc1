"""``untracr check X --against Y``: programs and saved models, compared on every input."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from untracr.cli.check_options import CheckOptions
from untracr.cli.command import NO, OK
from untracr.cli.output import print_json, say
from untracr.cli.programs import read_program
from untracr.cli.reading_options import refuse_rows_options
from untracr.cli.saved_models import is_model_or_folder, read_saved, tell_assumed
from untracr.cli.values import show_values
from untracr.errors import UsageError
from untracr.shown_text import count

if TYPE_CHECKING:
    from untracr.explain.comparing import Compared
    from untracr.rasp.domain import Domain
    from untracr.rasp.equivalence import CounterExample


def compare(fst: str, snd: str, options: CheckOptions) -> int:
    """Compares what two arguments name, and prints the outcome.

    A model's own tokens and longest input are the domain, of two models the shorter.

    Raises:
        UsageError: an option does not go with models.
        UntracrError: something cannot be read, or has no outputs to compare.
    """
    match is_model_or_folder(fst), is_model_or_folder(snd):
        case False, False:
            return _programs(fst, snd, options)
        case True, True:
            return _models(fst, snd, options)
        case True, False:
            return _model_and_program(fst, snd, options, model_first=True)
        case _:
            return _model_and_program(snd, fst, options, model_first=False)


def _programs(fst: str, snd: str, options: CheckOptions) -> int:
    from untracr.explain.comparing import compare_programs

    refuse_rows_options(options, "models; neither is one")
    left, right = read_program(fst), read_program(snd)
    given = left if left.named is not None else right
    domain, causal = given.domain(options), given.causal(options)
    found = compare_programs(left.program, right.program, domain, causal=causal)
    return _tell(found, options, causal=causal)


def _model_and_program(
    model_file: str, program: str, options: CheckOptions, *, model_first: bool
) -> int:
    from untracr.explain.comparing import compare_outputs
    from untracr.rasp.equivalence import CounterExample

    model, given = read_saved(model_file, options), read_program(program)
    domain = _within(model.domain, options)
    compared = compare_outputs(model.model, given.program, domain)
    example = compared.counterexample
    if example is not None and not model_first:
        example = CounterExample(example.input, example.snd_output, example.fst_output)
        compared = replace(compared, counterexample=example)
    code = _tell(compared, options, causal=model.model.causal)
    tell_assumed(model)
    return code


def _models(fst: str, snd: str, options: CheckOptions) -> int:
    from untracr.explain.comparing import compare_outputs
    from untracr.rasp.domain import Domain

    left, right = read_saved(fst, options), read_saved(snd, options)
    if set(left.domain.vocab) != set(right.domain.vocab):
        raise UsageError(
            "models are compared on the same tokens; "
            f"{left.path} has {show_values(left.domain.vocab)}, "
            f"{right.path} {show_values(right.domain.vocab)} (--vocab names those of both)"
        )
    longest = min(left.domain.max_seq_len, right.domain.max_seq_len)
    domain = _within(Domain(left.domain.vocab, longest), options)
    code = _tell(compare_outputs(left.model, right.with_vocab(domain.vocab), domain), options)
    tell_assumed(left, right)
    return code


def _within(domain: Domain, options: CheckOptions) -> Domain:
    """A model's domain, or inputs of at most --max-seq-len."""
    from untracr.rasp.domain import Domain

    if options.max_seq_len is None:
        return domain
    if options.max_seq_len > domain.max_seq_len:
        raise UsageError(
            f"--max-seq-len must be at most the model's longest input, {domain.max_seq_len}, "
            f"not {options.max_seq_len}"
        )
    return Domain(domain.vocab, options.max_seq_len)


def _tell(compared: Compared, options: CheckOptions, *, causal: bool = False) -> int:
    if options.json:
        counts = {"inputs_checked": compared.inputs_checked, "domain_size": compared.domain_size}
        example = _plain(compared.counterexample)
        equal = None if compared.equal and not compared.is_shown else compared.equal
        unclear = None if compared.unclear is None else list(compared.unclear)
        print_json({"equal": equal, **counts, "counterexample": example, "unclear": unclear})
    else:
        say(_sentence(compared) + (" (with causal attention)" if causal else ""))
    return OK if compared.is_shown else NO


def _plain(example: CounterExample | None) -> dict[str, object] | None:
    if example is None:
        return None
    outputs = {"output": list(example.fst_output), "other_output": list(example.snd_output)}
    return {"input": list(example.input), **outputs}


def _sentence(compared: Compared) -> str:
    example = compared.counterexample
    if example is not None:
        return (
            f"different: {show_values(example.input)} gives {show_values(example.fst_output)} "
            f"and {show_values(example.snd_output)}"
        )
    if compared.is_shown:
        return f"equal: the same output on all {compared.inputs_checked:,} inputs"
    if compared.unclear is not None:
        return (
            f"not shown: the same output on {compared.inputs_checked:,} different inputs, but "
            f"on {show_values(compared.unclear)} a model reads out two values as strongly, or "
            "others in double precision: rounding decides"
        )
    return (
        f"not shown: the same output on {compared.inputs_checked:,} different inputs, but there "
        f"are {count(compared.domain_size)}; --max-seq-len of fewer tokens may let all be compared"
    )
