"""Attributes that say what a result is and how it was made, plain enough to survive NetCDF and Zarr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from xfaconv.engine.segments import Segmentation
from xfaconv.grid import Grid
from xfaconv.specs import ModelCard

_KINDS: Mapping[str, Mapping[str, str]] = {
    "embeddings": {
        "long_name": "embedding of the fields up to this time",
        "units": "1",
    },
    "importance": {
        "long_name": "importance of the variable: squeeze-excitation gates mapped back through the input weights",
        "units": "1",
        "comment": "Non-negative and summing to 1 over the variables. Gates act on mixtures of variables: compare with "
        "occlusion before drawing conclusions.",
    },
    "attention": {
        "long_name": "composed axial attention of the base point",
        "units": "1",
        "comment": "Share of the attention that the base point pays to each cell; every map sums to 1 over the grid. "
        "Attention is not causation.",
    },
    "hidden": {"long_name": "hidden state after the axial attention", "units": "1"},
}


def package_version() -> str:
    """Give the version of the package.

    Examples
    --------
    >>> isinstance(package_version(), str)
    True
    """
    import xfaconv

    return xfaconv.__version__


def describe(
    *,
    call: str,
    card: ModelCard,
    chosen: str,
    grid: Grid,
    pieces: Segmentation,
    missing: str,
    normalisation: str,
    steps: Sequence[str],
    history: str | None,
) -> dict[str, Any]:
    """Say how a result was made.

    Parameters
    ----------
    call : str
        The call as it was made.
    card : ModelCard
        The model.
    chosen : str
        How the model was chosen.
    grid : Grid
        Grid that the network ran on.
    pieces : Segmentation
        How time was cut.
    missing : str
        What was done about missing values.
    normalisation : str
        Which climatology the anomalies are taken from.
    steps : sequence of str
        What was done to the data on the way.
    history : str, optional
        History of the input.

    Returns
    -------
    dict
        Text and whole numbers only.
    """
    line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} xfaconv {package_version()}: {call}"
    return {
        "package": "xfaconv",
        "version": package_version(),
        "model": card.name,
        "model_choice": chosen,
        "model_source": card.source,
        "weights_sha256": card.weights_sha256,
        "grid": grid.describe(),
        "periodic": "yes" if grid.periodic else "no",
        "step": card.step,
        "segment": pieces.segment,
        "warmup": pieces.warmup,
        "mode": pieces.mode,
        "missing_values": missing,
        "normalisation": normalisation,
        "processing": "; ".join(steps),
        "history": f"{history}\n{line}" if history else line,
    }


def attributes(kind: str, shared: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Give the attributes of one output.

    Parameters
    ----------
    kind : {"embeddings", "importance", "attention", "hidden"}
        Which output.
    shared : Mapping
        As `describe` gives it.
    metrics : Mapping
        Of the model's card; the share of the variance of its maps that is in time goes with attention.

    Returns
    -------
    dict

    Examples
    --------
    >>> attributes("attention", {"model": "tiny"}, {"attention_variance_in_time": 0.06})["variance_in_time"]
    0.06
    """
    in_time = metrics.get("attention_variance_in_time") if kind == "attention" else None
    measured = {"variance_in_time": in_time} if isinstance(in_time, float) else {}
    return {**_KINDS[kind], **measured, **shared}
