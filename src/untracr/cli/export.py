"""``untracr export``: a training checkpoint to a small file for release."""

from __future__ import annotations

import argparse
from pathlib import Path

from untracr.cli.command import OK, Command, Parser
from untracr.cli.extras import training_extra
from untracr.cli.output import say
from untracr.errors import UsageError


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="as untracr train left it"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="a .safetensors file: the network alone, in 16 bits",
    )


def run(args: argparse.Namespace) -> int:
    """Writes the file."""
    if args.output.suffix.lower() != ".safetensors":
        raise UsageError(f"--output must end in .safetensors, not {args.output.name!r}")
    with training_extra():
        from untracr.train.release import export

    export(args.checkpoint, args.output)
    say(f"wrote {args.output}: {args.output.stat().st_size:,} bytes")
    return OK


COMMAND = Command(
    name="export",
    summary="write a trained meta-model as a small file for decompile --checkpoint",
    example="untracr export runs/mine/checkpoint.safetensors -o mine.safetensors",
    configure=configure,
    run=run,
)
