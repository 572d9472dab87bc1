"""Checks the shapes that signatures give (`Annotated[Floats, "D K"]`) while code runs.

jaxtyping compares each array's type and shape; a letter stands for one size in all arguments
and the result of one call, and in all fields of one dataclass.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any, Union

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, jaxtyped
from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

from test_house import MODULES, room_of

KINDS: dict[type, Any] = {
    np.float32: Float,
    np.float64: Float64,
    np.floating: Float,
    np.int64: Int64,
    np.bool_: Bool,
}
"""jaxtyping's name of each kind of number; a model of single precision may be run in double."""

COLLECTIONS = (tuple, list, dict)

Calls = Counter[str]
"""How often each function was called whose arrays were checked."""

_Change = tuple[Any, str, object]
"""An attribute that was replaced: its owner, its name, what it was."""


class WrongShape(AssertionError):
    """An array is not of the shape that a signature gives."""


def checked_modules() -> list[str]:
    """The modules whose functions give the shapes of their arrays, loaded."""
    names = [m for m in MODULES if room_of(m) in ("read", "verify")]
    names.append("untracr.transformer.transformer")
    for name in names:
        import_module(name)
    return names


@contextmanager
def shapes_checked(modules: Iterable[str]) -> Iterator[Calls]:
    """Checks all calls of the functions of some modules that give shapes of arrays.

    Args:
        modules: their names; loaded already.

    Yields:
        How often each of these functions was called, 0 included.

    Raises:
        WrongShape: in the functions called, where an array is of another shape or type.
    """
    calls: Calls = Counter()
    loaded = [sys.modules[name] for name in modules]
    changed = _wrap_functions(loaded, calls)
    for module in loaded:
        for name, value in list(vars(module).items()):
            if isinstance(value, type) and (value.__module__, value.__name__) == (
                module.__name__,
                name,
            ):
                changed += _wrap_methods(value, calls)
    try:
        yield calls
    finally:
        for owner, name, old in reversed(changed):
            setattr(owner, name, old)


def _wrap_functions(modules: list[types.ModuleType], calls: Calls) -> list[_Change]:
    """Puts checked functions in place of some modules' own, wherever they were imported."""
    own = {module.__name__ for module in modules}
    checked: dict[types.FunctionType, Callable[..., Any]] = {}
    changed: list[_Change] = []
    for user in [m for m in list(sys.modules.values()) if isinstance(m, types.ModuleType)]:
        for name, value in list(vars(user).items()):
            # Not isinstance, which asks for __class__: other packages have values that warn then.
            if type(value) is types.FunctionType and value.__module__ in own:
                if value not in checked:
                    checked[value] = _checked(value, calls)
                if checked[value] is not value:
                    setattr(user, name, checked[value])
                    changed.append((user, name, value))
    return changed


def _wrap_methods(owner: type, calls: Calls) -> list[_Change]:
    changed: list[_Change] = []
    for name, value in list(vars(owner).items()):
        new: object = value
        match value:
            case types.FunctionType():
                new = _checked(value, calls)
            case classmethod() | staticmethod():
                new = type(value)(_checked(value.__func__, calls))
            case property(fget=getter) if getter is not None:
                new = property(_checked(getter, calls))
            case functools.cached_property():
                new = functools.cached_property(_checked(value.func, calls))
                new.__set_name__(owner, name)
        if _differs(new, value):
            setattr(owner, name, new)
            changed.append((owner, name, value))
    return changed


def _differs(new: object, old: object) -> bool:
    return _function(new) is not _function(old)


def _function(held: object) -> object:
    for name in ("__func__", "fget", "func"):
        held = getattr(held, name, held)
    return held


def _checked(function: Callable[..., Any], calls: Calls) -> Callable[..., Any]:
    """A function that checks its arrays; the function itself where it gives no shape."""
    hints = _hints(function)
    if not hints:
        return function
    signature = inspect.signature(function)
    name = f"{function.__module__}.{function.__qualname__}"
    calls[name] = 0

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        calls[name] += 1
        bound = signature.bind(*args, **kwargs).arguments
        with jaxtyped("context"):
            for argument, hint in hints.items():
                if argument in bound:
                    _require(bound[argument], hint, f"{name}: {argument}")
            result = function(*args, **kwargs)
            if "return" in hints:
                _require(result, hints["return"], f"{name}: its result")
        return result

    return checked


def _require(value: object, hint: Any, place: str) -> None:
    try:
        check_type(value, hint, collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS)
    except TypeCheckError as error:
        raise WrongShape(f"{place} {error}") from error


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """What jaxtyping checks of each argument, and of the result ("return")."""
    hints: dict[str, Any] = {}
    names = vars(sys.modules[function.__module__])
    for argument, text in getattr(function, "__annotations__", {}).items():
        try:
            hint = eval(text, dict(names)) if isinstance(text, str) else text
        except NameError:  # a name for type checkers alone: no array's
            continue
        checked = _as_jaxtyping(hint)
        if checked is not None:
            hints[argument] = checked
    return hints


def _as_jaxtyping(hint: Any) -> Any:
    """A type with jaxtyping's arrays; None of one without shapes."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        number = typing.get_args(typing.get_args(arguments[0])[1])[0]
        return KINDS[number][np.ndarray, arguments[1]]
    inner = [_as_jaxtyping(argument) for argument in arguments]
    if all(one is None for one in inner):
        return None
    whole = tuple(
        argument if one is None else one for argument, one in zip(arguments, inner, strict=True)
    )
    if origin in (Union, types.UnionType):
        return Union[whole]  # noqa: UP007
    return origin[whole] if origin in COLLECTIONS else None
