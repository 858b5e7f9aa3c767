"""What the monthly model infers of areas that users hide: ``python benchmarks/hidden_areas.py --data FOLDER``.

Six boxes and a sector are hidden in turn from all variables through windows of the test years, on every second grid
point. Prints the share of the variance that is explained, the mean over the variables and each of them: of the network,
of the optimal interpolation that it starts from, and of the ridge regression from 20 to 80 EOFs of what is visible that
does best on these very years; and, for the mean height at 500 hPa over 30 to 60 degrees north and 170 degrees east to
140 degrees west in December to February with the first box hidden, the correlation of each with what was observed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import xfaconv
from xfaconv.eofs import PENALTIES, RANKS, leading_modes
from xfaconv.grid import Grid
from xfaconv.nn import Network
from xfaconv.training.data import TrainingData
from xfaconv.training.evaluation import linear_part, predict_windows
from xfaconv.training.recipes import RECIPES, recipe_data

NAME, STRIDE = "ncep-monthly-2p5deg", 2
WARMUP, KEPT = 9, 12
# South, north, west, east.
AREAS = {
    "North Pacific": (20, 80, 140, 250),
    "North America": (25, 75, 220, 300),
    "Europe": (30, 75, 330, 60),
    "India": (0, 40, 60, 110),
    "South Atlantic": (-50, 0, 310, 20),
    "tropical Pacific": (-20, 20, 170, 280),
    "sector 140E to 110W": (-90, 90, 140, 250),
}
INDEX = (30, 60, 170, 220)
VARIABLE, WINTER = "z500", (12, 1, 2)

Predictions = NDArray[np.floating]


def cells(grid: Grid, area: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    """Give the cells of an area."""
    south, north, west, east = area
    latitude, longitude = np.asarray(grid.latitude), np.asarray(grid.longitude)
    rows = (latitude >= south) & (latitude <= north)
    return rows[:, None] & ((longitude - west) % 360 <= (east - west) % 360)[None]


def inferred(network: Network, data: TrainingData, hide: NDArray[np.bool_]) -> Predictions:
    """Infer the test steps (time, variable, lat, lon) in windows that are hidden throughout."""
    steps = range(data.test.start, data.test.stop, KEPT)
    windows = [min(first, data.test.stop - KEPT) - WARMUP for first in steps]
    masks = np.broadcast_to(hide, (len(windows), *hide.shape))
    out = np.empty((data.test.stop - data.test.start, len(data.fields), *hide.shape), dtype=np.float32)
    for first, predicted in predict_windows(network, data, windows, WARMUP + KEPT, WARMUP, masks):
        start = first + WARMUP - data.test.start
        out[start : start + KEPT] = predicted[:, 0]
    return out


def ridge(data: TrainingData, hide: NDArray[np.bool_]) -> dict[tuple[int, float], Predictions]:
    """Infer by regression from EOFs, for every number of them and every penalty."""
    root = np.sqrt(data.grid.area)
    past, future = (np.nan_to_num(data.steps(part)).astype(np.float64) for part in (data.train, data.test))
    visible = [(part * root)[:, :, ~hide].reshape(len(part), -1) for part in (past, future)]
    modes = leading_modes(visible[0], max(RANKS))
    series = [part @ modes.patterns.T for part in visible]
    wanted = past[:, :, hide].reshape(len(past), -1)
    found = {}
    for rank in RANKS[1:]:
        for penalty in (0.0, *PENALTIES):
            square = (series[0][:, :rank] ** 2).sum(axis=0) + penalty * modes.variance[0]
            guess = np.zeros_like(future)
            solved = series[1][:, :rank] @ ((series[0][:, :rank].T @ wanted) / square[:, None])
            guess[:, :, hide] = solved.reshape(len(future), len(data.fields), -1)
            found[rank, penalty] = guess
    return found


def explained(guess: Predictions, truth: NDArray[np.floating], weight: NDArray[np.floating]) -> NDArray[np.float64]:
    """Share of the variance of each variable."""
    error, total = ((weight * part**2).sum(axis=(0, 2, 3)) for part in (guess - truth, truth))
    return np.asarray(1 - error / total)


def area_rows(data: TrainingData, networks: Mapping[str, Network]) -> None:
    """Print a row for each area and method."""
    raw = data.steps(data.test)
    truth = np.nan_to_num(raw).astype(np.float64)
    month = data.time.values[data.test.start : data.test.stop].astype("datetime64[M]").astype(int) % 12 + 1
    winter, index = np.isin(month, WINTER), cells(data.grid, INDEX) * data.grid.area
    position = data.names.index(VARIABLE)
    print("| area | method | " + " | ".join(["mean", *data.names]) + " |")
    for name, area in AREAS.items():
        hide = cells(data.grid, area)
        weight = data.grid.area * (hide & np.isfinite(raw))
        guesses = {title: inferred(network, data, hide) for title, network in networks.items()}
        guesses["best ridge"] = max(
            ridge(data, hide).values(), key=lambda guess: explained(guess, truth, weight).mean()
        )
        for title, guess in guesses.items():
            shares = explained(guess, truth, weight)
            print(f"| {name} | {title} | " + " | ".join(f"{value:.3f}" for value in (shares.mean(), *shares)) + " |")
            if area == AREAS["North Pacific"]:
                pair = [(part[winter, position] * index).sum(axis=(1, 2)) for part in (guess, truth)]
                print(
                    f"| mean {VARIABLE} in winter | {title}, correlation | {np.corrcoef(*pair)[0, 1]:.2f} |", flush=True
                )


def main() -> None:
    """Score the packaged model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the reanalysis files")
    data = recipe_data(RECIPES[NAME], parser.parse_args().data).strided(STRIDE)
    network = xfaconv.load_model(NAME).network()
    networks = {"network": network}
    if network.interpolation is not None:
        networks["optimal interpolation alone"] = linear_part(network, data)
    area_rows(data, networks)


if __name__ == "__main__":
    main()
