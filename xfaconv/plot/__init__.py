"""Figures of what the engine returns: maps, variable importance, embeddings. Imports matplotlib and cartopy."""

from __future__ import annotations

from xfaconv.plot.attention import plot_attention, times_uniform
from xfaconv.plot.embedding import plot_embedding
from xfaconv.plot.hidden import plot_hidden
from xfaconv.plot.importance import plot_importance
from xfaconv.plot.regimes import plot_regimes
from xfaconv.plot.teleconnection import plot_teleconnection

__all__ = [
    "plot_attention",
    "plot_embedding",
    "plot_hidden",
    "plot_importance",
    "plot_regimes",
    "plot_teleconnection",
    "times_uniform",
]
