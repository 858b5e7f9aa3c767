"""Figures of what the engine returns: maps, variable importance, embeddings. Imports matplotlib and cartopy."""

from __future__ import annotations

from xfaconv.plot.attention import plot_attention, times_uniform
from xfaconv.plot.embedding import plot_embedding
from xfaconv.plot.importance import plot_importance

__all__ = ["plot_attention", "plot_embedding", "plot_importance", "times_uniform"]
