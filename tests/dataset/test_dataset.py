"""Data sets: what they hold, that nothing decides on it but the settings, and every way to fail."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import untracr.dataset.folder
import untracr.dataset.planning
from dataset_samples import HERE, SETTINGS, TINY, contents, rows_of
from untracr.cli import main
from untracr.compile.compiler import compile_program
from untracr.dataset import (
    DatasetSettings,
    Excluded,
    LocalEngine,
    Manifest,
    build_dataset,
    cut_weights,
    domain_of,
    excluding,
    program_of,
    read_manifest,
    transformer_of,
    verify_dataset,
)
from untracr.dataset.distinct import mark_first_of_each, records
from untracr.dataset.drawing import DrawContext, draw_block, read_drawn
from untracr.dataset.settings import SPLITS
from untracr.errors import DatasetError
from untracr.loading.loading import load_model
from untracr.rasp.domain import PAPER_DOMAIN
from untracr.rasp.equivalence import behaviour_key
from untracr.sample.deduplication import program_key
from untracr.sample.domains import OtherDomains
from untracr.sample.exclusion import Exclusion
from untracr.sample.sampler import SamplerSettings, sample_program
from untracr.sample.treatment_shares import SHARED, TreatmentShares
from untracr.syntax.parsing import parse


@pytest.mark.slow
def test_the_number_of_workers_changes_no_byte(built: Path, tmp_path: Path) -> None:
    """One worker and three give the same files, treated weights too."""
    build_dataset(tmp_path, SETTINGS, LocalEngine(3))
    assert contents(tmp_path) == contents(built)


@pytest.mark.slow
def test_programs_are_the_first_different_ones_of_the_stream(built: Path) -> None:
    """As many as asked for; each program of the stream up to the last is there, once."""
    rows = rows_of(built)
    plan = read_manifest(built).plan
    assert len(rows) == SETTINGS.programs == sum(plan.rows.values())
    first: dict[bytes, int] = {}
    for index in range(plan.drawn):
        first.setdefault(program_key(sample_program(SETTINGS.seed, index)), index)
    assert sorted(row["index"] for row in rows) == sorted(first.values())
    assert plan.repeated == plan.drawn - SETTINGS.programs > 0
    assert plan.excluded == 0


def test_splits_share_no_program_and_no_behaviour(built: Path) -> None:
    """By canonical form, by the column, and by what programs really do on all inputs."""
    of_key: dict[str, set[str]] = {}
    of_column: dict[str, set[str]] = {}
    of_behaviour: dict[bytes, set[str]] = {}
    for row in rows_of(built):
        split = row["split"]
        of_key.setdefault(row["key"], set()).add(split)
        of_column.setdefault(row["behaviour"], set()).add(split)
        key = behaviour_key(program_of(row["tokens"]), PAPER_DOMAIN)
        of_behaviour.setdefault(key, set()).add(split)
    assert len(of_key) == SETTINGS.programs
    assert len(of_behaviour) < SETTINGS.programs  # else this test would show nothing
    for found in (of_key, of_column, of_behaviour):
        assert all(len(splits) == 1 for splits in found.values())


@pytest.mark.slow
def test_behaviours_are_in_the_same_split_at_every_seed(built: Path, tmp_path: Path) -> None:
    """A behaviour decides on its split alone, so sets of several seeds stay apart, too."""
    other = replace(SETTINGS, seed=12, treatments=TreatmentShares())
    build_dataset(tmp_path, other, HERE)
    split = {row["behaviour"]: row["split"] for row in rows_of(built)}
    common = [row for row in rows_of(tmp_path) if row["behaviour"] in split]
    assert len(common) > 10
    assert all(row["split"] == split[row["behaviour"]] for row in common)


def test_splits_have_about_their_shares(built: Path) -> None:
    """A fixed seed, so that this cannot fail by chance."""
    rows = read_manifest(built).plan.rows
    shares = [rows[split] / SETTINGS.programs for split in SPLITS]
    assert np.allclose(shares, SETTINGS.shares, atol=0.08)


def test_other_domains_share_no_behaviour_where_both_are_defined(tmp_path: Path) -> None:
    """Programs for different inputs are apart by what they do on those they have in common."""
    settings = DatasetSettings(
        80, 5, other_domains=OtherDomains(0.7), shares=(0.5, 0.25, 0.25), shard_size=40
    )
    build_dataset(tmp_path, settings, HERE)
    found: dict[bytes, set[str]] = {}
    domains = set()
    for row in rows_of(tmp_path):
        domains.add((len(row["vocab"]), row["max_seq_len"]))
        key = behaviour_key(program_of(row["tokens"]), settings.behaviour_domain)
        found.setdefault(key, set()).add(row["split"])
        assert transformer_of(row).W_E.shape[0] == len(row["vocab"]) + 2
    assert len(domains) > 10
    assert all(len(splits) == 1 for splits in found.values())
    assert verify_dataset(tmp_path, HERE, 10).faults == ()


def test_weights_are_the_compiler_s(built: Path) -> None:
    """Rows without a treatment hold what the compiler gives, to the last bit, read-out too."""
    compared = 0
    for row in rows_of(built):
        if row["treatment"] != "compiled":
            continue
        program, domain = program_of(row["tokens"]), domain_of(row)
        assert program == parse(row["program"]) == sample_program(row["seed"], row["index"])
        wanted = compile_program(program, domain.vocab, domain.max_seq_len).transformer
        found = transformer_of(row)
        for name, array in wanted.arrays().items():
            assert np.array_equal(array, getattr(found, name))
        assert wanted.W_U is not None
        assert found.W_U is not None
        assert np.array_equal(wanted.W_U, found.W_U)
        assert repr(wanted.output_values) == repr(found.output_values)
        assert (row["length"], row["n_parameters"]) == (program.length, wanted.n_parameters)
        compared += 1
    assert compared > 40


def test_every_treatment_occurs_and_changes_the_weights(built: Path) -> None:
    """As many as asked for, with their sizes."""
    rows = rows_of(built)
    counts = Counter(row["treatment"] for row in rows)
    assert set(counts) == {"compiled", *SHARED}
    assert min(counts.values()) > 10
    for row in rows:
        name, size = row["treatment"], row["treatment_size"]
        domain = domain_of(row)
        compiled = compile_program(program_of(row["tokens"]), domain.vocab, domain.max_seq_len)
        width = compiled.transformer.d_model
        model = transformer_of(row)
        assert model.d_model == (int(0.9 * width) if "compressed" in name else width)
        if name in ("compiled", "rotated"):
            assert size is None
        else:
            assert size == 0.9 if "compressed" in name else 0.001 <= size <= 0.03
        is_same = np.array_equal(model.W_E, compiled.transformer.W_E)
        assert is_same == (name == "compiled")


def test_weights_that_do_not_fit_the_layout_are_refused() -> None:
    """Nothing is cut off, nothing is filled up."""
    layout = [{"name": "a", "shape": [2, 3]}, {"name": "b", "shape": [1]}]
    found = cut_weights(np.arange(7, dtype=np.float32), layout)
    assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["b"].tolist() == [6]
    with pytest.raises(DatasetError, match="tells 7 weights, and there are 8"):
        cut_weights(np.arange(8, dtype=np.float32), layout)


@pytest.mark.slow
def test_excluded_sets_are_left_out(built: Path, tmp_path: Path) -> None:
    """Nothing that is in another data set, or behaves like it; nor the programs of a test set."""
    sampled = Exclusion.of_sampled(77, 50)
    excluded = excluding(built) | Excluded.of(sampled)
    settings = replace(SETTINGS, treatments=TreatmentShares(), programs=60)
    manifest = build_dataset(tmp_path / "apart", settings, HERE, excluded)
    assert manifest.plan.excluded >= SETTINGS.programs  # the same seed: all of these, at least
    assert manifest.excluded["sets"] == ["set", "sampled 77:50"]
    forbidden = {behaviour_key(program_of(r["tokens"]), PAPER_DOMAIN) for r in rows_of(built)}
    forbidden |= {behaviour_key(sample_program(77, i), PAPER_DOMAIN) for i in range(50)}
    rows = rows_of(tmp_path / "apart")
    assert len(rows) == 60
    assert not forbidden & {behaviour_key(program_of(r["tokens"]), PAPER_DOMAIN) for r in rows}


def test_the_first_of_many_keys_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a dictionary finds them, over many files, whatever the order of the batches."""
    monkeypatch.setattr(untracr.dataset.distinct, "SORTED_AT_ONCE", 50)
    monkeypatch.setattr(untracr.dataset.distinct, "SPREAD_AT_ONCE", 300)
    rng = np.random.default_rng(1)
    numbers = rng.integers(0, 700, size=2000)
    keys = [int(n).to_bytes(8, "big") * 2 for n in numbers * 2**40]
    batches = [
        records(b"".join(keys[start : start + 100]), np.arange(start, start + 100))
        for start in rng.permutation(np.arange(0, 2000, 100)).tolist()
    ]
    marks = np.zeros(2000, dtype=np.uint8)
    mark_first_of_each(batches, 2000, tmp_path, marks)
    first: dict[bytes, int] = {}
    for place, key in enumerate(keys):
        first.setdefault(key, place)
    assert np.flatnonzero(marks).tolist() == sorted(first.values())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_stream_that_has_run_dry_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are few programs of two operations; more cannot be had, and asking for them ends."""
    monkeypatch.setattr(untracr.dataset.planning, "LATEST_DRAWS", 500)
    settings = DatasetSettings(
        600, 1, sampler=SamplerSettings(min_length=2, max_length=2), shard_size=500
    )
    with pytest.raises(DatasetError, match=r"has run dry: .* different programs"):
        build_dataset(tmp_path, settings, HERE)


def test_blocks_leave_out_nothing_but_what_is_excluded(tmp_path: Path) -> None:
    """A block is a pure function of its arguments, and its programs are the stream's."""
    context = DrawContext(TINY, Excluded.of(Exclusion.of_sampled(TINY.seed, 5)))
    data = draw_block(context, 1)
    assert data == draw_block(context, 1)
    (tmp_path / "block").write_bytes(data)
    found = read_drawn(tmp_path / "block", range(4, 8))
    wanted = [
        index for index in range(4, 8) if not context.excluded.holds(sample_program(3, index))
    ]
    assert list(found) == wanted
    assert 4 not in wanted
    for index, drawn in found.items():
        assert drawn.key == program_key(sample_program(3, index))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a file of a data set"),
        ("[]", "must be a JSON object"),
        ('{"format": 9}', "format 1 is read; the file has 9"),
        ('{"format": 1}', "damaged: there must be drawing"),
    ],
)
def test_damaged_manifests_are_one_error(tmp_path: Path, text: str, message: str) -> None:
    """No traceback, whatever is in the file."""
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DatasetError, match=message):
        read_manifest(tmp_path)


def test_manifests_name_no_file_outside(copied: Path) -> None:
    """A stranger's manifest cannot make us read elsewhere."""
    record = json.loads((copied / "manifest.json").read_bytes())
    record["shards"][0]["name"] = "data/../../secret"
    (copied / "manifest.json").write_text(json.dumps(record))
    with pytest.raises(DatasetError, match="a shard lies in data/"):
        read_manifest(copied)


def test_manifests_come_back(built: Path) -> None:
    """What is written is read back, and statistics count every row."""
    found: Manifest = read_manifest(built)
    assert found.settings == SETTINGS
    assert json.loads((built / "manifest.json").read_bytes()) == found.as_dict()
    for name in ("lengths", "layers", "treatments", "domains", "parameters", "tokens"):
        assert sum(found.statistics[name].values()) == SETTINGS.programs
    lengths = Counter(str(row["length"]) for row in rows_of(built))
    assert found.statistics["lengths"] == lengths


@pytest.mark.slow
def test_commands(
    tmp_path: Path, tiny: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    """Built, told about, verified and shown from the command line."""
    out = str(tmp_path / "out")
    options = ("--programs", "12", "--seed", "3", "--shard-size", "4", "--workers", "1")
    assert main(["dataset", "build", out, *options]) == 0
    assert contents(tmp_path / "out") == tiny
    built = capsys.readouterr().out
    assert main(["dataset", "info", out]) == 0
    assert capsys.readouterr().out == built
    assert built.startswith(f"{out}: 12 programs, ")
    assert main(["dataset", "info", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["drawing"]["rows"]["train"] > 6
    assert main(["dataset", "verify", out, "--sample", "5", "--workers", "1"]) == 0
    assert capsys.readouterr().out.endswith("5 rows made again, no faults\n")
    saved = tmp_path / "model.npz"
    assert main(["dataset", "show", out, "1", "--save", str(saved)]) == 0
    shown = capsys.readouterr().out
    row = rows_of(tmp_path / "out")[1]
    assert row["program"] in shown
    assert "# W_E    7 x " in shown
    loaded = load_model(saved)
    assert np.array_equal(loaded.transformer.W_in, transformer_of(row).W_in)
    assert main(["run", str(saved), "1,2,3"]) == 0
    capsys.readouterr()
    assert main(["dataset", "show", out, "99"]) == 2
    assert "99 is none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--treatments", "rotatd"), "a treatment is one of rotated"),
        (("--treatments", "rotated,noisy=0.1"), "names and shares"),
        (("--splits", "0.5,0.5"), "three shares"),
        (("--splits", "0.5,0.4,0.2"), "add up to 1"),
        (("--address", "auto"), "--address goes with --engine ray"),
        (("--treatments", "noisy,compiled,noisy"), "named once"),
        (("--engine", "ray", "--address", "auto", "--workers", "3"), "has its own"),
        (("--min-length", "9"), "2 <= --min-length"),
        (("--program", "3"), "Did you mean '--programs'"),
        (("--seed", str(2**63)), "a seed must be from 0 to"),
    ],
)
def test_wrong_usage(
    tmp_path: Path,
    options: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line that says what is wrong, and nothing is made."""
    assert main(["dataset", "build", str(tmp_path / "out"), "--programs", "5", *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_sets_that_cannot_be_excluded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Itself, and what is no folder; nor can a file be built into."""
    out, file = str(tmp_path / "out"), tmp_path / "file"
    file.write_text("")
    build = ["dataset", "build", out, "--programs", "5"]
    assert main([*build, "--exclude", out]) == 2
    assert "cannot exclude itself" in capsys.readouterr().err
    assert main([*build, "--exclude", str(file)]) == 2
    assert "--exclude takes the folder of a data set or of models" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main(["dataset", "build", str(file), "--programs", "5"]) == 1
    assert "a data set is a folder, and this is a file" in capsys.readouterr().err


def test_unfinished_and_other_folders_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What to do is said."""
    assert main(["dataset", "info", str(tmp_path)]) == 1
    assert "not a data set" in capsys.readouterr().err
    (tmp_path / ".build").mkdir()
    (tmp_path / ".build" / "settings.json").write_text("{}")
    assert main(["dataset", "info", str(tmp_path)]) == 1
    assert "not finished; the command that began it goes on" in capsys.readouterr().err
