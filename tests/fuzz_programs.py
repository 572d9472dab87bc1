"""Hostile programs: ``python tests/fuzz_programs.py --cases 10000 --seed 0``.

Programs are drawn from the grammar with the extremes of everything (numbers,
texts, names, nesting, chains, functions of the closed list), then perhaps cut,
doubled or overwritten, and go through every door that takes a program.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import fuzz_running
from fuzz_running import Case
from untracr.diagnose.model import compile_rasp_to_model
from untracr.rasp.domain import PAPER_DOMAIN
from untracr.rasp.equivalence import behaviour_key
from untracr.rasp.program import print_program
from untracr.syntax.library import LIBRARY
from untracr.syntax.parsing import parse

NUMBERS = (
    *("0", "1", "2", "-1", "5", "0.5", "1e308", "-1e308", "5e-324", "1e16", "2**53", "9" * 30),
    *("9" * 310, "9" * 5000, "0x" + "F" * 1000, "1e999", "-0.0", "0.1", "True", "None", "1j"),
    *("'a'", "''", "'\\n'", "'\\x1b[31m'", "'\\ud800'", "'" + "z" * 999 + "'", "(1, 2)", "()"),
    *("'\\u202e'", "b'x'", "...", "1_000", "int('9' * 999)", "float('inf')", "float('nan')"),
)
MILD = ("0", "1", "2", "3", "-1", "0.5", "10", "True")
NAMES = (
    *("a", "b", "c", "s", "t", "tokens", "indices", "rasp", "lambda", "é", "ﬁ", "_", "__debug__"),
    *("x" * 5000, "None", "Map", "a1", "compiler_bos", "名前"),
)
BINARY = (
    *("+", "-", "*", "+", "-", "*", "/", "//", "%", "==", "!=", "<", "<=", ">", ">=", "and"),
    *("or", "**"),
)
CALLS = ("int", "float", "bool", "abs", "abs", "bool", "round", "int", "max", "len")
COMPARISONS = ("EQ", "NEQ", "LT", "LEQ", "GT", "GEQ", "TRUE", "FALSE", "TRUE", "EQ", "NONE")


def expression(rng: random.Random, names: tuple[str, ...], depth: int) -> str:
    """What a lambda gives."""
    kind = rng.choice((0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8, rng.randrange(12))) if depth else 0
    kind = kind if depth else rng.randrange(3)
    if kind < 2:
        return rng.choice(names)
    if kind == 2:
        return rng.choice(NUMBERS if rng.random() < 0.15 else MILD)
    inner = [expression(rng, names, depth - 1) for _ in range(3)]
    if kind < 7:
        return f"({inner[0]} {rng.choice(BINARY)} {inner[1]})"
    if kind == 7:
        return f"({inner[0]} if {inner[1]} else {inner[2]})"
    if kind == 8:
        return f"{rng.choice(CALLS)}({', '.join(inner[: rng.choice((1, 1, 1, 2, 3, 0))])})"
    if kind == 9:
        return f"({inner[0]}, {inner[1]})"
    if kind == 10:
        return f"{inner[0]}[{inner[1]}]"
    return f"{rng.choice(('-', 'not ', '+', '~'))}{inner[0]}"


def function(rng: random.Random, arity: int) -> str:
    """A lambda, a lookup table, or something long."""
    names = rng.choice((("x", "y"), ("k", "q"), ("名", "é")))[:arity]
    head = f"lambda {', '.join(names)}: "
    kind = rng.randrange(10)
    if kind == 0:
        keys = rng.sample(range(-3, 10), rng.randint(1, 8))
        key = "{k}" if arity == 1 else "({k}, {v})"
        entries = ", ".join(
            f"{key.format(k=k, v=rng.randrange(5))}: {rng.choice(NUMBERS)}" for k in keys
        )
        return f"{head}{{{entries}}}[{', '.join(names)}]"
    if kind == 1:
        return head + f" {rng.choice(BINARY)} ".join([names[-1]] * rng.choice((10, 60, 90, 200)))
    if kind == 2:
        return head + f"{names[0]} * {rng.choice((10, 1000003, 1e18))} + {names[-1]}"
    if kind == 3:
        return head + f"max({', '.join([names[0]] * rng.choice((10, 500, 20_000)))})"
    return head + expression(rng, names, rng.choice((0, 1, 1, 2, 3, 5)))


class Writer:
    """Writes one program, line by line, and knows which names stand for what."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.names = NAMES if rng.random() < 0.1 else ("a", "b", "c", "d1", "é")
        self.numbers = NUMBERS if rng.random() < 0.2 else MILD
        self.sops, self.selectors = ["tokens", "indices"], ["Select(tokens, tokens, Comparison.EQ)"]
        self.lines: list[str] = []

    def program(self) -> str:
        """The text."""
        for _ in range(self.rng.choice((1, 2, 4, 8, 16, 60))):
            self._line()
        if self.rng.random() < 0.3:  # the same line again and again: what grows, grows
            self.lines += [self.lines[-1]] * self.rng.choice((3, 10, 50, 2_000))
        self.lines.append(
            self.rng.choice((*self.sops[-3:], f"SelectorWidth({self.selectors[-1]})"))
        )
        return "\n".join(self.lines) + "\n"

    def _line(self) -> None:
        rng = self.rng
        if rng.random() < 0.3:
            name, text = rng.choice(("s", "t", "u")), self._selector()
            self.selectors.append(name)
        else:
            name, text = rng.choice(self.names), self._sop()
            self.sops.append(name)
        self.lines.append(f"{name} = {text}")

    def _recent(self, names: list[str]) -> str:
        return self.rng.choice(names[-4:] if self.rng.random() < 0.7 else names)

    def _sop(self) -> str:
        rng, a, b = self.rng, self._recent(self.sops), self._recent(self.sops)
        m, n = rng.choice(self.numbers), rng.choice(self.numbers)
        apart = rng.choice(("", ", simplify=False"))
        text = rng.choice(
            (
                f"Map({function(rng, 1)}, {a}{apart})",
                f"SequenceMap({function(rng, 2)}, {a}, {b})",
                f"LinearSequenceMap({a}, {b}, {m}, {n})",
                f"Aggregate({self._recent(self.selectors)}, {a})",
                f"Aggregate({self._recent(self.selectors)}, {a}, default={n})",
                f"SelectorWidth({self._recent(self.selectors)})",
                f"({a} {rng.choice(('+', '*', '/', '&', '|', '-'))} {rng.choice((b, m))})",
                f"~{a}",
                f"{a}.named({rng.choice((n, repr(n)))})",
            )
        )
        return f"numerical({text})" if rng.random() < 0.3 else text

    def _selector(self) -> str:
        rng, s, t = self.rng, self._recent(self.selectors), self._recent(self.selectors)
        predicate = rng.choice((f"Comparison.{rng.choice(COMPARISONS)}", function(rng, 2)))
        apart = rng.choice(("", ", simplify=False"))
        return rng.choice(
            (
                f"Select({self._recent(self.sops)}, {self._recent(self.sops)}, {predicate})",
                f"Select({self._recent(self.sops)}, {self._recent(self.sops)}, {predicate})",
                f"selector_and({s}, {t}{apart})",
                f"selector_or({s}, {t}{apart})",
                f"SelectorNot({s})",
                f"~{s}",
                f"({s} & {t})",
            )
        )


SPECIAL = (
    *("", "\0", "\ufeff", "(" * 5_000, "[" * 90 + "]" * 90, "tokens" + " + 1" * 5_000),
    *("-" * 20_000 + "1", "a = " * 5_000 + "tokens", "a\n" * 50_000, "'" * 10_000, "#" * 900_000),
    *("import os\nos.system('x')", "from tracr.rasp import rasp\nrasp.tokens", "x" * 1_100_000),
    *("\n".join(f"a{i} = Map(lambda x: x + {i}, tokens)" for i in range(5_000)),),
    *("f'{tokens}'", "lambda: 0", "tokens; indices", "\\\n" * 1_000, "if 1:\n  tokens", "a.b.c.d"),
)


def source(rng: random.Random) -> str:
    """A hostile program."""
    kind = rng.random()
    if kind < 0.03:
        return rng.choice(SPECIAL)
    text = Writer(rng).program() if kind < 0.9 else print_program(rng.choice(LIBRARY).program)
    if rng.random() < 0.1:
        start, stop = sorted((rng.randrange(len(text)), rng.randrange(len(text))))
        text = rng.choice((text[:start], text[:start] + text[stop:], text[:stop] + text[start:]))
    if rng.random() < 0.05:
        place = rng.randrange(len(text) + 1)
        text = text[:place] + rng.choice((*NUMBERS, "\x1b[2J", "\r", "\u2028")) + text[place:]
    return text


def make(rng: random.Random, folder: Path) -> Case:
    """One program, and some of the doors that take one."""
    text = source(rng)
    name = rng.choice(("p.py", "p.py", "p.py", "a\nb.py", "\x1b[31m.py", "é" * 50))
    (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    json = ["--json"] * rng.randrange(2)
    inputs = rng.choice((["1,2,3"], ["0"], ["4,4,4,4,4", "1"], [",".join(["1"] * 2_000)], ["a,b"]))
    domain = rng.choice(
        ([], [], ["--max-seq-len", "9"], ["--vocab", "a,b,c"], ["--vocab=1,2.5,x,True"])
    )
    commands = rng.choice(
        (
            [["run", name, *inputs, *json], ["check", name, *json]],
            [["check", name, *domain, *json], ["run", name, *inputs, *domain]],
            [["compile", name, "-o", "m.npz", *domain, *json]],
            [
                ["compile", name, "-o", "m.safetensors", "--no-strict"],
                ["run", "m.safetensors", "1"],
            ],
            [["check", name, "--against", rng.choice(("sort", "length", name)), *json]],
            [["check", "-", *json]],
            [["check", name, "--causal"]],
        )
    )
    return Case(text[:300], commands, (lambda: _doors(text),), stdin=text.encode(errors="replace"))


def _doors(text: str) -> None:
    """The library's doors."""
    program = parse(text)
    assert parse(print_program(program)) == program
    behaviour_key(program, PAPER_DOMAIN)
    compile_rasp_to_model(program, range(3), 3)


if __name__ == "__main__":
    sys.exit(fuzz_running.main_of(make, "programs", "Runs hostile programs."))
