"""What files and metadata that are no task files tell of a task.

A configuration may name ids that the network lacks (GPT-2's 50256 stands in many small
ones), and a vocabulary fewer tokens than there are: what does not fit is left out, and that
is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from untracr import strict_json
from untracr.bounds import MAX_TASK_BYTES
from untracr.errors import TaskError
from untracr.rasp.values import Value, token_fault
from untracr.shown_text import printable, shown
from untracr.strangers_files import read_file
from untracr.task.documents import told_of
from untracr.task.special_names import ROLES
from untracr.task.task import Role
from untracr.task.told import TokenName, Told


@dataclass(frozen=True)
class Hints:
    """What is told by the way.

    Attributes:
        told: it.
        said: in sentences, what was taken from where and what was left out.
    """

    told: Told = field(default_factory=Told)
    said: tuple[str, ...] = ()

    def over(self, other: Hints) -> Hints:
        """This, and what another tells where this tells nothing."""
        return Hints(self.told.over(other.told), (*self.said, *other.said))


def hints_beside(folder: Path, tokens: int) -> Hints:
    """What the files of a Hugging Face folder tell, task files left out.

    Args:
        folder: where ``config.json``, ``tokenizer_config.json``, ``special_tokens_map.json``,
            ``tokenizer.json`` and ``vocab.json`` may be; one that is damaged or too large is
            left out.
        tokens: rows of the network's token embedding.
    """
    documents, said = _read(folder)
    names = Hints()
    for file in ("tokenizer.json", "vocab.json"):
        if names.told.tokens is None:
            names = names.over(hints_of_vocabulary(documents.get(file, {}), file, tokens))
    hints = Hints(said=said)
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        hints = hints.over(hints_of_tokenizer(documents.get(file, {}), file, names.told.tokens))
    return hints.over(hints_of_config(documents.get("config.json", {}), tokens)).over(names)


_FILES = (
    *("config.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("tokenizer.json", "vocab.json"),
)


def hints_of_live(model: object, tokens: int) -> Hints:
    """What a model in memory tells by its ``tokenizer`` and its Hugging Face ``config``."""
    names = Hints()
    if callable(vocabulary := getattr(getattr(model, "tokenizer", None), "get_vocab", None)):
        names = hints_of_vocabulary(dict(vocabulary()), "the tokenizer", tokens)
    if not callable(values := getattr(getattr(model, "config", None), "to_dict", None)):
        return names
    return hints_of_config(dict(values()), tokens, "the configuration").over(names)


def hints_of_config(
    config: Mapping[str, object], tokens: int, source: str = "config.json"
) -> Hints:
    """The special tokens of a Hugging Face configuration: ``bos_token_id`` and so on."""
    specials: dict[Role, TokenName | None] = {}
    left_out = []
    for role in ROLES:
        token = config.get(key := f"{role.lower()}_token_id")
        token = token[0] if isinstance(token, list) and token else token
        if type(token) is int and 0 <= token < tokens:
            specials[role] = token
        elif type(token) is int:
            left_out.append(f"{key} {token}")
    said = []
    if specials:
        given = ", ".join(f"{role} {token}" for role, token in specials.items())
        said.append(f"{source} gives the special tokens: {given}")
    if left_out:
        said.append(f"{source} has {', '.join(left_out)}, but ids are 0 to {tokens - 1}; left out")
    return Hints(Told(specials=specials, source=source), tuple(said))


def hints_of_tokenizer(
    config: Mapping[str, object], file: str, tokens: tuple[Value, ...] | None
) -> Hints:
    """The special tokens of a tokenizer's configuration, ``bos_token`` and so on, by name."""
    specials: dict[Role, TokenName | None] = {}
    for role in ROLES:
        name = config.get(f"{role.lower()}_token")
        name = name.get("content") if isinstance(name, Mapping) else name
        if isinstance(name, str) and tokens is not None and name in tokens:
            specials[role] = name
    return Hints(Told(specials=specials, source=file))


def hints_of_vocabulary(document: Mapping[str, object], file: str, tokens: int) -> Hints:
    """The names of tokens of a ``vocab.json`` or a ``tokenizer.json``."""
    ids = _names(document)
    if not ids:
        return Hints()
    names: list[Value] = list(range(tokens))
    for name, token in ids.items():
        if type(token) is not int or token < 0 or token_fault(name):
            return Hints(said=(f"{file} gives {shown(name)} the id {shown(token)}; left out",))
        if token >= tokens:
            more = f"{file} names tokens beyond the {tokens} of the network; it is left out"
            return Hints(said=(more,))
        names[token] = name
    if len(set(ids.values())) != len(ids):
        return Hints(said=(f"{file} gives one id to several names; it is left out",))
    said = _said_of_pieces(ids, file)
    if len(ids) < tokens:
        said.append(
            f"{file} names {len(ids)} of {tokens} tokens; the others are called by their ids"
        )
    return Hints(Told(tokens=tuple(names), source=file), tuple(said))


_PIECES = ("\u0120", "\u2581", "##")
"""How names of pieces of text begin: behind a space (GPT-2, Llama) or within a word (BERT)."""


def _said_of_pieces(names: Iterable[str], file: str) -> list[str]:
    """That texts are not cut as a tokenizer does, where its tokens are pieces of text."""
    piece = next((name for name in names if name.startswith(_PIECES)), None)
    if piece is None:
        return []
    return [
        f"tokens of {file} are pieces of text, as {shown(piece)}: a text is parted at spaces or "
        "commas here, not as its tokenizer does; give lists of the tokenizer's pieces"
    ]


def _names(document: Mapping[str, object]) -> dict[str, object]:
    """Ids by name: a vocabulary itself, or that of a tokenizer with the tokens added to it."""
    model = document.get("model")
    if not isinstance(model, Mapping):
        return dict(document)
    vocabulary = model.get("vocab")
    ids: dict[str, object] = dict(vocabulary) if isinstance(vocabulary, Mapping) else {}
    added = document.get("added_tokens")
    for token in added if isinstance(added, list) else ():
        if isinstance(token, Mapping) and isinstance(name := token.get("content"), str):
            ids[name] = token.get("id")
    return ids


def hints_of_metadata(metadata: Mapping[str, object]) -> Hints:
    """What a model's file says beside its weights, under ``task``.

    Raises:
        TaskError: it is no task.
    """
    if metadata.get("task") is None:
        return Hints()
    return Hints(told_of(metadata["task"], "the file's task"))


def _read(folder: Path) -> tuple[dict[str, Mapping[str, object]], tuple[str, ...]]:
    """The objects in a folder's files by name, and in sentences which files were left out."""
    documents: dict[str, Mapping[str, object]] = {}
    said = []
    for name in _FILES:
        if not (folder / name).exists():
            continue
        try:
            data = read_file(folder / name, MAX_TASK_BYTES, "this file", TaskError)
            document = strict_json.parse_json(data)
        except (TaskError, ValueError) as error:
            said.append(f"{name} is left out: {printable(error)}")
            continue
        if isinstance(document, dict):
            documents[name] = document
    return documents, tuple(said)
