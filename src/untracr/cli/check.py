"""``untracr check``: what is wrong with a program, whether two behave the same, certificates."""

from __future__ import annotations

import argparse

from untracr.cli.certificates import add_model_option, check_certificates, is_json
from untracr.cli.command import NO, OK, Command, Parser
from untracr.cli.output import add_json_option, print_json
from untracr.cli.programs import (
    PROGRAM_HELP,
    GivenProgram,
    add_causal_option,
    add_domain_options,
    read_program,
)
from untracr.cli.values import show_values
from untracr.errors import UsageError


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "programs",
        metavar="PROGRAM",
        nargs="+",
        help=f"{PROGRAM_HELP}; or certificates that untracr decompile wrote",
    )
    parser.add_argument(
        "--against",
        metavar="OTHER",
        help="a second program: decide whether both give the same output on every input",
    )
    add_model_option(parser)
    add_domain_options(parser)
    add_causal_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Prints problems, or the outcome of the comparison, or of replaying certificates."""
    if any(is_json(file) for file in args.programs):
        return check_certificates(args)
    if len(args.programs) > 1:
        raise UsageError(
            f"one PROGRAM is checked at a time, not {len(args.programs)}; two are compared by "
            "--against, and of certificates there may be several"
        )
    if args.model is not None:
        raise UsageError("--model is the model of a certificate; there is no certificate here")
    given = read_program(args.programs[0])
    if args.against is None:
        return _check(given, args)
    if args.causal is not None:
        raise UsageError("--against compares programs, not models: --causal does not go with it")
    return _compare(given, read_program(args.against), args)


def _check(given: GivenProgram, args: argparse.Namespace) -> int:
    from untracr.compile.checks import check

    domain = given.domain(args)
    problems = check(given.program, domain.vocab, domain.max_seq_len, causal=given.causal(args))
    errors = sum(problem.severity == "error" for problem in problems)
    if args.json:
        fields = ("severity", "expression", "rule", "fix")
        shown = [{name: getattr(problem, name) for name in fields} for problem in problems]
        print_json({"ok": not errors, "problems": shown})
    else:
        for problem in problems:
            print(problem)
        print(_summary(errors, len(problems) - errors))
    return NO if errors else OK


def _summary(errors: int, warnings: int) -> str:
    if errors:
        return f"not fine: {_count(errors, 'error')}, {_count(warnings, 'warning')}"
    return f"fine: the weights mean what the program says; {_count(warnings, 'warning')}"


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _compare(fst: GivenProgram, snd: GivenProgram, args: argparse.Namespace) -> int:
    from untracr.rasp.equivalence import decide_equivalence

    domain = (fst if fst.named is not None else snd).domain(args)
    found = decide_equivalence(fst.program, snd.program, domain)
    example = found.counterexample
    if args.json:
        shown = None
        if example is not None:
            outputs = {"output": list(example.fst_output), "other_output": list(example.snd_output)}
            shown = {"input": list(example.input), **outputs}
        counts = {"equal": found.equal, "inputs_checked": found.inputs_checked}
        print_json({**counts, "counterexample": shown})
    elif example is None:
        print(f"equal: the same output on all {found.inputs_checked:,} inputs")
    else:
        print(
            f"different: {show_values(example.input)} gives {show_values(example.fst_output)} "
            f"and {show_values(example.snd_output)}"
        )
    return OK if found.equal else NO


COMMAND = Command(
    name="check",
    summary="list all that is wrong with a program, compare two, or replay certificates",
    example="untracr check sort --against sort_unique",
    configure=configure,
    run=run,
)
