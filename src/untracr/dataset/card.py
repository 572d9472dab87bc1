"""The data card: what a data set holds, for people and for the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Mapping

from untracr.dataset.bars import bar_chart
from untracr.dataset.folder import CARD
from untracr.dataset.manifest import Manifest
from untracr.dataset.settings import SPLITS
from untracr.dataset.shards import SCHEMA
from untracr.markdown_table import markdown_table

SIZE_CATEGORIES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
    (10**11, "10B<n<100B"),
    (10**12, "100B<n<1T"),
)

COLUMNS_EXPLAINED = {
    "seed": "of the stream of programs",
    "index": "where in the stream the program was drawn; seed and index decide on the whole row",
    "split": "train, validation or test",
    "program": "in Tracr's syntax",
    "tokens": "its canonical form, as in the paper",
    "length": "operations, inputs included when used",
    "n_layers": "transformer layers",
    "n_parameters": "weights, the read-out not counted",
    "treatment": "what was done to the compiled weights; `compiled`: nothing",
    "treatment_size": "the share of the width that a compression kept, or the noise relative "
    "to each matrix's scale; null where there is no such number",
    "vocab": "the tokens; the rows of W_E are these, then BOS and PAD",
    "max_seq_len": "the longest input, BOS not counted",
    "causal": "whether attention to later positions is masked",
    "output_values": "the value of each output as a JSON list; null where the output is a number",
    "key": "a digest of the canonical form; no two rows have the same",
    "behaviour": "a digest of what the program does; no two splits share one",
    "compiler_version": "of untracr",
    "layout": "name and shape of each array, in the order in which `weights` holds them",
    "weights": "all arrays, one after the other, each row by row",
}

PICTURES = {
    "lengths.svg": ("Length of programs, in operations", "lengths"),
    "treatments.svg": ("Treatments of the weights", "treatments"),
    "parameters.svg": ("Weights a model, less than", "parameters"),
    "operations.svg": ("Operations of all programs", "operations"),
}


def card_files(manifest: Manifest) -> dict[str, bytes]:
    """The card and its pictures, by file name."""
    assert list(COLUMNS_EXPLAINED) == SCHEMA.names
    files = {CARD: card(manifest).encode()}
    for name, (title, counted) in PICTURES.items():
        files[name] = bar_chart(title, in_order(manifest.statistics[counted])).encode()
    return files


def in_order(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts of numbers by number, with thousands marked; other counts, the largest first."""
    if all(name.isdecimal() for name in counts):
        return {f"{int(name):,}": counts[name] for name in sorted(counts, key=int)}
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def card(manifest: Manifest) -> str:
    """The text of the card."""
    total = sum(manifest.plan.rows.values())
    return "\n".join(
        [
            _front_matter(manifest, total),
            "# RASP programs and the transformers they compile to",
            "",
            f"{total:,} different RASP programs, drawn at random and compiled by untracr to the "
            "weights that Tracr gives them. The weights of some are changed afterwards, see "
            "*Treatments*.",
            "",
            _sizes(manifest),
            "",
            _splits(manifest),
            "",
            "## Reading it",
            "",
            _READING,
            "",
            "## Columns",
            "",
            markdown_table(
                ["column", "type", "what it is"],
                [(f"`{f.name}`", f"`{f.type}`", COLUMNS_EXPLAINED[f.name]) for f in SCHEMA],
            ),
            "",
            "## What is in it",
            "",
            *(f"![{title}]({name})\n" for name, (title, _) in PICTURES.items()),
            _table("programs of domain, tokens x longest input", manifest, "domains"),
            "",
            _table("models of layers", manifest, "layers"),
            "",
            "## Treatments",
            "",
            _treatments(manifest),
            "",
            "## How it was made",
            "",
            _making(manifest),
            "",
        ]
    )


def _front_matter(manifest: Manifest, total: int) -> str:
    category = next((name for most, name in SIZE_CATEGORIES if total < most), "n>1T")
    lines = [
        "---",
        "pretty_name: RASP programs and the transformers they compile to",
        "tags:",
        *(f"- {tag}" for tag in ("interpretability", "rasp", "tracr", "weights", "untracr")),
        "size_categories:",
        f"- {category}",
        "configs:",
        "- config_name: default",
        "  data_files:",
    ]
    for split in SPLITS:
        if manifest.plan.rows[split]:
            lines += [f"  - split: {split}", f"    path: data/{split}-*.parquet"]
    return "\n".join([*lines, "---", ""])


def _sizes(manifest: Manifest) -> str:
    lines: list[tuple[str, ...]] = []
    for split in SPLITS:
        shards = manifest.of_split(split)
        rows, size = sum(s.rows for s in shards), sum(s.bytes for s in shards)
        lines.append((split, f"{rows:,}", f"{len(shards):,}", f"{size:,}"))
    return markdown_table(["split", "programs", "files", "bytes"], lines)


def _splits(manifest: Manifest) -> str:
    domain = manifest.settings.behaviour_domain
    text = (
        "No program occurs twice. A program's behaviour alone decides on its split, so that no "
        "program of one split behaves as one of another, nor as one of another split of any other "
        f"data set of these shares and inputs. Behaviour is what it puts out on fixed inputs over "
        f"{len(domain.vocab)} tokens and up to {domain.max_seq_len} positions: programs that "
        "behave the same on all inputs of their domains have the same there. Programs of one "
        "split may well behave the same."
    )
    if manifest.excluded["sets"]:
        names = ", ".join(manifest.excluded["sets"])
        text += (
            "\n\nLeft out are all programs that are, or on its inputs behave like, one of: "
            f"{names}."
        )
    return text


_READING = """```python
from datasets import load_dataset
from untracr.dataset import transformer_of

rows = load_dataset("PATH", split="train")  # or pandas.read_parquet, polars, DuckDB
model = transformer_of(rows[0])  # model.W_E, model.W_Q, ..., model.forward(token_ids)
```

`untracr.dataset.cut_weights(row["weights"], row["layout"])` gives the arrays alone. Without
untracr: cut `weights` into pieces of the sizes of the shapes in `layout`, and reshape each. Names
and shapes are TransformerLens' with a leading axis for the layers, `W_U` is the read-out."""


def _table(what: str, manifest: Manifest, counted: str) -> str:
    counts = in_order(manifest.statistics[counted])
    return markdown_table([what, ""], [(name, f"{count:,}") for name, count in counts.items()])


def _treatments(manifest: Manifest) -> str:
    counts = in_order(manifest.statistics["treatments"])
    rows = [(f"`{name}`", f"{count:,}") for name, count in counts.items()]
    return markdown_table(["treatment", "models"], rows)


def _making(manifest: Manifest) -> str:
    settings, plan = manifest.settings, manifest.plan
    versions = ", ".join(f"{name} {number}" for name, number in manifest.versions.items())
    share = plan.repeated / plan.drawn
    return (
        f"These are the first {settings.programs:,} different programs of the sampler's stream of "
        f"seed {settings.seed}, of lengths {settings.sampler.min_length} to "
        f"{settings.sampler.max_length}: of {plan.drawn:,} draws {plan.repeated:,} ({share:.1%}) "
        f"repeated an earlier program and {plan.excluded:,} were left out for what they do. "
        f"Made with {versions}. `manifest.json` has all settings and the SHA-256 of every file; "
        "`untracr dataset verify` checks them, and makes a sample of the rows again."
    )
