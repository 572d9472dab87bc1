"""``untracr dataset show``: one row of a data set."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from untracr.cli.command import OK, Command, Parser, require_known
from untracr.cli.extras import dataset_extra
from untracr.cli.output import add_json_option, print_json, say
from untracr.cli.values import not_negative
from untracr.errors import UsageError
from untracr.shown_text import printable

if TYPE_CHECKING:
    from untracr.dataset.rows import Row

SHOWN = ("seed", "index", "length", "treatment", "treatment_size", "max_seq_len", "n_parameters")


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument("out", type=Path, metavar="OUT", help="its folder")
    parser.add_argument(
        "index", type=not_negative, metavar="INDEX", help="row of the split, counted from 0"
    )
    parser.add_argument("--split", default="train", help="train, validation or test (train)")
    parser.add_argument(
        "--save",
        type=Path,
        metavar="FILE",
        help="also write the weights; .safetensors or .npz decides the format",
    )
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Prints a program and the shapes of its weights."""
    with dataset_extra():
        from untracr.dataset.manifest import read_manifest
        from untracr.dataset.reading import row_of_split
        from untracr.dataset.rows import transformer_of
        from untracr.dataset.settings import SPLITS
    from untracr.transformer.files import save_model

    require_known("split", args.split, SPLITS)
    manifest = read_manifest(args.out)
    count = manifest.plan.rows[args.split]
    if args.index >= count:
        raise UsageError(f"{args.split} has {count:,} rows, counted from 0; {args.index} is none")
    row = row_of_split(args.out, manifest, args.split, args.index)
    model = transformer_of(row)
    if args.save is not None:
        save_model(args.save, model, _description(row))
    if args.json:
        print_json({name: value for name, value in row.items() if name != "weights"})
        return OK
    about = ", ".join(f"{name} {row[name]}" for name in SHOWN if row[name] is not None)
    say(f"# {args.split} {args.index}: {about}\n{row['program']}")
    for entry in row["layout"]:
        say(f"# {entry['name']:<6} {' x '.join(map(str, entry['shape']))}")
    if args.save is not None:
        say(f"# wrote {printable(args.save)}")
    return OK


def _description(row: Row) -> dict[str, Any]:
    """What a weights file says of the row."""
    names = ("vocab", "max_seq_len", "treatment", "treatment_size", "seed", "index")
    return {**{name: row[name] for name in names}, "source": row["program"]}


COMMAND = Command(
    name="show",
    summary="print a program of a data set, and the shapes of its weights",
    example="untracr dataset show programs 0 --save model.safetensors",
    configure=configure,
    run=run,
)
