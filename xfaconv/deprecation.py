"""Changes of the public functions: what is replaced goes on working for two minor versions, with a warning."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from xfaconv.errors import warn_user

F = TypeVar("F", bound=Callable[..., Any])


def warn_deprecated(what: str, instead: str, *, since: str, until: str) -> None:
    """Say that something goes, at the line of the user's own code.

    Parameters
    ----------
    what : str
        The name that goes, as a user writes it.
    instead : str
        What to write.
    since, until : str
        The version that first warns, and the one that no longer has it.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_deprecated("xfaconv.look", "use xfaconv.embed", since="0.2", until="0.4")
    >>> str(caught[0].message)
    'xfaconv.look is deprecated since 0.2 and goes in 0.4: use xfaconv.embed'
    """
    # Python shows no DeprecationWarning to users of a library, but a FutureWarning.
    warn_user(f"{what} is deprecated since {since} and goes in {until}: {instead}", FutureWarning)


def renamed_argument(*, old: str, new: str, since: str, until: str) -> Callable[[F], F]:
    """Let a function take an argument under its former name, with a warning.

    Parameters
    ----------
    old, new : str
        The two names.
    since, until : str
        As in `warn_deprecated`.

    Returns
    -------
    callable
        A decorator.

    Examples
    --------
    >>> @renamed_argument(old="stride", new="every", since="0.2", until="0.4")
    ... def thinned(values, *, every=1):
    ...     return values[::every]
    >>> thinned([1, 2, 3], every=2)
    [1, 3]
    """

    def decorate(function: F) -> F:
        @wraps(function)
        def call(*positional: Any, **given: Any) -> Any:
            if old in given:
                if new in given:
                    raise TypeError(f"{function.__name__} got both {new} and {old}, its former name")
                warn_deprecated(f"{function.__name__}({old}=...)", f"use {new}=", since=since, until=until)
                given[new] = given.pop(old)
            return function(*positional, **given)

        return cast("F", call)

    return decorate
