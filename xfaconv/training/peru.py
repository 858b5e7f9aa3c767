"""Recipe of the regional monthly model: real ERA5 over western South America and the eastern Pacific."""

from __future__ import annotations

from dataclasses import replace

from xfaconv.specs import NetworkSpec, VariableSpec
from xfaconv.training.loop import Schedule
from xfaconv.training.recipes import COARSE, Recipe, Stage, embedding_stage

_SHORT = replace(COARSE, hidden_weight=2.0, lead_weight=1.5)

PERU = Recipe(
    name="era5-peru-monthly-0p25deg",
    title="Western South America and eastern Pacific, monthly ERA5, 0.25 degrees",
    files="era5-monthly-peru-1960-2015.nc",
    step="1M",
    variables=(
        VariableSpec("u10", "m s-1", "10 metre eastward wind"),
        VariableSpec("v10", "m s-1", "10 metre northward wind"),
        VariableSpec("t2m", "K", "2 metre temperature"),
        VariableSpec("tp", "m", "Total precipitation, monthly mean of daily totals"),
    ),
    network=NetworkSpec(
        variables=4,
        hidden=48,
        bottleneck=16,
        scales=((3, 1), (5, 1)),
        attention_every=1,
        attention_width=32,
        attention_heads=4,
        embedding=32,
        look_back=6,
        leads=(0, 1, 3),
        domain=(-20.125, 2.125, -85.125, -64.875),
        periodic=False,
        pooling="attention",
        outlook=False,
    ),
    stages=(
        Stage(
            Schedule(updates=2500, batch=8, window=3, learning_rate=2e-2, averaging=0.99, seed=1, blend=True),
            every=6,
            objective=_SHORT,
        ),
        Stage(
            Schedule(updates=200, batch=8, window=3, learning_rate=8e-3, averaging=0.99, seed=2, blend=True),
            every=3,
            objective=_SHORT,
        ),
        Stage(
            Schedule(updates=40, batch=4, window=3, learning_rate=3e-3, averaging=0.95, seed=3, blend=True),
            every=1,
            objective=_SHORT,
        ),
        embedding_stage(
            Schedule(updates=500, batch=4, window=14, learning_rate=1e-2, averaging=0.98, seed=4, blend=True),
            every=3,
        ),
    ),
    train=("1960-01", "2003-12"),
    test=("2005-01", "2015-12"),
    segment=12,
    warmup=8,
    start_from_persistence=True,
    compared_stages=2,
    text={
        "source": "reanalysis",
        "description": (
            "Learned from monthly means of ERA5 over 20 degrees south to 2 degrees north and 85 to 65 degrees west, "
            "1960 to 2003: to forecast one and three months ahead, to infer hidden parts of the region from the rest, "
            "and to rebuild the fields from the embedding."
        ),
        "data": "ERA5 monthly means (Copernicus Climate Change Service): u10, v10, t2m, tp at 0.25 degrees",
        "licence": "weights BSD-3-Clause; contains modified Copernicus Climate Change Service information",
        "citation": (
            "Nji, F. N. and Wang, J.: Factorized-Attention ConvLSTM for Efficient Feature Extraction in Multivariate "
            "Climate Data"
        ),
        "known_failures": (
            "Temperature is forecast no better than by damped persistence, three months ahead worse.",
            "Hidden parts of the region are inferred less well than by linear regression from EOFs.",
            "It sees nothing beyond its edges: El Nino reaches the region from a Pacific that it does not know.",
            "Trained mostly on every 6th and every 3rd point of the grid; what is finer was seen in 40 updates.",
            "It learned from blends of months, which have no trend and no skewness; extremes are treated as linear.",
            "Its attention is knowledge of places more than of events: 3% of the variance of its maps is in time.",
            "The recipe was revised once after its scores on the test years were seen: they flatter it a little.",
            "The climatology is that of 1960-2003: later years carry the warming trend as an anomaly.",
            "Precipitation is predicted as a Gaussian anomaly, its extremes are not; over the desert it is noise.",
            "ERA5 before 1979 rests on fewer observations, of the ocean above all.",
        ),
    },
)
