"""Arguments that many functions share: one rule for each name, checked before anything is read or computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from os import PathLike
from types import MappingProxyType
from typing import Any

from xfaconv.errors import ArgumentError

Place = tuple[float, float]
Box = tuple[float, float, float, float]
# Whether a value is good, what is expected, and an example.
Rule = tuple[Callable[[Any], bool], str, str]
_MOST_LATITUDE, _MOST_LONGITUDE = 90, 360
_LARGEST_SEED = 2**32 - 1
_EXAMPLE = 'latitude=0, longitude=-140, or base_points={"nino34": (0, -140)}'


def is_whole(value: object, least: int = 0, most: float = math.inf) -> bool:
    """Whether a value is a whole number in a range; True and False are none.

    Examples
    --------
    >>> is_whole(3), is_whole(True), is_whole(2.0), is_whole(-1)
    (True, False, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= most


def is_number(value: object, least: float = -math.inf, most: float = math.inf) -> bool:
    """Whether a value is a finite number in a range; True and False are none.

    Examples
    --------
    >>> is_number(0.5, 0, 1), is_number(float("nan")), is_number("1")
    (True, False, False)
    """
    return (
        isinstance(value, Real)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and least <= float(value) <= most
    )


def is_mapping(value: object) -> bool:
    """Whether a value maps names to something.

    Examples
    --------
    >>> is_mapping({"hidden": 32}), is_mapping({3: 32}), is_mapping([])
    (True, False, False)
    """
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


def _is_lag(value: object) -> bool:
    if is_whole(value, -(10**9)):
        return True
    several = list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping) else []
    return bool(several) and all(is_whole(lag, -(10**9)) for lag in several)


def _are_leads(value: object) -> bool:
    several = list(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else []
    return bool(several) and all(map(is_whole, several)) and several == sorted(set(several))


def _are_names(value: object) -> bool:
    several = list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping) else []
    return bool(several) and all(isinstance(name, str) for name in several)


def _is_path(value: object) -> bool:
    return isinstance(value, str | PathLike) and bool(str(value).strip())


def _or_none(rule: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or rule(value)


def _one_of(*choices: str) -> Rule:
    return (
        lambda value: isinstance(value, str) and value in choices,
        " or ".join(map(repr, choices)),
        repr(choices[0]),
    )


_FLAG: Rule = (lambda value: isinstance(value, bool), "True or False", "True")

_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "alpha": (lambda v: is_number(v, 1e-12, 1 - 1e-12), "a probability between 0 and 1", "0.05"),
        "batch": (lambda v: is_whole(v, 1), "a whole number from 1", "4"),
        "blend": _FLAG,
        "blocks_per_part": (lambda v: is_whole(v, 1), "a whole number from 1", "16"),
        "checkpoint": (_or_none(_is_path), "a path, or None", "'my-model.checkpoint'"),
        "deseasonalise": _FLAG,
        "heads": _FLAG,
        "lag": (_is_lag, "a whole number of steps, or several", "0"),
        "leads": (_are_leads, "steps that ascend from 0 or more", "(0, 1, 3)"),
        "learning_rate": (_or_none(lambda v: is_number(v, 1e-12, 10)), "a number above 0, or None", "1e-3"),
        "length": (lambda v: is_number(v, 1e-3, 360), "degrees above 0, up to 360", "20.0"),
        "name": (lambda v: isinstance(v, str) and bool(v.strip()), "text", "'my-model'"),
        "network": (_or_none(is_mapping), "entries of NetworkSpec by name, or None", "{'hidden': 32}"),
        "null": _one_of("effective", "phase"),
        "patience": (_or_none(lambda v: is_whole(v, 1)), "a whole number from 1, or None", "10"),
        "progress": _FLAG,
        "repeats": (lambda v: is_whole(v, 0, 10**4), "a whole number from 0 to 10,000", "10"),
        "samples": (_or_none(lambda v: is_whole(v, 1)), "a whole number from 1, or None", "4"),
        "seed": (lambda v: is_whole(v, 0, _LARGEST_SEED), f"a whole number from 0 to {_LARGEST_SEED:,}", "0"),
        "shuffles": (lambda v: is_whole(v, 1, 10**6), "a whole number from 1 to a million", "999"),
        "surrogates": (lambda v: is_whole(v, 0, 10**6), "a whole number from 0 to a million", "999"),
        "test": _one_of("effective", "years"),
        "threshold": (lambda v: is_number(v, 1e-12), "a number above 0", "1.0"),
        "updates": (lambda v: is_whole(v, 1), "a whole number from 1", "600"),
        "validation": (lambda v: is_number(v, 0, 0.5), "a share of the record, 0 to 0.5", "0.2"),
        "variable": (_or_none(lambda v: isinstance(v, str)), "the name of a variable, or None", "'z500'"),
        "variables": (_or_none(_are_names), "names of variables, or None", "['t2m', 'msl']"),
        "window": (lambda v: is_whole(v, 2), "a whole number from 2", "12"),
        "workers": (_or_none(lambda v: is_whole(v, 1)), "a whole number from 1, or None", "4"),
    }
)


def check_arguments(**given: object) -> None:
    """Refuse arguments that break the rule of their name.

    Parameters
    ----------
    **given
        Arguments by the names that users write.

    Raises
    ------
    ArgumentError
        Naming the first that is wrong, what is expected and what was found.

    Examples
    --------
    >>> check_arguments(seed=0, alpha=0.05)
    >>> check_arguments(seed=-1)
    Traceback (most recent call last):
    xfaconv.errors.ArgumentError: seed cannot be used
      expected: a whole number from 0 to 4,294,967,295
      found:    -1
      fix:      seed=0
    """
    check_rules(given, _RULES)


def check_rules(given: Mapping[str, object], rules: Mapping[str, Rule]) -> None:
    """Refuse arguments that break the rule of their name in a table of rules.

    Parameters
    ----------
    given : mapping of str to object
        Arguments by the names that users write.
    rules : mapping of str to Rule
        A rule for each of them.

    Raises
    ------
    ArgumentError
        Naming the first that is wrong, what is expected and what was found.

    Examples
    --------
    >>> check_rules({"steps": 3}, {"steps": (is_whole, "a whole number", "12")})
    """
    for name, value in given.items():
        good, expected, example = rules[name]
        if not good(value):
            raise ArgumentError(
                f"{name} cannot be used", expected=expected, found=repr(value)[:200], fix=f"{name}={example}"
            )


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Refuse an argument that is none of some words, whatever else it is.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : object
        What was given.
    choices : iterable of str
        What is known.

    Raises
    ------
    ArgumentError
        Naming the choices.

    Examples
    --------
    >>> check_choice("method", "bh", ("bh", "by"))
    """
    good, expected, example = _one_of(*choices)
    if not good(value):
        raise ArgumentError(f"unknown {name}", expected=expected, found=repr(value)[:200], fix=f"{name}={example}")


def as_place(value: Any, name: object = "base_point") -> Place:
    """Read a place on Earth.

    Parameters
    ----------
    value : (float, float)
        Latitude and longitude [degrees].
    name : str
        Its name, for messages.

    Returns
    -------
    tuple of (float, float)

    Raises
    ------
    ArgumentError
        If it is no pair of numbers, or not on Earth.

    Examples
    --------
    >>> as_place((0, -140))
    (0.0, -140.0)
    """
    try:
        latitude, longitude = (float(degrees) for degrees in (() if isinstance(value, Mapping | str) else value))
    except (TypeError, ValueError) as problem:
        raise ArgumentError(
            f"base point {name!r} is not a pair of latitude and longitude in degrees",
            expected=_EXAMPLE,
            found=repr(value)[:200],
            fix=_EXAMPLE,
        ) from problem
    if not (abs(latitude) <= _MOST_LATITUDE and abs(longitude) <= _MOST_LONGITUDE):
        swapped = abs(longitude) <= _MOST_LATITUDE and abs(latitude) <= _MOST_LONGITUDE
        raise ArgumentError(
            f"base point {name!r} is no place on Earth",
            expected="latitude from -90 to 90, longitude from -180 to 180 or 0 to 360 degrees",
            found=f"latitude {latitude:g}, longitude {longitude:g}",
            fix=f"latitude={longitude:g}, longitude={latitude:g}  # latitude comes first" if swapped else _EXAMPLE,
        )
    return latitude, longitude


def as_box(value: object, name: str = "region") -> Box:
    """Read a box on Earth.

    Parameters
    ----------
    value : (south, north, west, east)
        Edges [degrees]; west may be greater than east across the date line.
    name : str
        Its name, for messages.

    Returns
    -------
    tuple of (float, float, float, float)

    Raises
    ------
    ArgumentError
        If it is no four numbers, or its latitudes are not on Earth, south first.

    Examples
    --------
    >>> as_box((-10, 10, 160, 270))
    (-10.0, 10.0, 160.0, 270.0)
    """
    several = list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping) else []
    if len(several) != 4 or not all(is_number(edge) for edge in several):
        problem = "is not four edges in degrees"
    elif not -90 <= several[0] <= several[1] <= 90:
        problem = "has no latitudes from south to north"
    else:
        south, north, west, east = (float(edge) for edge in several)
        return south, north, west, east
    raise ArgumentError(
        f"{name} {problem}",
        expected="(south, north, west, east), latitudes from -90 to 90, south first",
        found=repr(value)[:200],
        fix=f"{name}=(-10, 10, 160, 270)",
    )
