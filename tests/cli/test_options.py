"""What commands are given: typed options, and the spellings that options once had."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from command_line import Run
from untracr.cli.command import Command, Group, Parser
from untracr.cli.entry import COMMANDS

LINES = (
    "sample --programs 3 --seed 7 --start 2 --min-length 4 --max-length 5 --json",
    "dataset build out --programs 9 --seed 2 --treatments rotated=0.2 --exclude a "
    "--exclude-sampled 7:9 --splits 0.8,0.1,0.1 --other-domains 0.1 --min-length 3 --max-length 9 "
    "--shard-size 5 --workers 2 --engine ray --address auto --json",
    "dataset build out --programs 9 --treatments compiled,noisy",
    "dataset info out --json",
    "dataset verify out --sample 3 --seed 2 --workers 2 --json",
    "dataset show out 0 --split test --save m.npz --json",
    "compile hist -o m.npz --vocab a,1,0.5 --max-seq-len 3 --causal --mlp-exactness auto --json",
    "compile hist --output m.npz --mlp-exactness 20 --no-causal --no-strict",
    "run hist a,b,True,None --vocab a --max-seq-len 3 --causal --json",
    "run m.npz a 1,2 --rows a,b --bos c --pad 1 --no-causal",
    "run folder 'a b' --task t.json --layout 'BOS x' --outputs 'next token' --json",
    "check a b --against c --model d --vocab 1,2 --max-seq-len 3 --rows 1,2,3 --bos 1 --pad p "
    "--mlp-exactness 9 --causal --no-causal --json",
    "decompile a b --greedy --budget 1 --proposals uniform --checkpoint c --certificate d --json",
    "decompile --example --vocab a,b --rows a,b --bos 1 --pad p --causal --no-causal --no-progress",
    "explain m.npz 1,2 a --program hist --picture p.svg --vocab 1,2 --checkpoint c --rows 1,2 "
    "--bos b --pad 1 --causal --no-causal --json",
    "explain folder --inside --task t.json --layout 'BOS x' --outputs 'next token'",
    "test m.npz hist --truth sort --reads all --max-seq-len 4 --within 0.1 --quick --seed 2 "
    "--no-progress --causal --task t.json --layout x --outputs number "
    "--rows a,b --bos c --pad 1 --json",
    "train --out a --hours 1 --steps 3 --seed 2 --batch-size 8 --learning-rate 1 --workers 1 "
    "--threads 1 --log-every 3 --device cpu --dataset d --width 8 --layers 1 --heads 2 "
    "--exclude e --exclude-sampled 1:2 --other-domains 0.5 --treatments noisy=0.1 "
    "--outside-functions 1 --baseline --json",
    "export a --output b.safetensors",
    "eval models --length 6-9 --domain 8x6 --seed 2 --treatments noisy:0.1 --report r "
    "--baseline b --json",
    "eval --programs 3 --library --no-controls --checkpoint c",
    "audit --kinds all --models 2 --seed 2 --budget 1 --out o --processes 2 --checkpoint c --json",
    "bench dataset --quick --programs 3 --seed 2 --treatments noisy=0.1 --workers 1,2 "
    "--checkpoint c --json",
    "bench forward --quick --double --seed 2 --json",
)
"""Every command, with every one of its options."""

OLDER = (
    ("sample", "--programs", "-n", "3"),
    ("audit", "--models", "-n", "3"),
    ("dataset build out --programs 9", "--treatments", "--treat", "compiled,rotated"),
    ("bench dataset", "--treatments", "--treat", "rotated=0.2"),
    ("eval --library", "--treatments", "--treatment", "noisy:0.1"),
)
"""A command, the spelling that an option has, one that it had, and a value."""


def given(line: str) -> tuple[Command[Any], Any]:
    """The command that a line names, and its options."""
    parser = Parser(prog="untracr")
    parser.add_commands(COMMANDS.values())
    words = shlex.split(line)
    parser.require_known_options(words)
    parsed = vars(parser.parse_args(words))
    command = parsed.pop("command")
    assert isinstance(command, Command)
    return command, command.options(**parsed)


def fits(value: object, kind: Any) -> bool:
    """Whether a value is of an annotated type, as far as options have any."""
    inner = get_args(kind)
    match get_origin(kind):
        case origin if origin is Union or origin is UnionType:
            return any(fits(value, one) for one in inner)
        case origin if origin is Literal:
            return value in inner
        case origin if origin is list:
            return isinstance(value, list) and all(fits(part, inner[0]) for part in value)
        case origin if origin is tuple:
            if not isinstance(value, tuple):
                return False
            kinds = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
            return len(kinds) == len(value) and all(map(fits, value, kinds))
    if isinstance(kind, str | ForwardRef):  # a value within a value
        return True
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


@pytest.mark.parametrize("line", LINES)
def test_options_are_what_their_types_say(line: str) -> None:
    """mypy believes the fields' types; what the parser puts there must be of them."""
    _, options = given(line)
    types = get_type_hints(type(options))
    assert types
    for field in fields(options):
        value = getattr(options, field.name)
        assert fits(value, types[field.name]), f"{field.name}: {value!r}"


def test_a_wrong_type_is_noticed() -> None:
    """The test above can fail."""
    assert fits((1, 2), tuple[int, ...])
    assert not fits((1, "a"), tuple[int, ...])
    assert not fits((1,), tuple[int, int])
    assert not fits("a", Path | None)
    assert not fits(True, int)
    assert not fits("c", Literal["a", "b"])


def test_every_option_is_tried(run: Run) -> None:
    """`LINES` leaves out no command, and no option that --help lists."""
    shown = set()
    for name, command in COMMANDS.items():
        for words in [(name,)] if isinstance(command, Command) else _subcommands(command):
            listed = re.findall(r"^  (?:-\w[ \w]*, )?(--[\w-]+)", run(*words, "--help").out, re.M)
            shown |= {(words[-1], option) for option in listed if option != "--help"}
    tried = set()
    for line in LINES:
        tried |= {(given(line)[0].name, word) for word in line.split() if word.startswith("--")}
    assert shown <= tried
    assert {name for name, _ in shown} == {name for name, _ in tried}


def _subcommands(group: Group) -> list[tuple[str, ...]]:
    return [(group.name, name) for name in group.subcommands]


@pytest.mark.parametrize("arguments", [("--seed",), ("--seed", "--json", "--more")])
def test_fields_are_the_arguments(arguments: tuple[str, ...]) -> None:
    """An argument without a field, or a field without an argument, is told at the first run."""

    @dataclass(frozen=True, kw_only=True)
    class Options:
        seed: str | None
        json: str | None

    def configure(parser: Parser) -> None:
        for name in arguments:
            parser.add_argument(name)

    command = Command("x", "does x", "untracr x", configure, Options, lambda options: 0)
    parser = Parser(prog="untracr")
    parser.add_commands([command])
    parsed = vars(parser.parse_args(["x"]))
    with pytest.raises(TypeError, match=r"missing .* 'json'|unexpected .* 'more'"):
        command.run_on({name: value for name, value in parsed.items() if name != "command"})


@pytest.mark.parametrize(("command", "name", "older", "value"), OLDER)
def test_older_spellings_go_on_working(
    run: Run, command: str, name: str, older: str, value: str
) -> None:
    """Scripts that were written for an older version run; only one spelling is shown."""
    assert given(f"{command} {older} {value}") == given(f"{command} {name} {value}")
    assert given(f"{command} {name} {value}") != given(command)
    words = command.split()
    help_text = run(*words[: 2 if words[0] == "dataset" else 1], "--help").out
    shown = re.split(r"[\s,\[\]]+", help_text)
    assert name in shown
    assert older not in shown


def test_older_spellings_are_not_suggested(run: Run) -> None:
    """Who mistypes an option hears of the one that is documented."""
    assert run.fails(2, "eval", "--treatmant", "x").endswith(
        "there is no option --treatmant. Did you mean '--treatments'? "
        "(untracr eval --help shows how)"
    )
    message = run.fails(2, "sample", "-n", "0")
    assert message.startswith("argument -n: must be at least 1, not 0")
