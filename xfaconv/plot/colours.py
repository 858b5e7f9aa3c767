"""Colour maps and colours: perceptually uniform, or balanced about zero, and told apart by colour-blind readers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SEQUENTIAL = "magma_r"
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
