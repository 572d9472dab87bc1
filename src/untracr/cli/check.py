"""``untracr check``: what is wrong with a program, whether two give the same, certificates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from untracr.cli.certificates import check_certificates, is_json
from untracr.cli.check_options import CheckOptions, configure
from untracr.cli.command import NO, OK, Command
from untracr.cli.comparing import compare
from untracr.cli.output import print_json, say, verification_json
from untracr.cli.programs import DEFAULT_EXACTNESS, GivenProgram, read_program
from untracr.cli.reading_options import refuse_rows_options
from untracr.cli.saved_models import is_model_or_folder
from untracr.errors import UsageError

if TYPE_CHECKING:
    from untracr.diagnose.checks import Checked


def run(options: CheckOptions) -> int:
    """Prints problems, or the outcome of the comparison, or of replaying certificates."""
    if any(is_json(file) for file in options.programs):
        refuse_rows_options(options, "models; a certificate says itself which rows are which")
        return check_certificates(options)
    if len(options.programs) > 1:
        raise UsageError(
            f"one PROGRAM is checked at a time, not {len(options.programs)}; two are compared by "
            "--against, and of certificates there may be several"
        )
    if options.model is not None:
        raise UsageError("--model is the model of a certificate; there is no certificate here")
    if options.against is not None:
        return compare(options.programs[0], options.against, options)
    refuse_rows_options(options, "models, which are compared by --against")
    if is_model_or_folder(options.programs[0]):
        raise UsageError(
            "a model is compared with a program or another model by --against; what program it "
            "holds is read by untracr decompile"
        )
    return _check(read_program(options.programs[0]), options)


def _check(given: GivenProgram, options: CheckOptions) -> int:
    from untracr.diagnose.checks import check_weights

    domain = given.domain(options)
    checked = check_weights(
        given.program,
        domain.vocab,
        domain.max_seq_len,
        causal=given.causal(options),
        mlp_exactness=options.mlp_exactness,
    )
    problems = checked.problems
    errors = sum(problem.severity == "error" for problem in problems)
    if options.json:
        fields = ("severity", "expression", "rule", "fix")
        shown = [{name: getattr(problem, name) for name in fields} for problem in problems]
        told = {"mlp_exactness": checked.mlp_exactness, **verification_json(checked.verification)}
        print_json({"ok": not errors, "problems": shown, **told})
    else:
        for problem in problems:
            say(problem)
        print(_summary(checked, options, causal=given.causal(options)))
    return NO if errors else OK


def _summary(checked: Checked, options: CheckOptions, *, causal: bool) -> str:
    errors = sum(problem.severity == "error" for problem in checked.problems)
    warnings = _count(len(checked.problems) - errors, "warning")
    if errors or checked.verification is None:
        return f"not fine: {_count(errors, 'error')}, {warnings}"
    with_what = ["causal attention"] if causal else []
    if options.mlp_exactness != DEFAULT_EXACTNESS:
        with_what.append(f"mlp_exactness {checked.mlp_exactness:g}")
    told = f"with {' and '.join(with_what)} " if with_what else ""
    known = checked.verification
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
    options=CheckOptions,
    run=run,
)
