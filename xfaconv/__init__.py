"""What a FAConvLSTM network sees in any ERA5-like Dataset: embeddings, variable importance and attention maps.

``import xfaconv`` registers the accessor ``ds.faconv``. Every method of it is also a function here. What they need
(torch, matplotlib, cartopy, scikit-learn) is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from xfaconv import accessor as _accessor
from xfaconv import errors
from xfaconv.climatology import Climatology
from xfaconv.errors import XFaconvError
from xfaconv.grid import Grid
from xfaconv.options import get_options, set_options
from xfaconv.specs import ModelCard, NetworkSpec, VariableSpec

if TYPE_CHECKING:
    from xfaconv import analysis, engine, inference, models, nn, plot, training, tutorial
    from xfaconv.adapt import recognise
    from xfaconv.analysis import check_attention, importance, influence, regimes, teleconnection
    from xfaconv.engine import attention, conform, embed, encode, hidden, plan, write_zarr
    from xfaconv.explore import explore_attention
    from xfaconv.inference import forecast, infer
    from xfaconv.models import Model, list_models, load_model, register_model
    from xfaconv.plot import (
        plot_attention,
        plot_embedding,
        plot_hidden,
        plot_importance,
        plot_regimes,
        plot_teleconnection,
    )
    from xfaconv.report import describe
    from xfaconv.training import fit
    from xfaconv.versions import show_versions

__version__ = "0.1.0"

_ROOMS = ("analysis", "engine", "inference", "models", "nn", "plot", "training", "tutorial")
_OFFERED = {
    "adapt": "recognise",
    "analysis": "check_attention importance influence regimes teleconnection",
    "engine": "attention conform embed encode hidden plan write_zarr",
    "explore": "explore_attention",
    "inference": "forecast infer",
    "models": "Model list_models load_model register_model",
    "plot": "plot_attention plot_embedding plot_hidden plot_importance plot_regimes plot_teleconnection",
    "report": "describe",
    "training": "fit",
    "versions": "show_versions",
}
_HOMES = {name: home for home, names in _OFFERED.items() for name in names.split()}

__all__ = [
    "Climatology", "Grid", "Model", "ModelCard", "NetworkSpec", "VariableSpec", "XFaconvError", "analysis", "attention",
    "check_attention", "conform", "describe", "embed", "encode", "engine", "errors", "explore_attention", "fit",
    "forecast", "get_options", "hidden", "importance", "infer", "inference", "influence", "list_models", "load_model",
    "models", "nn", "plan", "plot", "plot_attention", "plot_embedding", "plot_hidden", "plot_importance",
    "plot_regimes", "plot_teleconnection", "recognise", "regimes", "register_model", "set_options", "show_versions",
    "teleconnection", "training", "tutorial", "write_zarr",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


_accessor.register()
