"""``untracr compile``: a program to the weights that Tracr gives it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from untracr.cli.command import OK, Command, Parser
from untracr.cli.output import JsonOption, add_json_option, print_json, say, verification_json, warn
from untracr.cli.programs import (
    PROGRAM_HELP,
    CausalOption,
    DomainOptions,
    ExactnessOption,
    add_causal_option,
    add_domain_options,
    add_exactness_option,
    read_program,
)
from untracr.errors import UsageError

if TYPE_CHECKING:
    from untracr.diagnose.model import CompiledModel

SUFFIXES = (".safetensors", ".npz")


@dataclass(frozen=True, kw_only=True)
class Options(DomainOptions, CausalOption, ExactnessOption, JsonOption):
    """What the command is given; `configure` says what each means."""

    program: str
    output: Path
    no_strict: bool


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument("program", metavar="PROGRAM", help=PROGRAM_HELP)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="where the weights go; .safetensors or .npz decides the format",
    )
    add_domain_options(parser)
    add_causal_option(parser)
    add_exactness_option(parser)
    parser.add_argument(
        "--no-strict",
        action="store_true",
        help="also write weights that are wrong on some input, as Tracr does",
    )
    add_json_option(parser)


def run(options: Options) -> int:
    """Writes a weights file."""
    from untracr.diagnose.causal_mask import mask_problem
    from untracr.diagnose.model import compile_rasp_to_model

    if options.output.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--output must end in .safetensors or .npz, not {options.output.name!r}")
    given = read_program(options.program)
    domain = given.domain(options)
    model = compile_rasp_to_model(
        given.program,
        domain.vocab,
        domain.max_seq_len,
        causal=given.causal(options),
        mlp_exactness=options.mlp_exactness,
        strict=not options.no_strict,
    )
    model.save(options.output)
    _print_model(model, options)
    masked = mask_problem(model.source, domain, options.program) if given.causal(options) else None
    if masked is not None:
        warn(masked.rule)
    return OK


def _print_model(model: CompiledModel, options: Options) -> None:
    """The file's sizes, and what was shown of the weights."""
    config = model.model_config
    sizes = {
        "layers": config.num_layers,
        "heads": config.num_heads,
        "d_model": model.transformer.d_model,
        "key_size": config.key_size,
        "mlp_hidden_size": config.mlp_hidden_size,
        "parameters": model.transformer.n_parameters,
    }
    if options.json:
        told = verification_json(model.checked)
        print_json(
            {"file": str(options.output), **sizes, "mlp_exactness": model.mlp_exactness, **told}
        )
    else:
        shown = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
        say(f"wrote {options.output}: {shown}")
        print(_told(model, is_auto=options.mlp_exactness == "auto"))


def _told(model: CompiledModel, *, is_auto: bool) -> str:
    """What was shown of the weights."""
    told = "not checked" if model.checked is None else str(model.checked)
    if not is_auto:
        return told
    return f"{told}; mlp_exactness {model.mlp_exactness:g} was chosen"


COMMAND = Command(
    name="compile",
    summary="compile a RASP program to transformer weights",
    example="untracr compile reverse -o reverse.safetensors",
    configure=configure,
    options=Options,
    run=run,
)
