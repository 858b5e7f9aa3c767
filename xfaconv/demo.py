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
from xfaconv.analysis.statistics.composites import membership_test
from xfaconv.analysis.statistics.seasons import in_season, season_years

NINO34_CENTRE = (0.0, -140.0)
_WRITTEN = ("encoded.nc", "attention_nino34.png", "importance.png", "embedding.png")
_MODEL = "ncep-monthly-2p5deg"
# An event by the usual definition: half a kelvin from the mean, here averaged over December to February.
_THRESHOLD = 0.5


def winters(index: xr.DataArray) -> dict[str, list[int]]:
    """Find the El Niño and La Niña winters by the mean of an index from December to February.

    Parameters
    ----------
    index : DataArray (time,) [K]
        Monthly Niño 3.4.

    Returns
    -------
    dict of str to list of int
        The years of January; only winters with all three months count.

    Examples
    --------
    >>> months = xr.date_range("2000-01-01", periods=36, freq="MS")
    >>> warm = xr.DataArray(np.r_[np.zeros(23), np.ones(13)], {"time": months}, ("time",))
    >>> winters(warm)
    {'El Niño': [2002], 'La Niña': []}
    """
    january = winter_year(index)
    means = index.groupby(january).mean().compute()
    complete = index.groupby(january).count().compute() == 3
    years = {"El Niño": means >= _THRESHOLD, "La Niña": means <= -_THRESHOLD}
    return {
        name: [int(year) for year in means.winter[chosen & complete].values if year] for name, chosen in years.items()
    }


def winter_year(data: xr.DataArray) -> xr.DataArray:
    """Give each month the year of its winter's January, 0 outside December to February.

    Parameters
    ----------
    data : DataArray (time,)
        Anything monthly.

    Returns
    -------
    DataArray (time,)
        Named ``winter``.
    """
    years = np.where(in_season(data.time, "DJF"), season_years(data.time, "DJF"), 0)
    return xr.DataArray(years, {"time": data.time}, ("time",), name="winter")


def attention_of_winters(attention: xr.DataArray, years: dict[str, list[int]]) -> xr.DataArray:
    """Average attention maps over the winters of each kind.

    Parameters
    ----------
    attention : DataArray (time, latitude, longitude)
        Maps of one base point.
    years : dict of str to list of int
        As `winters` gives them.

    Returns
    -------
    DataArray (kind, latitude, longitude)
        Steps whose warm-up is incomplete are left out.
    """
    warm = attention.isel(time=np.flatnonzero(attention.full_warmup))
    january = winter_year(warm)
    maps = [warm.isel(time=np.flatnonzero(january.isin(chosen))).mean("time") for chosen in years.values()]
    return xr.concat(maps, xr.Variable("kind", list(years)), coords="minimal", compat="override").assign_attrs(
        attention.attrs
    )


def differing_cells(attention: xr.DataArray, years: dict[str, list[int]]) -> xr.DataArray:
    """Test in which cells the attention of El Niño winters differs from that of La Niña winters.

    Parameters
    ----------
    attention : DataArray (time, latitude, longitude)
        Maps of one base point.
    years : dict of str to list of int
        As `winters` gives them.

    Returns
    -------
    DataArray (latitude, longitude), bool
        True where they differ at a false discovery rate of 5%, given that the months of a winter are not independent.
        None of them where one kind has no winter.
    """
    january = winter_year(attention)
    kinds = {name: january.isin(chosen) & attention.full_warmup for name, chosen in years.items()}
    either = np.flatnonzero(kinds["El Niño"] | kinds["La Niña"])
    if not all(bool(kind.any()) for kind in kinds.values()):
        return xr.zeros_like(attention.isel(time=0, drop=True), dtype=bool)
    found: xr.DataArray = membership_test(
        attention.isel(time=either), kinds["El Niño"].isel(time=either), season="DJF"
    ).significant
    return found


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


def draw(encoded: xr.Dataset, index: xr.DataArray, folder: Path) -> dict[str, list[int]]:
    """Draw the three figures.

    Parameters
    ----------
    encoded : Dataset
        With embedding, importance and attention, in memory.
    index : DataArray (time,) [K]
        Niño 3.4.
    folder : Path
        Where to write them.

    Returns
    -------
    dict of str to list of int
        The winters that were compared.
    """
    from cartopy import crs
    from matplotlib.figure import Figure

    from xfaconv.plot import relative_to_uniform

    years = winters(index)
    monthly = encoded.attention.sel(base_point="nino34")
    maps = attention_of_winters(monthly, years)
    figure = Figure(figsize=(8, 12), layout="constrained")
    axes = figure.subplots(3, 1, subplot_kw={"projection": crs.Robinson(central_longitude=NINO34_CENTRE[1])})
    highest = float(relative_to_uniform(maps).quantile(0.995))
    for ax, kind in zip(axes[:2], years, strict=True):
        title = f"{kind}, December to February {_listed(years[kind])}"
        xfaconv.plot_attention(maps.sel(kind=kind), ax=ax, vmax=highest, title=title)
    difference = maps.sel(kind="El Niño") - maps.sel(kind="La Niña")
    difference = difference.assign_coords(base_latitude=maps.base_latitude, base_longitude=maps.base_longitude)
    dots = differing_cells(relative_to_uniform(monthly), years)
    xfaconv.plot_attention(
        difference.assign_attrs(maps.attrs), ax=axes[2], stippling=dots, title="El Niño minus La Niña"
    )
    figure.suptitle("Attention of the Niño 3.4 region in El Niño and La Niña winters")
    figure.savefig(folder / "attention_nino34.png", dpi=150)
    importance = encoded.importance.assign_attrs(long_name="share of importance")
    _save(xfaconv.plot_importance(importance), folder / "importance.png")
    title = "Embedding: standardised components, in order of their correlation with Niño 3.4"
    ordered = ordered_by_correlation(encoded.embeddings, index)
    _save(xfaconv.plot_embedding(ordered, index=index, title=title), folder / "embedding.png")
    return years


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the demonstration.

    Parameters
    ----------
    arguments : sequence of str, optional
        Arguments of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m xfaconv.demo", description=__doc__)
    parser.add_argument("--model", default=_MODEL, help="name or file of a model of monthly, global data")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder to write to")
    given = parser.parse_args(arguments)
    start = time.perf_counter()
    given.output.mkdir(parents=True, exist_ok=True)

    ds = xfaconv.tutorial.open_dataset("ncep-oisst")
    print(f"{ds.attrs['title']}\n{ds.attrs['source']}\n\n{ds.faconv!r}\n")
    lazy = ds.faconv.encode(base_points={"nino34": NINO34_CENTRE}, model=given.model)
    # A terminal gets a bar that is redrawn often; a log file a line every ten seconds.
    with ProgressBar(dt=0.2 if sys.stdout.isatty() else 10.0):  # type: ignore[no-untyped-call]
        encoded = lazy.compute()
    encoded.to_netcdf(given.output / "encoded.nc")
    computed = time.perf_counter()

    index = nino34(ds).compute().assign_attrs(long_name="Niño 3.4")
    years = draw(encoded, index, given.output)
    print(
        _summary(
            xfaconv.load_model(given.model), ds, years, given.output, computed - start, time.perf_counter() - computed
        )
    )


def _summary(
    model: xfaconv.Model, ds: xr.Dataset, years: dict[str, list[int]], folder: Path, computing: float, drawing: float
) -> str:
    card = model.card
    written = "\n".join(f"  {folder / name}" for name in _WRITTEN)
    failures = "\n".join(
        textwrap.fill(text, 110, initial_indent="  - ", subsequent_indent="    ") for text in card.known_failures
    )
    return f"""
{ds.sizes["time"]} months encoded in {computing:.0f} s, figures in {drawing:.0f} s{_memory()}.

The model: {card.name}, {card.parameters:,} parameters, sha256 {model.sha256[:12]}
  {card.title}
{textwrap.fill(card.description, 110, initial_indent="  ", subsequent_indent="  ")}
Known failures:
{failures}
Attention shows what the network reads; it does not show causes.

El Niño winters compared: {_listed(years["El Niño"])}; La Niña winters: {_listed(years["La Niña"])}
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


def _listed(years: Sequence[int]) -> str:
    return ", ".join(f"{year - 1}/{year % 100:02d}" for year in years) or "none"


def _save(artist: Any, path: Path) -> None:
    figure = (artist[0] if isinstance(artist, list | tuple) else artist).figure
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
