"""The checks of every call of fmtutor, at a quarter of what jaxtyping's own decorator costs.

`--jaxtyping-packages` puts `jaxtyping.jaxtyped` on each function and dataclass of the package. That
decorator checks the arguments twice, opens a scope of axis names also where no array is named, and
is built for thousands of functions that a test run never calls. `checked_call` checks the same
annotations with the same beartype: built at the first call, a scope of axis names only where an
annotation names an array, and each argument once.
"""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

import jaxtyping
from beartype import beartype
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import AbstractArray, TypeCheckError

JAXTYPED = jaxtyping.jaxtyped


def use_in_place_of_jaxtyped() -> None:
    """Let the import hook decorate with `checked_call`; to be called before fmtutor is imported."""
    jaxtyping.jaxtyped = checked_call


def checked_call(thing: Any = None, *, typechecker: Any = None) -> Any:
    """Return a function, method or dataclass whose calls are checked, as `jaxtyped` does.

    Args:
        thing: What the import hook decorates; nothing where it asks for the decorator.
        typechecker: The hook's; read only where jaxtyping's own decorator has to do the work.
    """
    if thing is None:
        return functools.partial(checked_call, typechecker=typechecker)
    if inspect.isclass(thing):
        own = vars(thing).get("__init__")
        if dataclasses.is_dataclass(thing) and not hasattr(own, "__wrapped__") and own:
            thing.__init__ = _checked(own, typechecker)
        return thing
    if isinstance(thing, classmethod | staticmethod):
        return type(thing)(_checked(thing.__func__, typechecker))
    if isinstance(thing, property):
        parts = (part and _checked(part, typechecker) for part in (thing.fget, thing.fset))
        return property(*parts, thing.fdel)
    return _checked(thing, typechecker)


def _checked(function: Callable, typechecker: Any) -> Callable:
    if not getattr(function, "__annotations__", None):
        return function
    ready: Callable | None = None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        nonlocal ready
        if ready is None:
            ready = _built(function, typechecker)
        try:
            return ready(*args, **kwargs)
        except BeartypeCallHintViolation as error:
            raise TypeCheckError(str(error)) from error

    return call


def _built(function: Callable, typechecker: Any) -> Callable:
    """The function with its checks, by the cheapest way that misses none."""
    try:
        hints = typing.get_type_hints(function, include_extras=True).values()
    except Exception:  # a name that this module does not know at run time: jaxtyping lets it pass
        return JAXTYPED(function, typechecker=typechecker)
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        return JAXTYPED(function, typechecker=typechecker)
    checked = beartype(function)
    return JAXTYPED(checked, typechecker=None) if any(map(_names_an_array, hints)) else checked


def _names_an_array(hint: Any) -> bool:
    if isinstance(hint, list | tuple):  # the arguments of a Callable
        return any(map(_names_an_array, hint))
    if inspect.isclass(hint) and issubclass(hint, AbstractArray):
        return True
    return any(map(_names_an_array, typing.get_args(hint)))
