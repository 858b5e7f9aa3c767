"""Recipe of the regional monthly model: real ERA5 over western South America and the eastern Pacific."""

from __future__ import annotations

from xfaconv.specs import NetworkSpec, VariableSpec
from xfaconv.training.loop import Schedule
from xfaconv.training.objective import Objective
from xfaconv.training.recipes import Recipe, Stage

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
        hidden=24,
        bottleneck=16,
        scales=((3, 1), (5, 1)),
        attention_every=1,
        attention_width=16,
        attention_heads=2,
        embedding=32,
        look_back=6,
        leads=(0, 1, 3),
        domain=(-20.125, 2.125, -85.125, -64.875),
        periodic=False,
        dropout=0.2,
        located=True,
    ),
    stages=(
        Stage(
            Schedule(updates=250, batch=6, window=8, learning_rate=4e-3, weight_decay=3e-2, averaging=0.99, seed=11),
            every=6,
        ),
        Stage(
            Schedule(updates=24, batch=4, window=6, learning_rate=1e-3, weight_decay=3e-2, averaging=0.9, seed=12),
            every=3,
        ),
        Stage(
            Schedule(updates=12, batch=2, window=6, learning_rate=6e-4, weight_decay=3e-2, averaging=0.8, seed=13),
            every=1,
        ),
    ),
    train=("1960-01", "2003-12"),
    test=("2005-01", "2015-12"),
    segment=12,
    warmup=8,
    objective=Objective(
        sector_share=0.1,
        box_share=0.1,
        warm_steps=3,
        hidden_weight=1.0,
        lead_weight=2.0,
        reconstruction_weight=0.2,
    ),
    start_from_persistence=True,
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
            "One month ahead only eastward wind is forecast clearly better than by damped persistence; rain worse.",
            "Hidden parts of the region are inferred far less well than by linear regression from EOFs.",
            "It sees nothing beyond its edges: El Nino reaches the region from a Pacific that it does not know.",
            "Trained mostly on every 6th and every 3rd point of the grid; what is finer was seen in 12 updates.",
            "The climatology is that of 1960-2003: later years carry the warming trend as an anomaly.",
            "Precipitation is predicted as a Gaussian anomaly, its extremes are not; over the desert it is noise.",
            "ERA5 before 1979 rests on fewer observations, of the ocean above all.",
        ),
    },
)
