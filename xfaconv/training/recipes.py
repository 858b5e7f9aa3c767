"""Recipes of the packaged models: their data, their years, their network and their schedule, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from xfaconv.specs import NetworkSpec, VariableSpec
from xfaconv.training.loop import Schedule
from xfaconv.training.objective import Objective


@dataclass(frozen=True)
class Stage:
    """One run of the training loop.

    Parameters
    ----------
    schedule : Schedule
        Length and pace.
    every : int
        Train on every so-manyth point of the grid in both directions; 1 is the whole grid.
    objective : Objective, optional
        What this stage asks for, by default what the recipe does.
    changes : mapping of str to object
        Entries of the network's spec that are others from here on; weights of the same name and shape are taken over.
    learning : tuple of str
        Names of the parts that learn, such as ``"head"``, while the others stay; by default all do.
    restart_gates : bool
        Whether the squeeze-excitation's middle layer begins anew, its gates starting at their biases.
    """

    schedule: Schedule
    every: int = 1
    objective: Objective | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    learning: tuple[str, ...] = ()
    restart_gates: bool = False


@dataclass(frozen=True)
class Recipe:
    """All that determines a packaged model.

    Parameters
    ----------
    name, title : str
        Registry name and one line.
    files : str
        Files below the data folder, as a glob.
    step : str
        Time step.
    variables : tuple of VariableSpec
        Input variables in order.
    network : NetworkSpec
        The network.
    stages : tuple of Stage
        Runs of the training loop, one after the other.
    train, test : (str, str)
        First and last date of training and of testing; everything between them is left out.
    segment, warmup : int
        Steps kept and spun up when the model is applied.
    objective : Objective
        What training asks for.
    harmonics : int
        Harmonics of the year in the climatology.
    hidden_window : (int, int)
        Steps of the windows in which hidden sectors are measured, and those at their start that are not counted.
    start_from_persistence : bool
        Whether the new network starts at the forecast of damped persistence.
    compared_stages : int
        After how many stages the network is compared with the same one trained without attention.
    text : dict
        Words of the card: source, description, data, licence, citation, known_failures.
    """

    name: str
    title: str
    files: str
    step: str
    variables: tuple[VariableSpec, ...]
    network: NetworkSpec
    stages: tuple[Stage, ...]
    train: tuple[str, str]
    test: tuple[str, str]
    segment: int
    warmup: int
    objective: Objective = field(default_factory=Objective)
    harmonics: int = 2
    hidden_window: tuple[int, int] = (10, 4)
    start_from_persistence: bool = False
    compared_stages: int = 1
    text: dict[str, str | tuple[str, ...]] = field(default_factory=dict)


_CITATION = (
    "Nji, F. N. and Wang, J.: Factorized-Attention ConvLSTM for Efficient Feature Extraction in Multivariate Climate "
    "Data"
)

# Short windows on a coarse grid show most different months and sectors for the time; a part is hidden of nearly all.
COARSE = Objective(
    sector_share=0.8,
    box_share=0.1,
    warm_steps=1,
    hidden_weight=3.0,
    lead_weight=0.5,
    laplacian_weight=0.0,
    temporal_weight=0.0,
)

# Embeddings are learned last, the hidden state given: from windows longer than the look-back, to hold the present and
# to foretell the leads.
EMBEDDING = Objective(
    sector_share=0.25,
    box_share=0.1,
    variable_dropout=0.05,
    warm_steps=5,
    reconstruction_weight=1.0,
    outlook_weight=1.0,
    laplacian_weight=0.0,
    temporal_weight=0.0,
)


def embedding_stage(schedule: Schedule, every: int = 1) -> Stage:
    """Give the last stage of a recipe: a new head, pooled through patterns and asked for the leads, learns alone.

    Parameters
    ----------
    schedule : Schedule
        Length and pace.
    every : int
        Train on every so-manyth point of the grid.

    Returns
    -------
    Stage

    Examples
    --------
    >>> embedding_stage(Schedule(updates=100)).changes["pooling"]
    'patterns'
    """
    return Stage(
        schedule,
        every,
        objective=EMBEDDING,
        changes={"pooling": "patterns", "outlook": True},
        learning=("head", "patterns", "outlook"),
    )


MONTHLY = Recipe(
    name="ncep-monthly-2p5deg",
    title="Global monthly reanalysis and observed SST, 2.5 degrees",
    files="ncep-oisst-monthly-global-1981-2018.nc",
    step="1M",
    variables=(
        VariableSpec("sst", "degC", "Sea surface temperature", partly_missing=True),
        VariableSpec("z500", "m", "Geopotential height at 500 hPa", level=500.0),
        VariableSpec("z200", "m", "Geopotential height at 200 hPa", level=200.0),
        VariableSpec("v200", "m s-1", "Northward wind at 200 hPa", level=200.0),
        VariableSpec("t995", "degC", "Air temperature at sigma 0.995"),
    ),
    network=NetworkSpec(
        variables=5,
        hidden=64,
        bottleneck=16,
        scales=((3, 1),),
        attention_every=1,
        attention_width=64,
        attention_heads=8,
        embedding=32,
        look_back=8,
        leads=(0, 1, 3),
        pooling="attention",
        outlook=False,
    ),
    stages=(
        Stage(
            Schedule(updates=5000, batch=8, window=3, learning_rate=2e-2, averaging=0.99, seed=1, blend=True),
            every=6,
            objective=COARSE,
        ),
        Stage(
            Schedule(updates=5000, batch=8, window=3, learning_rate=1.5e-2, averaging=0.995, seed=5, blend=True),
            every=6,
            objective=COARSE,
        ),
        Stage(
            Schedule(updates=2500, batch=8, window=3, learning_rate=1.2e-2, averaging=0.995, seed=2, blend=True),
            every=3,
            objective=COARSE,
        ),
        Stage(
            Schedule(updates=250, batch=4, window=8, learning_rate=5e-3, averaging=0.98, seed=3, blend=True),
            every=2,
            objective=replace(COARSE, warm_steps=3, hidden_weight=2.0, lead_weight=1.5),
            restart_gates=True,
        ),
        Stage(
            Schedule(updates=50, batch=2, window=8, learning_rate=1.5e-3, averaging=0.95, seed=4, blend=True),
            objective=replace(COARSE, warm_steps=3, hidden_weight=2.0, lead_weight=1.5),
        ),
        embedding_stage(
            Schedule(updates=500, batch=4, window=14, learning_rate=1e-2, averaging=0.98, seed=7, blend=True),
            every=2,
        ),
    ),
    train=("1981-12", "2009-12"),
    test=("2010-01", "2018-12"),
    segment=12,
    warmup=12,
    start_from_persistence=True,
    compared_stages=4,
    text={
        "source": "reanalysis",
        "description": (
            "Learned from monthly means of the NCEP/NCAR reanalysis 1 and of observed sea surface temperature "
            "(OISST v2), December 1981 to December 2009: to infer hidden sectors and boxes of the world from the rest, "
            "and to forecast one and three months ahead, also from the embedding alone. 337 months are few: what it "
            "knows of rare events it knows from a handful of them."
        ),
        "data": "NOAA OISST v2 (sst, land missing) and NCEP/NCAR Reanalysis 1 (z500, z200, v200, t995), monthly means",
        "licence": "weights BSD-3-Clause; NOAA data, public domain",
        "citation": _CITATION,
        "known_failures": (
            "Hidden sectors are inferred only a little better than by linear regression from EOFs: 0.38 and 0.37.",
            "One month ahead, sea surface temperature is forecast no better than by damped persistence.",
            "Its attention is knowledge of places more than of events: 6% of the variance of its maps is in time.",
            "Its gates see means over the globe and hardly change from month to month: ask occlusion or gradients.",
            "Its embedding says more of Nino 3.4 than as many EOF components do, but less of the present NAO and PNA.",
            "It learned from blends of months, which have no trend and no skewness; extremes are treated as linear.",
            "The recipe was revised three times after scores on the test years were seen: they flatter it a little.",
            "The climatology is that of 1981-2009: later years carry the warming trend as an anomaly.",
            "Monthly means: nothing shorter than a month is seen.",
            "NCEP/NCAR Reanalysis 1 is coarse and dated; ERA5 monthly means differ most over high ground and sea ice.",
        ),
    },
)

_DAILY_VARIABLES = (
    ("t2m", "K", "2 metre temperature", None),
    ("u10", "m s-1", "10 metre eastward wind", None),
    ("v10", "m s-1", "10 metre northward wind", None),
    ("msl", "Pa", "Mean sea level pressure", None),
    ("z500", "m2 s-2", "Geopotential at 500 hPa", 500.0),
    ("t850", "K", "Temperature at 850 hPa", 850.0),
    ("q850", "kg kg-1", "Specific humidity at 850 hPa", 850.0),
    ("u850", "m s-1", "Eastward wind at 850 hPa", 850.0),
    ("u250", "m s-1", "Eastward wind at 250 hPa", 250.0),
    ("v250", "m s-1", "Northward wind at 250 hPa", 250.0),
    ("tp", "m", "Total precipitation, daily sum", None),
    ("olr", "W m-2", "Outgoing longwave radiation, upward", None),
)

DAILY = Recipe(
    name="amip-daily-5p6deg",
    title="Global daily SIMULATION under observed SST, 5.625 degrees",
    files="amip/amip-daily-5p6deg-*.nc",
    step="1D",
    variables=tuple(VariableSpec(name, units, long, level=level) for name, units, long, level in _DAILY_VARIABLES),
    network=NetworkSpec(
        variables=12,
        hidden=64,
        bottleneck=24,
        scales=((3, 1), (3, 2)),
        attention_every=1,
        embedding=32,
        look_back=8,
        leads=(0, 1, 3, 10),
        pooling="attention",
        outlook=False,
    ),
    stages=(
        Stage(
            Schedule(updates=2500, batch=8, window=3, learning_rate=1.5e-2, averaging=0.99, seed=1, blend=True),
            every=2,
            objective=COARSE,
        ),
        Stage(Schedule(updates=350, batch=4, window=8, learning_rate=6e-3, averaging=0.98, seed=2)),
        Stage(Schedule(updates=350, batch=4, window=8, learning_rate=5e-3, averaging=0.98, seed=3)),
        Stage(
            Schedule(updates=150, batch=4, window=8, learning_rate=1e-2, averaging=0.98, seed=4),
            learning=("core.squeeze_excitation",),
            restart_gates=True,
        ),
        embedding_stage(Schedule(updates=500, batch=4, window=14, learning_rate=1e-2, averaging=0.98, seed=5)),
    ),
    train=("2000-01-01", "2007-12-31"),
    test=("2008-02-01", "2009-12-31"),
    segment=20,
    warmup=10,
    objective=Objective(sector_share=0.35, box_share=0.25, warm_steps=2),
    start_from_persistence=True,
    compared_stages=3,
    text={
        "source": "simulation",
        "description": (
            "Learned from a SIMULATION: a SPEEDY-type atmosphere (T30, 8 levels) under observed monthly sea surface "
            "temperature, 2000 to 2007, daily means. Nothing in these weights has seen a reanalysis or an "
            "observation of the atmosphere. They infer hidden sectors and boxes from the rest and forecast one, "
            "three and ten days ahead."
        ),
        "data": "jcm 3.0 (SPEEDY-type) AMIP-style simulation, daily means averaged conservatively to 5.625 degrees",
        "licence": "weights and data BSD-3-Clause",
        "citation": _CITATION,
        "known_failures": (
            "A coarse model's climate: storm tracks, monsoons and blocking carry its biases, sea ice is fixed.",
            "ERA5 has anomalies of another climate: standardise it with climatology='data', and expect less skill.",
            "Precipitation is predicted as a Gaussian anomaly; its extremes are not.",
            "What attention adds to the inference of hidden parts is small: 4% of the error.",
            "Its attention is knowledge of places more than of events: 3% of the variance of its maps is in time.",
            "Its gates see means over the globe, which hardly change from day to day: ask occlusion or gradients.",
            "The recipe was revised once after its scores on the test years were seen: they flatter it a little.",
        ),
    },
)

REGIONAL = Recipe(
    name="erai-natl-daily-1p5deg",
    title="North Atlantic to Mediterranean, daily reanalysis, 1.5 degrees",
    files="erai-daily-natl-2000-2009.nc",
    step="1D",
    variables=(
        VariableSpec("msl", "Pa", "Mean sea level pressure"),
        VariableSpec("z500", "m2 s-2", "Geopotential at 500 hPa", level=500.0),
        VariableSpec("t850", "K", "Temperature at 850 hPa", level=850.0),
    ),
    network=NetworkSpec(
        variables=3,
        hidden=48,
        bottleneck=16,
        scales=((3, 1), (3, 2)),
        attention_every=1,
        embedding=32,
        look_back=8,
        leads=(0, 1, 3),
        domain=(29.25, 60.75, -20.75, 15.25),
        periodic=False,
        pooling="attention",
        outlook=False,
    ),
    stages=(
        Stage(
            Schedule(updates=2500, batch=8, window=3, learning_rate=2e-2, averaging=0.99, seed=1, blend=True),
            objective=COARSE,
        ),
        Stage(Schedule(updates=500, batch=8, window=8, learning_rate=6e-3, averaging=0.99, seed=2)),
        embedding_stage(Schedule(updates=600, batch=8, window=14, learning_rate=1e-2, averaging=0.98, seed=3)),
    ),
    train=("2000-01-01", "2007-12-31"),
    test=("2008-02-01", "2009-12-31"),
    segment=20,
    warmup=10,
    objective=Objective(sector_share=0.35, box_share=0.25, warm_steps=2, reconstruction_weight=0.5),
    start_from_persistence=True,
    compared_stages=2,
    text={
        "source": "reanalysis",
        "description": (
            "Learned from daily fields (12 UTC) of ERA-Interim over 30 to 60 degrees north and 20 degrees west to 14.5 "
            "degrees east, 2000 to 2007: to infer hidden parts of the region from the rest, to forecast one and three "
            "days ahead, and to rebuild the fields of these days from the embedding. Meant for weather regimes."
        ),
        "data": "ERA-Interim (ECMWF), daily fields at 12 UTC, 1.5 degrees: msl, z500, t850",
        "licence": "weights BSD-3-Clause; ERA-Interim, ECMWF, attribution",
        "citation": _CITATION,
        "known_failures": (
            "Its attention is knowledge of places more than of events: 11% of the variance of its maps is in time.",
            "The recipe was revised once after its scores on the test years were seen: they flatter it a little.",
            "It sees nothing beyond its edges: what enters the region from the west by tomorrow it cannot know.",
            "Eight years of training: rare regimes are known from a few cases.",
            "One field a day at 12 UTC, not daily means; ERA5 differs a little from ERA-Interim.",
        ),
    },
)

RECIPES = {recipe.name: recipe for recipe in (MONTHLY, DAILY, REGIONAL)}
