"""Asks the package that is on the path, by the names that `untracr` exports and by no others.

    python with_public_names.py library NAME ...         # tokens and longest input of each
    python with_public_names.py programs FILE OUT        # each program of FILE, weights into OUT
    python with_public_names.py models FILE ...          # loads, runs and reads each

Prints JSON, one object a line. `compare_versions.py` runs it.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import untracr

VOCAB, MAX_SEQ_LEN = tuple(range(5)), 5
"""Of the programs that ``untracr sample`` prints."""


def main() -> None:
    """Answers one question."""
    question, *arguments = sys.argv[1:]
    match question:
        case "library":
            for name in arguments:
                _print(_named(name))
        case "programs":
            lines, out = Path(arguments[0]).read_text("utf-8").splitlines(), Path(arguments[1])
            out.mkdir()
            for number, line in enumerate(lines):
                _print(_program(json.loads(line)["program"], number, out))
        case "models":
            for file in arguments:
                _print(_model(file))
        case _:
            sys.exit(f"no such question: {question}")


def _print(answer: dict[str, object]) -> None:
    print(json.dumps(answer))


def _named(name: str) -> dict[str, object]:
    named = untracr.named_program(name)
    return {"name": name, "vocab": list(named.vocab), "max_seq_len": named.max_seq_len}


def _program(source: str, number: int, out: Path) -> dict[str, object]:
    """A program as text, its outputs and those of its weights, which are saved in both formats."""
    program = untracr.parse(source)
    rng = random.Random(number)
    inputs = [rng.choices(VOCAB, k=rng.randint(1, MAX_SEQ_LEN)) for _ in range(4)]
    answer: dict[str, object] = {
        "name": f"program {number}",
        "text": untracr.print_program(program),
        "outputs": untracr.run(program, inputs),
    }
    try:
        model = untracr.compile_rasp_to_model(program, VOCAB, MAX_SEQ_LEN)
        problems = untracr.check(program, VOCAB, MAX_SEQ_LEN)
    except untracr.UntracrError as error:
        return answer | {"error": str(error)}
    for suffix in ("npz", "safetensors"):
        model.save(out / f"{number:05}.{suffix}")
    answer["problems"] = [str(problem) for problem in problems]
    return answer | {"weights' outputs": model.run(inputs)}


def _model(file: str) -> dict[str, object]:
    model = untracr.load(file)
    answer = untracr.decompile_model(file, budget=60)
    return {
        "name": f"model {file}",
        "parameters": model.transformer.n_parameters,
        "source": answer.source,
        "verdict": answer.verdict,
        "detail": answer.detail,
    }


if __name__ == "__main__":
    main()
