"""Figures of what the engine returns: maps, variable importance, embeddings. Imports matplotlib and cartopy.

A new figure is a file with a function under ``@figure(STYLE)``, and its line here.
"""

from __future__ import annotations

from xfaconv.plot.attention import plot_attention, relative_to_uniform
from xfaconv.plot.attribution import plot_attribution
from xfaconv.plot.correlation import plot_correlation
from xfaconv.plot.embedding import plot_embedding
from xfaconv.plot.hidden import plot_hidden
from xfaconv.plot.importance import plot_importance
from xfaconv.plot.maps import arrange, draw_map
from xfaconv.plot.regimes import plot_regimes
from xfaconv.plot.style import MapStyle, Style, figure
from xfaconv.plot.summary import plot_teleconnection
from xfaconv.plot.teleconnectivity import plot_teleconnectivity

__all__ = [
    "MapStyle",
    "Style",
    "arrange",
    "draw_map",
    "figure",
    "plot_attention",
    "plot_attribution",
    "plot_correlation",
    "plot_embedding",
    "plot_hidden",
    "plot_importance",
    "plot_regimes",
    "plot_teleconnection",
    "plot_teleconnectivity",
    "relative_to_uniform",
]
