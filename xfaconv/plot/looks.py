"""Arguments of figures: one rule for each name, checked before anything is drawn."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize

from xfaconv.arguments import Rule, check_rules, is_mapping, is_number, is_whole
from xfaconv.errors import ArgumentError

_LARGEST = 1000  # Inches, levels, panels: more is a slip, and would fill the memory.


def _numbers(value: object, count: int | None = None) -> list[float] | None:
    """Read some finite numbers; None where the value is no such thing."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return None
    try:
        numbers = list(value)
    except TypeError:
        return None
    good = all(map(is_number, numbers)) and (count is None or len(numbers) == count)
    return [float(number) for number in numbers] if good else None


def _is_length(value: object) -> bool:
    return is_number(value, 0.01, _LARGEST)


def _is_figsize(value: object) -> bool:
    sides = _numbers(value, 2)
    return sides is not None and all(map(_is_length, sides))


def _are_levels(value: object) -> bool:
    if is_whole(value, 1, _LARGEST):
        return True
    levels = _numbers(value) or []
    return len(levels) > 1 and bool((np.diff(levels) > 0).all())


def _is_extent(value: object) -> bool:
    numbers = _numbers(value, 4)
    if numbers is None:
        return False
    west, east, south, north = numbers
    return max(abs(west), abs(east)) <= 360 and -90 <= south < north <= 90


def _is_colour_map(value: object) -> bool:
    return isinstance(value, Colormap) or (isinstance(value, str) and value in mpl.colormaps)


def _is_switch(value: object) -> bool:
    return isinstance(value, bool | np.bool_)


def _are_labels(value: object) -> bool:
    if isinstance(value, str | bytes | Mapping | xr.Dataset) or not isinstance(value, Iterable):
        return False
    try:
        return bool(list(value)) and all(isinstance(label, Hashable) for label in value)
    except TypeError:
        return False


def _optional(rule: Callable[[object], bool], expected: str, example: str) -> Rule:
    return lambda value: value is None or rule(value), f"{expected}, or None", example


_SWITCH: Rule = (_is_switch, "True or False", "True")
_LENGTH = _optional(_is_length, f"a number above 0, up to {_LARGEST}", "3.0")
_LIMIT = _optional(is_number, "a number", "0.0")
_DIMENSION = _optional(lambda value: isinstance(value, Hashable), "the name of a dimension", "'season'")
_LABELS = _optional(_are_labels, "labels, at least one", "[0, 1]")
_ARRAY = _optional(lambda value: isinstance(value, xr.DataArray), "a DataArray", "ds['significant']")
_WORDS = _optional(is_mapping, "a mapping of arguments of matplotlib", "{'label': 'days'}")
_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "add_colorbar": _SWITCH,
        "anomalies": _SWITCH,
        "aspect": _LENGTH,
        "ax": _optional(lambda value: isinstance(value, Axes), "axes of matplotlib", "plt.gca()"),
        "borders": _SWITCH,
        "cbar_kwargs": _WORDS,
        "center": (
            lambda value: value is None or value is False or is_number(value),
            "a number, False or None",
            "0.0",
        ),
        "channels": _LABELS,
        "cmap": _optional(_is_colour_map, "a colour map of matplotlib or the name of one", "'viridis'"),
        "coastlines": (lambda value: value is False or isinstance(value, str), "a resolution, or False", "'110m'"),
        "col": _DIMENSION,
        "col_wrap": _optional(lambda value: is_whole(value, 1), "a whole number from 1", "3"),
        "components": _LABELS,
        "composites": _ARRAY,
        "extent": _optional(_is_extent, "west, east, south, north in degrees, south before north", "(-80, 40, 20, 80)"),
        "figsize": _optional(_is_figsize, f"width and height above 0 and up to {_LARGEST} inches", "(6.4, 4.0)"),
        "great_circles": (lambda value: is_whole(value, 0, _LARGEST), f"a whole number from 0 to {_LARGEST}", "3"),
        "index": _ARRAY,
        "kind": _optional(lambda value: isinstance(value, str), "text", "'pcolormesh'"),
        "levels": _optional(_are_levels, f"a number of levels up to {_LARGEST}, or ascending levels", "12"),
        "mean": _SWITCH,
        "norm": _optional(lambda value: isinstance(value, Normalize), "a norm of matplotlib", "LogNorm()"),
        "order": _SWITCH,
        "relative": _SWITCH,
        "robust": _SWITCH,
        "row": _DIMENSION,
        "size": _LENGTH,
        "stippling": (
            lambda value: value is None or value is False or isinstance(value, xr.DataArray),
            "a boolean DataArray, False or None",
            "p_value < 0.05",
        ),
        "subplot_kws": _WORDS,
        "title": _optional(lambda value: isinstance(value, str), "text", "'Winter'"),
        "vmax": _LIMIT,
        "vmin": _LIMIT,
    }
)


def check_looks(given: Mapping[str, Any]) -> None:
    """Refuse arguments of a figure that break the rule of their name.

    What stands inside `cbar_kwargs` and `subplot_kws`, and further keywords, are matplotlib's to judge.

    Parameters
    ----------
    given : mapping of str to object
        Arguments by the names that users write; those without a rule are left to the function.

    Raises
    ------
    ArgumentError
        Naming the first that is wrong, what is expected and what was found.

    Examples
    --------
    >>> check_looks({"vmin": 0.0, "figsize": (4, 3), "kind": "line"})
    >>> check_looks({"size": -1})
    Traceback (most recent call last):
    xfaconv.errors.ArgumentError: size cannot be used
      expected: a number above 0, up to 1000, or None
      found:    -1
      fix:      size=3.0
    """
    check_rules({name: value for name, value in given.items() if name in _RULES}, _RULES)
    low, high = given.get("vmin"), given.get("vmax")
    if low is not None and high is not None and low >= high:
        raise ArgumentError(
            "vmin is not below vmax", expected="vmin < vmax", found=f"vmin={low:g}, vmax={high:g}", fix="swap them"
        )
    if given.get("norm") is not None and not (low is None and high is None):
        raise ArgumentError(
            "norm cannot be combined with vmin or vmax", fix="give them to the norm: LogNorm(vmin=1, vmax=100)"
        )
    row, col = given.get("row"), given.get("col")
    if row is not None and row == col:
        raise ArgumentError("row and col are the same dimension", found=repr(row), fix=f"row=None, col={row!r}")
