"""``untracr compile``: a program to the weights that Tracr gives it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from untracr.cli.command import OK, Command, Parser
from untracr.cli.output import add_json_option, print_json, say, verification_json, warn
from untracr.cli.programs import (
    PROGRAM_HELP,
    add_causal_option,
    add_domain_options,
    add_exactness_option,
    read_program,
)
from untracr.errors import UsageError

if TYPE_CHECKING:
    from untracr.diagnose.model import CompiledModel

SUFFIXES = (".safetensors", ".npz")


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


def run(args: argparse.Namespace) -> int:
    """Writes a weights file."""
    from untracr.diagnose.causal_mask import mask_problem
    from untracr.diagnose.model import compile_rasp_to_model

    if args.output.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--output must end in .safetensors or .npz, not {args.output.name!r}")
    given = read_program(args.program)
    domain = given.domain(args)
    model = compile_rasp_to_model(
        given.program,
        domain.vocab,
        domain.max_seq_len,
        causal=given.causal(args),
        mlp_exactness=args.mlp_exactness,
        strict=not args.no_strict,
    )
    model.save(args.output)
    _print_model(model, args)
    masked = mask_problem(model.source, domain, args.program) if given.causal(args) else None
    if masked is not None:
        warn(masked.rule)
    return OK


def _print_model(model: CompiledModel, args: argparse.Namespace) -> None:
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
    if args.json:
        told = verification_json(model.checked)
        print_json(
            {"file": str(args.output), **sizes, "mlp_exactness": model.mlp_exactness, **told}
        )
    else:
        shown = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
        say(f"wrote {args.output}: {shown}")
        print(_told(model, is_auto=args.mlp_exactness == "auto"))


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
    run=run,
)
