"""``untracr dataset show``: one row of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from untracr.cli.command import OK, Command, Parser, require_known
from untracr.cli.extras import dataset_extra
from untracr.cli.output import JsonOption, add_json_option, print_json, say
from untracr.cli.values import not_negative
from untracr.errors import UsageError
from untracr.shown_text import printable

if TYPE_CHECKING:
    from untracr.dataset.rows import Row

COLUMNS_SHOWN = (
    "seed",
    "index",
    "length",
    "treatment",
    "treatment_size",
    "max_seq_len",
    "n_parameters",
)


@dataclass(frozen=True, kw_only=True)
class Options(JsonOption):
    """What the command is given; `configure` says what each means."""

    out: Path
    index: int
    split: str
    save: Path | None


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


def run(options: Options) -> int:
    """Prints a program and the shapes of its weights."""
    with dataset_extra():
        from untracr.dataset.manifest import read_manifest
        from untracr.dataset.reading import row_of_split
        from untracr.dataset.rows import transformer_of
        from untracr.dataset.settings import SPLITS
    from untracr.loading.compiled_file import save_model

    require_known("split", options.split, SPLITS)
    manifest = read_manifest(options.out)
    count = manifest.plan.rows[options.split]
    if options.index >= count:
        raise UsageError(
            f"{options.split} has {count:,} rows, counted from 0; {options.index} is none"
        )
    row = row_of_split(options.out, manifest, options.split, options.index)
    model = transformer_of(row)
    if options.save is not None:
        save_model(options.save, model, _description(row))
    if options.json:
        print_json({name: value for name, value in row.items() if name != "weights"})
        return OK
    about = ", ".join(f"{name} {row[name]}" for name in COLUMNS_SHOWN if row[name] is not None)
    say(f"# {options.split} {options.index}: {about}\n{row['program']}")
    for entry in row["layout"]:
        say(f"# {entry['name']:<6} {' x '.join(map(str, entry['shape']))}")
    if options.save is not None:
        say(f"# wrote {printable(options.save)}")
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
    options=Options,
    run=run,
)
