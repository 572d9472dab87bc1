"""``untracr dataset info``: what a data set holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from untracr.cli.command import OK, Command, Parser
from untracr.cli.extras import dataset_extra
from untracr.cli.output import JsonOption, add_json_option, print_json, say
from untracr.shown_text import printable

if TYPE_CHECKING:
    from untracr.dataset.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class Options(JsonOption):
    """What the command is given; `configure` says what each means."""

    out: Path


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument("out", type=Path, metavar="OUT", help="its folder")
    add_json_option(parser)


def run(options: Options) -> int:
    """Prints counts."""
    with dataset_extra():
        from untracr.dataset.manifest import read_manifest

    print_info(options.out, read_manifest(options.out), as_json=options.json)
    return OK


def print_info(root: Path, manifest: Manifest, *, as_json: bool) -> None:
    """Prints what a manifest says, but for the single shards."""
    from untracr.dataset.card import in_order
    from untracr.dataset.settings import SPLITS

    if as_json:
        content = manifest.as_dict()
        shards = content.pop("shards")
        print_json({"folder": str(root), **content, "files": len(shards), "bytes": manifest.bytes})
        return
    plan = manifest.plan
    say(f"{printable(root)}: {sum(plan.rows.values()):,} programs, {_size(manifest.bytes)}")
    for split in SPLITS:
        files = manifest.of_split(split)
        size = _size(sum(shard.bytes for shard in files))
        say(f"  {split:<11} {plan.rows[split]:>12,} programs {len(files):>7,} files {size:>10}")
    for name in ("lengths", "layers", "treatments", "domains", "parameters"):
        counts = in_order(manifest.statistics[name])
        say(f"  {name}: {', '.join(f'{value} {count:,}' for value, count in counts.items())}")
    say(
        f"  drawn: {plan.drawn:,} of seed {manifest.settings.seed}, {plan.repeated:,} repeated "
        f"({plan.repeated / plan.drawn:.1%}), {plan.excluded:,} excluded"
    )
    if manifest.excluded["sets"]:
        say(f"  apart from: {', '.join(manifest.excluded['sets'])}")
    say(f"  made with: {', '.join(f'{n} {v}' for n, v in manifest.versions.items())}")


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}" if unit != "B" else f"{count} B"
        count /= 1000
    return f"{count:,.1f} TB"


COMMAND = Command(
    name="info",
    summary="say what a data set holds",
    example="untracr dataset info programs",
    configure=configure,
    options=Options,
    run=run,
)
