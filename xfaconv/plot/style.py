"""What all figures share: xarray's plotting arguments with their documentation, colours, colour bars, sizes of text."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, Normalize
from numpy.typing import NDArray

from xfaconv.arguments import Rule, check_rules, is_number, is_whole
from xfaconv.errors import ArgumentError

if TYPE_CHECKING:
    from cartopy import crs as ccrs
    from matplotlib.figure import Figure

    from xfaconv.plot.projections import Extent

MapKind = Literal["pcolormesh", "contourf"]
_Function = TypeVar("_Function", bound=Callable[..., Any])

DIVERGING = "RdBu_r"
INK = "0.15"
FAINT = "0.35"
COASTLINE = "0.25"
Resolution = Literal["110m", "50m", "10m"]
MISSING = "0.88"
POSITIVE = "#b2182b"
NEGATIVE = "#2166ac"

# Okabe and Ito's palette without black, then colours of Paul Tol's muted scheme that stay apart from it.
CATEGORICAL = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"),
    *("#F0E442", "#332288", "#999933", "#882255", "#88CCEE", "#7F7F7F"),
)
# Linear sRGB to CIE XYZ of a D65 white, on the way to CIE 1976 L*a*b*.
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = _TO_XYZ.sum(axis=1)


def _items(value: Any) -> list[Any]:
    """Items of a one-dimensional iterable; none where the value is text, a mapping or something else."""
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    return list(value) if several and getattr(value, "ndim", 1) == 1 else []


def _is_extent(value: object) -> bool:
    numbers = _items(value)
    if len(numbers) != 4 or not all(map(is_number, numbers)):
        return False
    west, east, south, north = numbers
    return bool(max(abs(west), abs(east)) <= 360 and -90 <= south < north <= 90)


def _are_labels(value: object) -> bool:
    return bool(_items(value)) and all(isinstance(label, Hashable) for label in _items(value))


def _are_levels(value: object) -> bool:
    levels = _items(value)
    return is_whole(value, 1, 1000) or (
        len(levels) > 1 and all(map(is_number, levels)) and bool((np.diff(levels) > 0).all())
    )


def _or_none(good: Callable[[Any], bool], expected: str, example: str) -> Rule:
    return lambda value: value is None or good(value), f"{expected}, or None", example


# What is interpreted here, and what matplotlib would draw a wrong picture of without a word (limits that are NaN or
# in the wrong order, descending levels). Of all other arguments matplotlib and xarray are the judges.
_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(
            ("add_colorbar", "anomalies", "borders", "mean", "order", "relative"),
            (lambda value: isinstance(value, bool | np.bool_), "True or False", "True"),
        ),
        **dict.fromkeys(("aspect", "size"), _or_none(lambda v: is_number(v, 0.01, 1000), "a number above 0", "3.0")),
        **dict.fromkeys(("channels", "components"), _or_none(_are_labels, "labels, at least one", "[0, 1]")),
        **dict.fromkeys(
            ("row", "col"), _or_none(lambda v: isinstance(v, Hashable), "the name of a dimension", "'season'")
        ),
        **dict.fromkeys(("vmax", "vmin"), _or_none(is_number, "a finite number", "0.0")),
        "ax": _or_none(lambda v: isinstance(v, Axes), "axes of matplotlib", "plt.gca()"),
        "center": (lambda v: v is None or v is False or is_number(v), "a finite number, False or None", "0.0"),
        "coastlines": (lambda v: v is False or isinstance(v, str), "a resolution, or False", "'110m'"),
        "col_wrap": _or_none(lambda v: is_whole(v, 1), "a whole number from 1", "3"),
        "extent": _or_none(_is_extent, "west, east, south, north in degrees, south before north", "(-80, 40, 20, 80)"),
        "great_circles": (lambda v: is_whole(v, 0, 1000), "a whole number from 0 to 1000", "3"),
        "levels": _or_none(_are_levels, "a number of levels up to 1000, or ascending levels", "12"),
        "title": _or_none(lambda v: isinstance(v, str), "text", "'El Niño'"),
        "stippling": (
            lambda v: v is None or v is False or isinstance(v, xr.DataArray),
            "a boolean DataArray, False or None",
            "None  # or a boolean array",
        ),
    }
)


def check_figure(**given: object) -> None:
    """Raise an error for arguments of a figure that break the rule of their name.

    Parameters
    ----------
    **given
        Arguments by the names that users write; those that matplotlib or xarray judge have no rule.

    Raises
    ------
    ArgumentError
        Naming the first that is wrong, what is expected and what was found.

    Examples
    --------
    >>> check_figure(great_circles=2, cmap="viridis")
    >>> check_figure(size=-1)
    Traceback (most recent call last):
    xfaconv.errors.ArgumentError: size cannot be used
      expected: a number above 0, or None
      found:    -1
      fix:      size=3.0
    """
    check_rules({name: value for name, value in given.items() if name in _RULES}, _RULES)


def check_panels(wanted: Iterable[Hashable], known: Iterable[Hashable]) -> None:
    """Raise an error for dimensions that panels cannot be made of.

    Parameters
    ----------
    wanted : iterable of hashable
        What `row` and `col` name.
    known : iterable of hashable
        Dimensions of the data that panels can be made of.

    Raises
    ------
    ArgumentError
        Naming the first that is unknown.

    Examples
    --------
    >>> check_panels(["head"], ["head", "lag"])
    """
    known = list(known)
    for dim in wanted:
        if dim not in known:
            raise ArgumentError(
                f"{dim!r} is not a dimension that panels can be made of",
                expected=f"one of {tuple(map(str, known))}"
                if known
                else "no row or col: the data have no such dimension",
            )


@dataclass(frozen=True, eq=False)
class Style:
    """Arguments that all figures share, as xarray's plotting functions have them.

    An instance holds the defaults of a figure (see `figure`), then what the user gave (see `updated`).

    Parameters
    ----------
    title : str
        Above the figure.
    ax : Axes
        Where to draw; by default a new figure. Not with `row` or `col`.
    figsize : (float, float)
        Width and height of the figure [inches].
    size : float
        Height of each panel [inches].
    aspect : float
        Width over height of each panel.
    row : hashable
        Dimension to make rows of panels of.
    col : hashable
        Dimension to make columns of panels of.
    col_wrap : int
        Panels in a row; by default at most three.
    cmap : str or Colormap
        Colour map; by default one from white, or a diverging one for values of both signs.
    center : float or False
        Value in the middle of the colour map; by default zero for values of both signs, False for none.
    robust : bool
        Let the colours cover the 2nd to the 98th percentile; values beyond have the colours of the ends.
    levels : int or sequence of float
        Number or bounds of colour levels.
    vmin : float
        Value at the lower end of the colours.
    vmax : float
        Value at the upper end of the colours.
    norm : Normalize
        Normalisation of matplotlib, instead of `center`, `vmin` and `vmax`.
    add_colorbar : bool
        Draw one colour bar for all panels.
    cbar_kwargs : mapping
        Passed to the colour bar.
    subplot_kws : mapping
        Passed to the axes.
    extra : mapping
        Further keywords of the user, passed to matplotlib.
    """

    title: str | None = None
    ax: Axes | None = None
    figsize: tuple[float, float] | None = None
    size: float | None = None
    aspect: float | None = None
    row: Hashable | None = None
    col: Hashable | None = None
    col_wrap: int | None = None
    cmap: str | Colormap | None = None
    center: float | Literal[False] | None = None
    robust: bool = False
    levels: int | Sequence[float] | None = None
    vmin: float | None = None
    vmax: float | None = None
    norm: Normalize | None = None
    add_colorbar: bool = True
    cbar_kwargs: Mapping[str, Any] | None = None
    subplot_kws: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_figure(**{each.name: getattr(self, each.name) for each in fields(self)})
        if self.row is not None and self.row == self.col:
            raise ArgumentError("row and col are the same dimension", found=repr(self.row), fix="row=None")
        if self.vmin is not None and self.vmax is not None and self.vmin >= self.vmax:
            raise ArgumentError("vmin is not below vmax", found=f"vmin={self.vmin:g}, vmax={self.vmax:g}")
        if self.ax is not None and self.panels:
            raise ArgumentError("ax cannot be combined with row or col, whose panels need a figure of their own")

    @property
    def panels(self) -> bool:
        """Whether the figure has panels along a dimension."""
        return self.row is not None or self.col is not None

    def updated(self, options: Mapping[str, Any]) -> Self:
        """Take the arguments that a user gave.

        Parameters
        ----------
        options : mapping of str to object
            Keyword arguments of a figure beside those of its own.

        Returns
        -------
        Style
            With the shared arguments in their fields and all others in `extra`, for matplotlib.

        Raises
        ------
        ArgumentError
            If an argument breaks the rule of its name, or two contradict each other.

        Examples
        --------
        >>> style = Style(robust=True).updated({"vmax": 2.0, "alpha": 0.5})
        >>> style.robust, style.vmax, style.extra
        (True, 2.0, {'alpha': 0.5})
        """
        known = {each.name for each in fields(self)} - {"extra"}
        given = {name: value for name, value in options.items() if name in known}
        return replace(self, **given, extra={name: value for name, value in options.items() if name not in known})

    def new_figure(self, width: float, height: float, layout: Literal["constrained", "compressed"]) -> Figure:
        """Make a figure, or take the current one where it is empty and no size is asked for, as xarray does.

        Parameters
        ----------
        width, height : float
            Size [inches] where `figsize` does not say it.
        layout : {"constrained", "compressed"}
            How matplotlib places the axes.

        Returns
        -------
        Figure

        Examples
        --------
        >>> float(Style(figsize=(4.0, 3.0)).new_figure(6.0, 3.0, "constrained").get_figwidth())
        4.0
        """
        if self.figsize is None and self.size is None and plt.get_fignums() and not plt.gcf().axes:
            return plt.gcf()
        return plt.figure(figsize=(width, height) if self.figsize is None else self.figsize, layout=layout)

    def draw_title(self, of_figure: Any) -> None:
        """Write the title above all panels, where there is one."""
        if self.title:
            size = text_sizes(of_figure.figure.get_figwidth())["title"] + 0.5
            of_figure.suptitle(self.title, fontsize=size, color=INK)

    def draw_colour_bar(self, artist: Any, axes: Sequence[Axes], **defaults: Any) -> Any:
        """Draw a colour bar beside axes.

        Parameters
        ----------
        artist : ScalarMappable
            What it explains.
        axes : sequence of Axes
            Which give up room for it, unless `cbar_kwargs` bring axes.
        **defaults
            Of the colour bar, among them `label`; `cbar_kwargs` win.

        Returns
        -------
        Colorbar
        """
        options = {**defaults, **(self.cbar_kwargs or {})}
        if "cax" not in options:
            options["ax"] = list(axes)
        sizes = sizes_in(axes[0])
        bar: Any = axes[0].figure.colorbar(artist, **options)
        bar.ax.tick_params(labelsize=sizes["tick"], width=0.6, colors=INK)
        bar.set_label(options["label"], size=sizes["label"], color=INK)
        bar.outline.set_linewidth(0.6)
        return bar


@dataclass(frozen=True, eq=False)
class MapStyle(Style):
    """Arguments that all maps share.

    Parameters
    ----------
    kind : {"pcolormesh", "contourf"}
        Cells as they are, or filled contours.
    projection : str or cartopy.crs.CRS
        Such as "Robinson" or "NorthPolarStereo"; by default what suits the domain.
    extent : (float, float, float, float)
        West, east, south, north [degrees] to show.
    stippling : DataArray ([row,] [col,] latitude, longitude), bool, or False
        Dots where True.
    coastlines : {"110m", "50m", "10m"} or False
        110m is embedded; finer ones come through cartopy, which may download them.
    borders : bool
        Draw land borders of countries too.
    """

    kind: MapKind = "pcolormesh"
    projection: str | ccrs.CRS | None = None
    extent: Extent | None = None
    stippling: xr.DataArray | Literal[False] | None = None
    coastlines: Resolution | Literal[False] = "110m"
    borders: bool = False


def figure(style: Style) -> Callable[[_Function], _Function]:
    """Show the arguments that a figure shares with others in its signature and its documentation.

    Parameters
    ----------
    style : Style
        With the defaults of the figure.

    Returns
    -------
    callable
        Decorator of a function whose last parameter takes further keywords, which it hands to ``style.updated``. What
        the function documents itself is not documented again.

    Examples
    --------
    >>> STYLE = MapStyle(cmap="Blues", title="Snow")
    >>> @figure(STYLE)
    ... def plot_snow(snow, **options):
    ...     return draw_map(snow, STYLE.updated(options))
    >>> inspect.signature(plot_snow).parameters["cmap"].default
    'Blues'
    """

    def documented(function: _Function) -> _Function:
        signature = inspect.signature(function)
        *own, further = signature.parameters.values()
        keyword = inspect.Parameter.KEYWORD_ONLY
        shared = [
            inspect.Parameter(each.name, keyword, default=getattr(style, each.name), annotation=each.type)
            for each in fields(style)
            if each.name != "extra"
        ]
        target: Any = function
        target.__signature__ = signature.replace(parameters=[*own, *shared, further])
        if function.__doc__ is not None:
            target.__doc__ = _with_shared(inspect.cleandoc(function.__doc__), style, further.name)
        return function

    return documented


def _with_shared(text: str, style: Style, further: str) -> str:
    """Add the shared arguments to the section of parameters of a documentation in numpydoc."""
    classes = [cls for cls in type(style).__mro__[::-1] if cls.__doc__]
    entries = [entry for cls in classes for entry in _entries(inspect.cleandoc(cls.__doc__ or ""))]
    own = {name.strip() for names, _, _ in _entries(text) for name in names.split(",")}
    added = []
    for name, kind, body in entries:
        if name == "extra":
            continue
        default = getattr(style, name)
        ending = ", optional" if default is None else f", default {default!r}"
        added += [] if name in own else [f"{name} : {kind}{ending}\n{body}"]
    added.append(f"**{further}\n    Passed to matplotlib.")
    section = _PARAMETERS.search(text)
    if section is None:
        return "\n".join([text, "", "Parameters", "----------", *added, ""])
    return "\n".join([text[: section.end()], *added]) + text[section.end() :] + "\n"


# The section of parameters up to the line before the next section, and each entry in it.
_PARAMETERS = re.compile(r"^Parameters\n-+\n.*?(?=\n\n[A-Z][^\n]*\n-+\n|\s*\Z)", re.MULTILINE | re.DOTALL)
_ENTRY = re.compile(r"^(\S[^\n]*?) : ([^\n]*)\n((?: +[^\n]*(?:\n|\Z))+)", re.MULTILINE)


def _entries(text: str) -> list[tuple[str, str, str]]:
    """Names, type and text of each entry in the section of parameters."""
    section = _PARAMETERS.search(text)
    found = _ENTRY.findall(section.group()) if section is not None else []
    return [(names, kind, body.rstrip("\n")) for names, kind, body in found]


def text_sizes(width: float) -> dict[str, float]:
    """Sizes of text [points] for a figure of a width [inches]: legible at one journal column and not lost on a slide.

    Parameters
    ----------
    width : float
        Of the figure [inches].

    Returns
    -------
    dict of str to float
        Under "title", "label", "tick".

    Examples
    --------
    >>> text_sizes(3.5)["label"]
    7.5
    """
    label = float(np.clip(7.5 + (width - 3.5) * 0.5, 6.5, 11.0))
    return {"title": label + 1.0, "label": label, "tick": label - 0.5}


def sizes_in(ax: Any) -> dict[str, float]:
    """Sizes of text for the figure that axes belong to, a subfigure's whole figure included.

    Parameters
    ----------
    ax : Axes
        Any axes.

    Returns
    -------
    dict of str to float
        As `text_sizes` gives them.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> sizes_in(Figure(figsize=(3.5, 2.0)).add_subplot())["label"]
    7.5
    """
    return text_sizes(float(ax.figure.figure.get_figwidth()))


@cache
def sequential() -> Colormap:
    """Colour map from white to nearly black whose lightness falls evenly: magma turned round, its pale end made white.

    Returns
    -------
    Colormap
        Not registered with matplotlib, whose registry is shared by everybody.

    Examples
    --------
    >>> [round(float(part), 2) for part in sequential()(0.0)[:3]]
    [1.0, 1.0, 1.0]
    """
    fraction = np.linspace(0, 1, 256)
    given = lightness_and_hue(mpl.colormaps["magma_r"](fraction)[:, :3])
    lightness = np.linspace(100.0, 8.0, fraction.size)
    hue = [np.interp(-lightness, -given[:, 0], given[:, part]) for part in (1, 2)]
    # Colour comes in gently at first, where magma would be a saturated yellow.
    gently = np.clip(fraction / 0.22, 0, 1)
    gently = gently * gently * (3 - 2 * gently)
    colours = _to_rgb(np.column_stack([lightness, hue[0] * gently, hue[1] * gently]))
    return ListedColormap([tuple(colour) for colour in colours], name="white_magma")


def lightness_and_hue(rgb: NDArray[np.floating]) -> NDArray[np.float64]:
    """CIE L*a*b* of sRGB colours: equal distances look about equally different.

    Parameters
    ----------
    rgb : ndarray (colour, 3)
        Between 0 and 1.

    Returns
    -------
    ndarray (colour, 3)
        Lightness from 0 to 100, green to red, blue to yellow.

    Examples
    --------
    >>> lightness_and_hue(np.array([[1.0, 1.0, 1.0]])).round(1) + 0.0
    array([[100.,   0.,   0.]])
    """
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _TO_XYZ.T / _WHITE
    root = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    x, y, z = root.T
    return np.column_stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def _to_rgb(lab: NDArray[np.floating]) -> NDArray[np.float64]:
    y = (lab[:, 0] + 16) / 116
    root = np.column_stack([y + lab[:, 1] / 500, y, y - lab[:, 2] / 200])
    ratio = np.where(root**3 > 216 / 24389, root**3, (116 * root - 16) * 27 / 24389)
    linear = np.clip(ratio * _WHITE @ np.linalg.inv(_TO_XYZ).T, 0, 1)
    return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


def categorical(count: int) -> list[str]:
    """Colours for a number of categories, repeating after twelve.

    Parameters
    ----------
    count : int
        Number of categories.

    Returns
    -------
    list of str
        Hexadecimal colours.

    Examples
    --------
    >>> categorical(2)
    ['#0072B2', '#E69F00']
    """
    return [CATEGORICAL[position % len(CATEGORICAL)] for position in range(count)]


def is_diverging(values: NDArray[np.floating]) -> bool:
    """Whether values lie on both sides of zero, so that zero deserves the middle of the colour map.

    Parameters
    ----------
    values : ndarray
        Values to be drawn, NaN where missing.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_diverging(np.array([0.0, 3.0])), is_diverging(np.array([-2.0, 3.0]))
    (False, True)
    """
    return bool(np.any(values < 0) and np.any(values > 0))
