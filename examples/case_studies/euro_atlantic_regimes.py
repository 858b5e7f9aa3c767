"""Case study: four winter regimes of the eastern Atlantic and Europe, from embeddings and from EOFs of 500 hPa height.

    python examples/case_studies/euro_atlantic_regimes.py --out docs/case-studies

Data: ERA-Interim, daily at 12 UTC, 30-60N and 20W-14.5E, 2000 to 2009 (msl, z500, t850): three public files of 4 MB,
which are downloaded once and verified. The packaged model `erai-natl-daily-1p5deg` is used as it is.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from scipy.optimize import linear_sum_assignment
from shared import command_line, loaded, north_atlantic, save
from sklearn.metrics import adjusted_rand_score

import xfaconv
from xfaconv import analysis

MODEL = "erai-natl-daily-1p5deg"
SEASON = "DJF"
COUNT = 4
COMPONENTS = 10
GRAVITY = 9.80665
PLACE = (51.0, 0.5)
CHECKED = 4
# NAO index of CPC (https://www.cpc.ncep.noaa.gov) of January, February and December, 2000 to 2009.
NAO = [
    0.60, 1.70, -0.58, 0.25, 0.45, -0.83, 0.44, 1.10, -0.94, 0.16, 0.62, 0.64, -0.29, -0.14, 1.21,
    1.52, -0.06, -0.44, 1.27, -0.51, 1.34, 0.22, -0.47, 0.34, 0.89, 0.73, -0.28, -0.01, 0.06, -1.93,
]  # fmt: skip


def matched(maps: xr.DataArray, others: xr.DataArray) -> tuple[list[int], np.ndarray]:
    """Partner of each map among the others, each used once, and the pattern correlations of the pairs."""
    table = np.array(
        [
            [
                float(analysis.pattern_correlation(maps.sel(regime=i), others.sel(regime=j)))
                for j in others.regime.to_numpy()
            ]
            for i in maps.regime.to_numpy()
        ]
    )
    rows, columns = linear_sum_assignment(-table)
    return others.regime.to_numpy()[columns].tolist(), table[rows, columns]


def described(name: str, found: xr.Dataset) -> None:
    """Print the numbers that say how far the regimes are to be believed."""
    print(f"\n{name}: {COUNT} regimes, {SEASON}")
    for score in ("silhouette", "surrogate_silhouette", "p_value", "seed_stability", "half_stability"):
        print(f"  {score:<22}{float(found[score]):7.3f}")
    print("  frequency   " + " ".join(f"{value:6.2f}" for value in found.frequency.to_numpy()))
    print("  persistence " + " ".join(f"{value:6.1f}" for value in found.persistence.to_numpy()) + " days")


def correlation_with_nao(labels: xr.DataArray) -> dict[int, float]:
    """Correlation over winter months of the share of days in each regime with the NAO index of CPC."""
    nao = pd.Series(NAO, pd.MultiIndex.from_product([range(2000, 2010), (1, 2, 12)]))
    days = labels.where(labels > 0, drop=True).to_series().astype(int)
    share = pd.crosstab([days.index.year, days.index.month], days, normalize="index")
    return {int(regime): float(np.corrcoef(share[regime], nao.loc[share.index])[0, 1]) for regime in share.columns}


def main() -> None:
    """Make the figure and print the numbers of the page."""
    arguments = command_line(__doc__)
    ds = north_atlantic(arguments.data)
    model = loaded(arguments.model or MODEL)
    height = analysis.anomalies(ds.z500) / GRAVITY
    height.attrs = {"units": "m", "long_name": "anomaly of 500 hPa height"}
    eofs = analysis.leading_eofs(height, COMPONENTS)
    vectors = {"EOFs of z500": eofs.components, "embeddings": xfaconv.embed(ds, model=model)}
    found = {name: analysis.regimes(part, COUNT, season=SEASON) for name, part in vectors.items()}
    maps = {}
    for name, one in found.items():
        described(name, one)
        composites = analysis.regime_composites(height, one, season=SEASON, deseasonalise=False)
        maps[name] = composites
        related = correlation_with_nao(one.label)
        print("  with the NAO " + " ".join(f"{related[number]:+6.2f}" for number in range(1, COUNT + 1)))
        stands_out = composites.significant.mean(["latitude", "longitude"])
        print("  significant  " + " ".join(f"{float(share):6.2f}" for share in stands_out))
    for name, part in vectors.items():
        choice = analysis.choose_count(part, range(2, 8), season=SEASON)
        print(f"number of regimes that {name} support (0: none): {int(choice.suggested)}")
        scores = ["silhouette", "surrogate_silhouette", "p_value", "seed_stability", "half_stability", "support"]
        print(choice[scores].to_dataframe().round(3).to_string())
    one, two = maps["EOFs of z500"]["mean"], maps["embeddings"]["mean"]
    partner, likeness = matched(one, two)
    print("\npattern correlation of each EOF regime with its partner among the embeddings")
    for regime, other, value in zip(one.regime.to_numpy(), partner, likeness, strict=True):
        print(f"  EOF regime {regime} and embedding regime {other}: {value:+.2f}")
    both = xr.align(found["EOFs of z500"].label, found["embeddings"].label, join="inner")
    kept = (both[0] > 0) & (both[1] > 0)
    print(f"adjusted Rand index of the two labellings: {adjusted_rand_score(both[0][kept], both[1][kept]):.2f}")
    draw(maps, partner, likeness, found, arguments.out)
    check(ds, model)


def check(ds: xr.Dataset, model: xfaconv.Model) -> None:
    """Run all checks on the attention of south-east England, and print what they say."""
    report = xfaconv.check_attention(ds, PLACE, season=SEASON, samples=CHECKED, model=model).compute()
    for check in report.check.to_numpy():
        part = report.sel(check=check)
        print(f"  {'passed' if part.passed else 'FAILED'} {check}: {part.verdict.item()}")
    print(f"  => {report.claim.item()}")


def draw(
    maps: dict[str, xr.Dataset], partner: list[int], likeness: np.ndarray, found: dict[str, xr.Dataset], out: Path
) -> None:
    """Composites of both kinds, partners below each other."""
    from cartopy import crs as ccrs

    figure, axes = plt.subplots(
        2, COUNT, figsize=(15, 7), layout="constrained", subplot_kw={"projection": ccrs.PlateCarree()}
    )
    for column, regime in enumerate(maps["EOFs of z500"].regime.to_numpy()):
        pairs = (("EOFs of z500", regime), ("embeddings", partner[column]))
        for ax, (name, number) in zip(axes[:, column], pairs, strict=True):
            part = maps[name].sel(regime=number)
            share = float(found[name].frequency.sel(regime=number))
            title = f"{name}: {number} ({share:.0%})"
            # Two lines: what all maps have in common stands above them once.
            title += f"\npattern correlation {likeness[column]:.2f}" if name == "embeddings" else "\n"
            xfaconv.plot_correlation(
                part["mean"], ax=ax, base_point=False, stippling=part.significant, title=title, vmin=-200, vmax=200
            )
    figure.suptitle(
        "500 hPa height anomaly [m] of the regimes of December to February 2000 to 2009 (partners below each other; "
        "dots: significant, false discovery rate 5%)"
    )
    save(out / "euro_atlantic_regimes.png")


if __name__ == "__main__":
    main()
