"""The demonstration: ``python -m xfaconv.demo`` runs the packaged monthly model on the embedded reanalysis sample."""

from __future__ import annotations

import argparse
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from dask.diagnostics.progress import ProgressBar

import xfaconv
from xfaconv.analysis.indices import nino34
from xfaconv.analysis.statistics.anomalies import standardised

NINO34_CENTRE = (0.0, -140.0)
PLACE, HIDDEN = "north_pacific", (20, 80, 140, 250)
MONTH = "2016-01"
# Every second row and column: the packaged scores are of this grid, and the demonstration takes a quarter of the time.
_STRIDE = 2
_SAMPLES = 4
_WRITTEN = ("encoded.nc", "attribution.nc", "teleconnection.png", "importance.png", "embedding.png")
_MODEL = "ncep-monthly-2p5deg"


def ordered_by_correlation(embedding: xr.DataArray, index: xr.DataArray) -> xr.DataArray:
    """Standardise an embedding month by month and order its components by their correlation with an index.

    Parameters
    ----------
    embedding : DataArray (time, embedding)
        With the coordinate ``full_warmup``.
    index : DataArray (time,)
        Anomalies.

    Returns
    -------
    DataArray (time, embedding)
        In order of rising correlation, so that the highest is drawn on top; it is taken over the steps whose warm-up
        is complete.
    """
    anomaly = standardised(embedding)
    warm = np.flatnonzero(embedding.full_warmup)
    correlation = xr.corr(anomaly.isel(time=warm), index.isel(time=warm), "time")
    ordered = anomaly.isel(embedding=np.argsort(correlation.values))
    return ordered.assign_attrs(long_name="standardised", units="1")


def explain(ds: xr.Dataset, model: str, folder: Path, stride: int = _STRIDE) -> xr.Dataset:
    """Ask where the height of the North Pacific in winter is known from; write its contributions and the figure.

    Parameters
    ----------
    ds : Dataset
        The sample.
    model : str
        Name or file of the model.
    folder : Path
        Where to write ``attribution.nc``, of January 2016, and ``teleconnection.png``.
    stride : int
        Every n-th row and column.

    Returns
    -------
    Dataset
        As `xfaconv.teleconnection` gives it.
    """
    asked: dict[str, Any] = {"hide": HIDDEN, "stride": stride, "model": model}
    month = xfaconv.attribution(ds, PLACE, "z500", time=MONTH, **asked)
    month.to_netcdf(folder / "attribution.nc")
    found = xfaconv.teleconnection(ds, PLACE, "z500", index="nino34", season="DJF", samples=_SAMPLES, **asked)
    title = "500 hPa height of the North Pacific in winter, inferred from the rest of the world"
    xfaconv.plot_teleconnection(found, title=title).savefig(folder / "teleconnection.png", dpi=150)
    return found


def draw(encoded: xr.Dataset, index: xr.DataArray, folder: Path) -> None:
    """Draw importance and embedding.

    Parameters
    ----------
    encoded : Dataset
        With embedding and importance, in memory.
    index : DataArray (time,) [K]
        Niño 3.4.
    folder : Path
        Where to write them.
    """
    importance = encoded.importance.assign_attrs(long_name="share of importance")
    _save(xfaconv.plot_importance(importance), folder / "importance.png")
    title = "Embedding: standardised components, in order of their correlation with Niño 3.4"
    ordered = ordered_by_correlation(encoded.embeddings, index)
    _save(xfaconv.plot_embedding(ordered, index=index, title=title), folder / "embedding.png")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the demonstration.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m xfaconv.demo", description=__doc__)
    parser.add_argument("--model", default=_MODEL, help="name or file of a model of monthly, global data")
    parser.add_argument("--stride", type=int, default=_STRIDE, help="every n-th row and column; default: %(default)s")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder to write to")
    given = parser.parse_args(arguments)
    start = time.perf_counter()
    given.output.mkdir(parents=True, exist_ok=True)

    ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    print(f"{ds.attrs['title']}\n{ds.attrs['source']}\n\n{ds.faconv!r}\n")
    lazy = ds.faconv.encode(base_points={"nino34": NINO34_CENTRE}, model=given.model, stride=given.stride)
    # A terminal gets a bar that is redrawn often; a log file a line every ten seconds.
    with ProgressBar(dt=0.2 if sys.stdout.isatty() else 10.0):  # type: ignore[no-untyped-call]
        encoded = lazy.compute()
    encoded.to_netcdf(given.output / "encoded.nc")
    draw(encoded, nino34(ds).compute().assign_attrs(long_name="Niño 3.4"), given.output)
    found = explain(ds, given.model, given.output, given.stride)
    seconds = time.perf_counter() - start
    print(_summary(xfaconv.load_model(given.model), ds, found, given.output, given.stride, seconds))


def _summary(model: xfaconv.Model, ds: xr.Dataset, found: xr.Dataset, folder: Path, stride: int, seconds: float) -> str:
    card = model.card
    written = "\n".join(f"  {folder / name}" for name in _WRITTEN)
    failures = "\n".join(
        textwrap.fill(text, 110, initial_indent="  - ", subsequent_indent="    ") for text in card.known_failures
    )
    return f"""
{ds.sizes["time"]} months encoded and the North Pacific explained, at grid stride {stride}, in {seconds:.0f} s\
{_memory()}.

The model: {card.name}, {card.parameters:,} parameters, sha256 {model.sha256[:12]}
  {card.title}
{textwrap.fill(card.description, 110, initial_indent="  ", subsequent_indent="  ")}
Known failures:
{failures}

What may be claimed of the North Pacific:
{textwrap.fill(found.attrs["sentence"], 110, initial_indent="  ", subsequent_indent="  ")}
Written:
{written}"""


def _memory() -> str:
    try:
        import resource  # noqa: TID251 - asked for only where it is
    except ImportError:  # on Windows
        return ""
    # Kilobytes on Linux, bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return f", at most {peak:.0f} MB of memory"


def _save(artist: Any, path: Path) -> None:
    figure = (artist[0] if isinstance(artist, list | tuple) else artist).figure
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
