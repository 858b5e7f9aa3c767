"""Colour maps and colours: perceptually uniform, or balanced about zero, and told apart by colour-blind readers."""

from __future__ import annotations

from functools import cache

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Colormap, ListedColormap
from numpy.typing import NDArray

DIVERGING = "RdBu_r"
INK = "0.15"
FAINT = "0.35"
COASTLINE = "0.25"
MISSING = "0.88"
POSITIVE = "#b2182b"
NEGATIVE = "#2166ac"

# Okabe and Ito's palette without black, then four of Paul Tol's muted scheme that stay apart from it.
CATEGORICAL = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
    "#332288",
    "#999933",
    "#882255",
    "#88CCEE",
    "#7F7F7F",
)


# CIE 1976 L*a*b* of a D65 white, and linear sRGB.
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = _TO_XYZ.sum(axis=1)


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
