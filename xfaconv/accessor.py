"""The accessor ``ds.faconv``: a shell without state whose methods are made from the functions of `xfaconv`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, cleandoc, signature
from typing import Any, NoReturn

import xarray as xr

import xfaconv
from xfaconv.arguments import refuse_unknown
from xfaconv.errors import AccessorError

NAME = "faconv"
# For each figure, the function that calculates and what of its result is drawn.
_FIGURES: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "plot_attention": ("attention", lambda found: found),
    "plot_embedding": ("embed", lambda found: found),
    "plot_hidden": ("hidden", lambda found: found),
    "plot_importance": ("importance", lambda found: found),
    "plot_regimes": ("regimes", lambda found: found["label"]),
    "plot_teleconnection": ("teleconnection", lambda found: found.set_coords("significant")["correlation"]),
}

_SEASON = """season : str or sequence of int, optional
    Draw the steps of these months alone, such as ``"DJF"``; a map is their mean.
"""


class _Method:
    """A function of `xfaconv` as a method: the data come first, signature and docstring are the function's own.

    The function is imported when the method is first asked for, so that `import xfaconv` stays cheap.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Callable[..., Any]:
        function = self.function()
        if instance is None:
            return function
        data, whole = instance._data, signature(function)  # noqa: SLF001 - the accessor's own

        @wraps(function)
        def method(*positional: Any, **options: Any) -> Any:
            return function(data, *positional, **options)

        method.__signature__ = whole.replace(parameters=list(whole.parameters.values())[1:])  # type: ignore[attr-defined]
        return method

    def function(self) -> Callable[..., Any]:
        """Import the function."""
        found: Callable[..., Any] = getattr(xfaconv, self.name)
        return found


class _Figure(_Method):
    """A figure of a Dataset: the calculation and then the figure, with the arguments of both."""

    def function(self) -> Callable[..., Any]:
        """Make the function of both, which refuses unknown arguments before it computes."""
        name, chosen = _FIGURES[self.name]
        calculate, draw = getattr(xfaconv, name), super().function()
        own, (drawn, *others) = signature(calculate).parameters, signature(draw).parameters.values()
        # Where both have an argument, such as the base point, the result tells the figure what was calculated.
        style = [
            entry.replace(kind=max(entry.kind, Parameter.KEYWORD_ONLY)) for entry in others if entry.name not in own
        ]
        # Calculations without a season of their own give every step; the figure then is of the steps in the season.
        season = [] if "season" in own else [Parameter("season", Parameter.KEYWORD_ONLY, default=None)]
        known = [*list(own)[1:], *(entry.name for entry in [*season, *style] if entry.kind is Parameter.KEYWORD_ONLY)]

        def function(data: xr.Dataset, *positional: Any, **given: Any) -> Any:
            options = dict(given)
            properties = _artist_properties()
            refuse_unknown({name: value for name, value in options.items() if name not in properties}, known)
            asked = {entry: options.pop(entry) for entry in list(options) if entry in own}
            if season and options.pop("season", None) is not None:
                asked["time"] = _dates_in(data, given["season"], asked.get("time"))
            return draw(chosen(calculate(data, *positional, **asked)), **options)

        function.__name__, function.__qualname__ = self.name, f"DatasetAccessor.{self.name}"
        function.__signature__ = signature(calculate).replace(  # type: ignore[attr-defined]
            parameters=[*own.values(), *season, *style], return_annotation=Any
        )
        title = cleandoc(draw.__doc__ or "").partition("\n")[0]
        described = _parameters(calculate, {next(iter(own))}) + _parameters(draw, {drawn.name, *own})
        function.__doc__ = (
            f"{title}\n\nRuns `xfaconv.{name}`, then `xfaconv.{self.name}`; takes the arguments of both.\n\n"
            f"Parameters\n----------\n{described}{_SEASON if season else ''}"
        )
        return function


def _dates_in(data: xr.Dataset, season: Any, time: Any) -> Any:
    """Dates of the data in a season, of those that are asked for."""
    from xfaconv.adapt.time_axis import read_stamps
    from xfaconv.analysis.statistics.seasons import steps_of_season
    from xfaconv.engine.dates import steps_at

    stamps = read_stamps(data).values
    stamps = stamps if time is None else stamps[steps_at(stamps, time)]
    return stamps[steps_of_season(xr.DataArray(stamps, dims="time", name="time"), season)]


def _parameters(function: Callable[..., Any], without: set[str]) -> str:
    """Give what a docstring says of the parameters of a function, some left out."""
    found = re.search(r"\nParameters\n-+\n(.*?)(?=\n\n|\Z)", cleandoc(function.__doc__ or ""), flags=re.DOTALL)
    entries = re.findall(r"^\S.*(?:\n .*)*", found[1] if found else "", flags=re.MULTILINE)
    return "".join(f"{entry}\n" for entry in entries if not without.issuperset(entry.split(" :")[0].split(", ")))


def _artist_properties() -> set[str]:
    """Names that matplotlib takes for the cells, contours, areas and lines of the figures."""
    from matplotlib.artist import ArtistInspector
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection, QuadMesh
    from matplotlib.contour import ContourSet
    from matplotlib.lines import Line2D

    inspected = [ArtistInspector(artist) for artist in (QuadMesh, ContourSet, PolyCollection, Line2D)]
    names = {name for artist in inspected for name in artist.get_setters()}
    names |= {alias for artist in inspected for aliases in artist.get_aliases().values() for alias in aliases}
    return names | set(signature(Axes.pcolormesh).parameters) | set(signature(ContourSet).parameters)


class DatasetAccessor:
    """What a FAConvLSTM network sees in this Dataset. Each method is also a function of `xfaconv`.

    Parameters
    ----------
    dataset : Dataset
        Anything like ERA5; it is never changed.
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        self._data = dataset

    conform, embed, importance, attention, hidden, encode = (_Method() for _ in range(6))
    infer, forecast = _Method(), _Method()
    plan, fit, regimes, teleconnection, check_attention, influence = (_Method() for _ in range(6))
    plot_attention, plot_embedding, plot_hidden = (_Figure() for _ in range(3))
    plot_importance, plot_regimes, plot_teleconnection = (_Figure() for _ in range(3))

    def __repr__(self) -> str:
        """Say what was recognised, what is missing and what a call will cost."""
        return repr(xfaconv.describe(self._data))

    def _repr_html_(self) -> str:
        return xfaconv.describe(self._data)._repr_html_()


class DataArrayAccessor:
    """Figures of what `xfaconv.attention`, `xfaconv.importance` and the other functions gave.

    Parameters
    ----------
    array : DataArray
        A result of those functions.
    """

    def __init__(self, array: xr.DataArray) -> None:
        self._data = array

    plot_attention, plot_embedding, plot_hidden = (_Method() for _ in range(3))
    plot_importance, plot_regimes, plot_teleconnection = (_Method() for _ in range(3))

    def __getattr__(self, name: str) -> NoReturn:
        """Explain why a method of Datasets is not here."""
        if name.startswith("_") or name not in vars(DatasetAccessor):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        variable = "t2m" if self._data.name is None else self._data.name
        raise AccessorError(
            f"a DataArray has no faconv.{name}: models read several variables together",
            expected="a Dataset",
            found=f"DataArray {self._data.name!r}",
            fix=f"ds = da.to_dataset(name={variable!r})  # better: the whole Dataset; then ds.faconv.{name}",
        )


def register() -> None:
    """Make the accessors known to xarray; doing it again, as a reload does, warns of nothing."""
    for kind, accessor, announce in (
        (xr.Dataset, DatasetAccessor, xr.register_dataset_accessor),
        (xr.DataArray, DataArrayAccessor, xr.register_dataarray_accessor),
    ):
        present = kind.__dict__.get(NAME)
        if present is not None and getattr(kind, NAME).__module__ == __name__:
            delattr(kind, NAME)
        announce(NAME)(accessor)  # type: ignore[no-untyped-call]
