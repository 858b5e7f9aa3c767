"""Typed errors: each says what is wrong, what was expected, what was found, and the line of code that fixes it."""

from __future__ import annotations

import difflib
import importlib.util
import sys
import warnings
from collections.abc import Iterable
from functools import partial

_SHORTEST_ABBREVIATION = 3


class XFaconvError(Exception):
    """Base of every error that this package raises on purpose.

    Parameters
    ----------
    problem : str
        What is wrong, naming the variable, coordinate, argument or file.
    expected : str, optional
        What was expected instead.
    found : str, optional
        What was found.
    fix : str, optional
        A line of code (or a short instruction) that fixes it.

    Examples
    --------
    >>> print(XFaconvError("variable 'sst' has no units", expected="K or degC", fix="ds.sst.attrs['units'] = 'K'"))
    variable 'sst' has no units
      expected: K or degC
      fix:      ds.sst.attrs['units'] = 'K'
    """

    def __init__(
        self, problem: str, *, expected: str | None = None, found: str | None = None, fix: str | None = None
    ) -> None:
        self.problem = problem
        self.expected = expected
        self.found = found
        self.fix = fix
        parts = {"expected:": expected, "found:": found, "fix:": fix}
        super().__init__("\n".join([problem, *(f"  {label:<9} {text}" for label, text in parts.items() if text)]))

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the parts when the error travels between processes."""
        return partial(type(self), self.problem, expected=self.expected, found=self.found, fix=self.fix), ()


def closest_name(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Guess which known name was meant, for the fix of an error.

    Parameters
    ----------
    name : str
        What was written.
    known : iterable of str
        What could have been meant.
    cutoff : float, default 0.6
        Least likeness, 0 to 1.

    Returns
    -------
    str or None
        The most alike, those with the same letters in another order first; else the first that begins with what was
        written, such as the "latitude" of "lat"; None where there is neither.

    Examples
    --------
    >>> closest_name("modle", ["mode", "model"]), closest_name("lat", ["model", "latitude"])
    ('model', 'latitude')
    """
    known = list(known)
    close = difflib.get_close_matches(name, known, n=5, cutoff=cutoff)
    if len(name) >= _SHORTEST_ABBREVIATION:
        close += [other for other in known if other.startswith(name)]
    return next((other for other in close if sorted(other) == sorted(name)), close[0] if close else None)


def warn_user(words: str, kind: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user's own code, however deep inside the package the reason was found.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn_user("the record is short")
    >>> str(caught[0].message)
    'the record is short'
    """
    frame, level = sys._getframe(1), 2  # noqa: SLF001 - the way to the caller that Python offers
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        frame, level = frame.f_back, level + 1
    warnings.warn(words, kind, stacklevel=level)


def require_torch() -> None:
    """Raise an error that says how to install torch, where it is absent.

    Torch is the optional dependency that runs the networks; this only looks for it, which takes no time.

    Raises
    ------
    DependencyError
        If torch is not installed.
    """
    try:
        found = importlib.util.find_spec("torch") is not None
    except (ImportError, ValueError):
        found = False
    if not found:
        raise DependencyError(
            "torch is not installed, and the networks run on it",
            expected="torch 2.5.1 or newer; everything that runs no network works without it",
            fix="pip install torch --index-url https://download.pytorch.org/whl/cpu  # the build for CPU; "
            'or pip install "xfaconv[torch]"',
        )


class ArgumentError(XFaconvError, ValueError):
    """An argument has a value that the function does not accept."""


class CoordinateError(XFaconvError, ValueError):
    """A coordinate is missing, ambiguous, or of a form that cannot be used."""


class GridError(CoordinateError):
    """The horizontal grid is not rectilinear, or does not match what the model needs."""


class TimeError(CoordinateError):
    """The time axis is missing, unsorted, duplicated, too short, or of another step than the model's."""


class VariableError(XFaconvError, ValueError):
    """A variable that is needed is missing, ambiguous, or has dimensions that cannot be used."""


class UnitsError(VariableError):
    """The units of a variable are unknown or cannot be converted to the model's."""


class MissingDataError(XFaconvError, ValueError):
    """Values are missing where the model needs them."""


class ModelError(XFaconvError, ValueError):
    """A model is unknown, or does not fit the request."""


class ModelFileError(ModelError):
    """A model file is truncated, altered, of another format, or does not fit its card."""


class DownloadError(XFaconvError, OSError):
    """A file could not be downloaded or verified."""


class DependencyError(XFaconvError, ImportError):
    """An optional package is needed and absent."""


class AccessorError(XFaconvError, AttributeError):
    """A method of the accessor was asked of something that cannot have it."""
