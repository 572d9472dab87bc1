"""Building a data set: drawing, planning, compiling, each step once and for good.

Every file is written whole, and says by being there that it need not be made
again. Killed at any moment, a build goes on where it was.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from untracr.dataset.card import card_files
from untracr.dataset.drawing import DrawContext, Drawn, draw_block, read_drawn
from untracr.dataset.engine import Engine
from untracr.dataset.excluded import NOTHING_EXCLUDED, Excluded
from untracr.dataset.folder import DatasetFolder, json_bytes, read_json, write_file
from untracr.dataset.manifest import (
    Manifest,
    beginning,
    manifest_of,
    read_manifest,
    require_complete,
    require_same,
)
from untracr.dataset.planning import Plan, Shard, make_plan, planned_indices, read_plan, shards
from untracr.dataset.settings import DatasetSettings
from untracr.dataset.shards import ShardTask, make_shard
from untracr.errors import DatasetError

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many files of it are done, and how many there are."""


def silent(what: str, done: int, total: int) -> None:
    """No progress is shown."""


def build_dataset(
    out: Path,
    settings: DatasetSettings,
    engine: Engine,
    excluded: Excluded = NOTHING_EXCLUDED,
    progress: Progress = silent,
) -> Manifest:
    """Builds a data set, or goes on building it.

    The same settings give the same bytes, with any engine and any number of workers.

    Args:
        out: its folder; new, empty, or one that was begun with the same settings.
        settings: what it is made of.
        engine: who does the work.
        excluded: what it must not hold.
        progress: told of every finished file.

    Raises:
        DatasetError: the folder is in use, holds something else, or was begun with
            other settings; the disk is full; there are not so many programs.
    """
    folder = DatasetFolder(out)
    with folder.locked():
        build = _Build(folder, settings, engine, excluded, progress)
        return build.run()


@dataclass(frozen=True)
class _Build:
    folder: DatasetFolder
    settings: DatasetSettings
    engine: Engine
    excluded: Excluded
    progress: Progress

    def run(self) -> Manifest:
        """All steps; what is there is not done again."""
        begun = beginning(self.settings, self.excluded)
        if self.folder.manifest.exists():
            del begun["versions"]  # it is finished, and stays as it is
            require_same(self.folder, read_json(self.folder.manifest), begun)
            self.folder.remove_work()
            return read_manifest(self.folder.root)
        self._begin(begun)
        plan = self._plan()
        notes = (self._note(shard) for shard in self._compile(plan))
        manifest = manifest_of(self.settings, self.excluded, plan, notes)
        require_complete(manifest)
        for name, data in card_files(manifest).items():
            write_file(self.folder.root / name, data)
        write_file(self.folder.manifest, json_bytes(manifest.as_dict()))
        self.folder.remove_work()
        return read_manifest(self.folder.root)

    def _begin(self, begun: dict[str, object]) -> None:
        folder = self.folder
        if folder.settings.exists():
            require_same(folder, read_json(folder.settings), begun)
        else:
            stranger = folder.stranger()
            if stranger is not None:
                raise DatasetError(
                    f"{folder.root} holds something else ({stranger.relative_to(folder.root)}); "
                    "a data set needs a folder of its own"
                )
        try:
            folder.create()
        except OSError as error:
            raise DatasetError(f"{folder.root}: {error.strerror}") from None
        if not folder.settings.exists():
            write_file(folder.settings, json_bytes(begun))

    def _plan(self) -> Plan:
        plan = read_plan(self.folder)
        if plan is None:
            return self._draw()
        self._draw_blocks(-(-plan.drawn // self.settings.shard_size))  # those that were deleted
        return plan

    def _draw(self) -> Plan:
        blocks = -(-self.settings.programs // self.settings.shard_size)
        while True:
            self._draw_blocks(blocks)
            wanted = make_plan(self.folder, self.settings, blocks)
            if wanted == blocks:
                break
            blocks = wanted
        plan = read_plan(self.folder)
        assert plan is not None
        return plan

    def _draw_blocks(self, blocks: int) -> None:
        missing = [b for b in range(blocks) if not self.folder.block(b).exists()]
        done = blocks - len(missing)
        context = DrawContext(self.settings, self.excluded)
        for block, data in self.engine.run(draw_block, context, missing):
            write_file(self.folder.block(block), data)
            done += 1
            self.progress("drawing", done, blocks)

    def _compile(self, plan: Plan) -> list[Shard]:
        wanted = shards(plan, self.settings.shard_size)
        missing = [shard for shard in wanted if not self._is_done(shard)]
        done = len(wanted) - len(missing)
        tasks = (self._task(shard) for shard in missing)
        for task, made in self.engine.run(make_shard, self.settings, tasks):
            write_file(self.folder.shard(task.name), made.data)
            write_file(self.folder.note(task.name), json_bytes(made.note))
            done += 1
            self.progress("compiling", done, len(wanted))
        return wanted

    def _is_done(self, shard: Shard) -> bool:
        path = self.folder.shard(shard.name)
        try:
            note = read_json(self.folder.note(shard.name))
        except DatasetError:
            return False
        return path.exists() and path.stat().st_size == note.get("bytes")

    def _note(self, shard: Shard) -> dict[str, object]:
        return read_json(self.folder.note(shard.name))

    def _task(self, shard: Shard) -> ShardTask:
        return ShardTask(shard.name, tuple(self._drawn(shard)))

    def _drawn(self, shard: Shard) -> Iterator[Drawn]:
        """A shard's programs; one block of drawn ones is in memory at a time."""
        indices = planned_indices(self.folder, shard)
        for number, here in itertools.groupby(indices, lambda i: i // self.settings.shard_size):
            wanted = list(here)
            block = read_drawn(self.folder.block(number), wanted)
            yield from (block[index] for index in wanted)
