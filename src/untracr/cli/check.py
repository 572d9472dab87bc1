"""``untracr check``: what is wrong with a program, whether two give the same, certificates."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from untracr.cli.certificates import add_model_option, check_certificates, is_json
from untracr.cli.command import NO, OK, Command, Parser
from untracr.cli.comparing import compare
from untracr.cli.output import add_json_option, print_json, say, verification_json
from untracr.cli.programs import (
    DEFAULT_EXACTNESS,
    PROGRAM_HELP,
    GivenProgram,
    add_causal_option,
    add_domain_options,
    add_exactness_option,
    read_program,
)
from untracr.cli.reading_options import add_rows_options, refuse_rows_options
from untracr.cli.saved_models import is_model
from untracr.errors import UsageError

if TYPE_CHECKING:
    from untracr.diagnose.checks import Checked


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "programs",
        metavar="PROGRAM",
        nargs="+",
        help=f"{PROGRAM_HELP}; with --against also a model; or certificates that untracr "
        "decompile wrote",
    )
    parser.add_argument(
        "--against",
        metavar="OTHER",
        help="a second program or a saved model (.safetensors, .npz): decide whether both give "
        "the same output on every input, or show one on which they do not",
    )
    add_model_option(parser)
    add_domain_options(parser)
    add_causal_option(parser)
    add_rows_options(parser)
    add_exactness_option(parser)
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Prints problems, or the outcome of the comparison, or of replaying certificates."""
    if any(is_json(file) for file in args.programs):
        refuse_rows_options(args, "models; a certificate says itself which rows are which")
        return check_certificates(args)
    if len(args.programs) > 1:
        raise UsageError(
            f"one PROGRAM is checked at a time, not {len(args.programs)}; two are compared by "
            "--against, and of certificates there may be several"
        )
    if args.model is not None:
        raise UsageError("--model is the model of a certificate; there is no certificate here")
    if args.against is not None:
        return compare(args.programs[0], args.against, args)
    refuse_rows_options(args, "models, which are compared by --against")
    if is_model(args.programs[0]):
        raise UsageError(
            "a model is compared with a program or another model by --against; what program it "
            "holds is read by untracr decompile"
        )
    return _check(read_program(args.programs[0]), args)


def _check(given: GivenProgram, args: argparse.Namespace) -> int:
    from untracr.diagnose.checks import check_weights

    domain = given.domain(args)
    found = check_weights(
        given.program,
        domain.vocab,
        domain.max_seq_len,
        causal=given.causal(args),
        mlp_exactness=args.mlp_exactness,
    )
    problems = found.problems
    errors = sum(problem.severity == "error" for problem in problems)
    if args.json:
        fields = ("severity", "expression", "rule", "fix")
        shown = [{name: getattr(problem, name) for name in fields} for problem in problems]
        told = {"mlp_exactness": found.mlp_exactness, **verification_json(found.verification)}
        print_json({"ok": not errors, "problems": shown, **told})
    else:
        for problem in problems:
            say(problem)
        print(_summary(found, args, causal=given.causal(args)))
    return NO if errors else OK


def _summary(found: Checked, args: argparse.Namespace, *, causal: bool) -> str:
    errors = sum(problem.severity == "error" for problem in found.problems)
    warnings = _count(len(found.problems) - errors, "warning")
    if errors or found.verification is None:
        return f"not fine: {_count(errors, 'error')}, {warnings}"
    with_what = ["causal attention"] if causal else []
    if args.mlp_exactness != DEFAULT_EXACTNESS:
        with_what.append(f"mlp_exactness {found.mlp_exactness:g}")
    told = f"with {' and '.join(with_what)} " if with_what else ""
    known = found.verification
    if known.exhaustive:
        return f"fine: {told}the weights mean what the program says, {known.where}; {warnings}"
    return f"no fault found {told}{known.where}; of the others nothing is known; {warnings}"


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


COMMAND = Command(
    name="check",
    summary="list what is wrong with a program, compare two or a model, replay certificates",
    example="untracr check sort --against sort_unique",
    configure=configure,
    run=run,
)
