"""``untracr export``: a training checkpoint to a small file for release."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from untracr.cli.command import OK, Command, Parser
from untracr.cli.extras import training_extra
from untracr.cli.output import say
from untracr.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command is given; `configure` says what each means."""

    checkpoint: Path
    output: Path


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


def run(options: Options) -> int:
    """Writes the file."""
    if options.output.suffix.lower() != ".safetensors":
        raise UsageError(f"--output must end in .safetensors, not {options.output.name!r}")
    with training_extra():
        from untracr.train.release import export

    export(options.checkpoint, options.output)
    say(f"wrote {options.output}: {options.output.stat().st_size:,} bytes")
    return OK


COMMAND = Command(
    name="export",
    summary="write a trained meta-model as a small file for decompile --checkpoint",
    example="untracr export runs/mine/checkpoint.safetensors -o mine.safetensors",
    configure=configure,
    options=Options,
    run=run,
)
