"""Train a network on the user's own Dataset, from scratch or from a packaged model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from xfaconv.arguments import check_arguments
from xfaconv.climatology import Climatology, harmonic_basis
from xfaconv.conform import Conformed, Target, adapt
from xfaconv.engine.guards import resolve_device
from xfaconv.engine.prepare import Settings
from xfaconv.errors import ArgumentError, TimeError
from xfaconv.grid import Grid
from xfaconv.models import Model, load_model
from xfaconv.nn import Geometry, Network, build_network
from xfaconv.options import get_options
from xfaconv.specs import ModelCard, NetworkSpec, VariableSpec
from xfaconv.training.evaluation import forecast_skill
from xfaconv.training.loop import Schedule, start_from_damped_persistence, train
from xfaconv.training.objective import Objective, training_loss
from xfaconv.training.sampling import WindowSource
from xfaconv.training.seasonal import fit_record_climatology
from xfaconv.training.variables import chosen_variables

_VALIDATION_WINDOWS = 8
_HARMONICS = 2


@dataclass(frozen=True, eq=False)
class _Record:
    """The user's data as standardised anomalies, split in time."""

    variables: tuple[VariableSpec, ...]
    conformed: Conformed
    climatology: Climatology
    source: WindowSource
    held_back: WindowSource
    train: slice
    test: slice


def fit(
    ds: xr.Dataset,
    model: str | PathLike[str] | Model | None = None,
    *,
    name: str = "user-model",
    variables: Sequence[str] | None = None,
    updates: int = 600,
    batch: int = 4,
    window: int = 12,
    leads: Sequence[int] = (0, 1, 3),
    learning_rate: float | None = None,
    validation: float = 0.2,
    patience: int | None = None,
    seed: int = 0,
    network: dict[str, Any] | None = None,
    objective: Objective | None = None,
    blend: bool = False,
    checkpoint: str | PathLike[str] | None = None,
    device: str | None = None,
    progress: bool | None = None,
) -> Model:
    """Train on a Dataset: infer hidden regions from the rest, and forecast some leads ahead.

    Windows are read as they are needed, so a lazy record never has to fit into memory. The last part of the record is
    held back for validation behind a gap of one window.

    Parameters
    ----------
    ds : Dataset
        ERA5-like fields with time, latitude and longitude; any of the dialects that `xfaconv.conform` accepts.
    model : str, path or Model, optional
        Model to fine-tune; by default a new network is trained on the data's own grid.
    name : str
        Name of the new model.
    variables : sequence of str, optional
        Variables to train on when there is no `model`; by default all that are recognised.
    updates : int
        Updates of the weights.
    batch, window : int
        Windows in an update, and steps in a window.
    leads : sequence of int
        Leads [steps] of a new network; 0 asks for hidden values of the present.
    learning_rate : float, optional
        Highest learning rate, by default 2e-3 for a new network and 5e-4 for fine-tuning.
    validation : float
        Share of the record at its end that is held back, 0 to 0.5.
    patience : int, optional
        Stop when so many validations in a row (one every 50 updates) brought no improvement.
    seed : int
        The same seed gives the same weights on a CPU with the same number of threads.
    network : dict, optional
        Entries of `xfaconv.NetworkSpec` to change for a new network, such as ``{"hidden": 32}``.
    objective : Objective, optional
        What training asks for.
    blend : bool
        Blend each window with another one of the same time of year, at a random angle, so that a short record is not
        so easily learned by heart. Blends have the covariances of the record, but no trend and no skewness.
    checkpoint : path, optional
        File to go on from after an interruption.
    device : str, optional
        Torch device, by default the option ``device``.
    progress : bool, optional
        Show a progress bar, by default the option ``progress``.

    Returns
    -------
    Model
        With a card that says what it was trained on and how it did on the held-back years.

    Raises
    ------
    ArgumentError
        If an argument has an impossible value, or the data have members.
    VariableError
        If no variable is recognised.
    TimeError
        If the record is too short.

    Examples
    --------
    >>> import xfaconv
    >>> ds = xfaconv.tutorial.open_dataset("amip").isel(time=slice(0, 60))[["z500", "t850"]]
    >>> small = {"hidden": 8, "bottleneck": 4, "embedding": 16, "attention_width": 8, "attention_heads": 2}
    >>> model = xfaconv.fit(ds, updates=2, batch=1, window=6, leads=(0, 1), network=small)
    >>> [variable.name for variable in model.card.variables], model.card.step
    (['z500', 't850'], '1D')
    """
    shown = get_options()["progress"] if progress is None else progress
    check_arguments(
        name=name,
        updates=updates,
        batch=batch,
        window=window,
        learning_rate=learning_rate,
        validation=validation,
        patience=patience,
        seed=seed,
        leads=leads,
        variables=variables,
        network=network,
        blend=blend,
        checkpoint=checkpoint,
        progress=shown,
    )
    wanted = Objective(warm_steps=min(4, window - 1)) if objective is None else objective
    if not isinstance(wanted, Objective):
        raise ArgumentError(
            "objective is no Objective",
            expected="an xfaconv.training.Objective, or None",
            found=repr(objective)[:200],
            fix="objective=Objective(sector_share=0.5)",
        )
    start = None if model is None else (model if isinstance(model, Model) else load_model(model))
    span = window + max(start.card.network.leads if start else leads)
    record = _record(ds, start, variables, validation, span)
    grid = record.conformed.grid
    seeded = _new_network(record, leads, network, seed) if start is None else start.trainable_network()
    rate = learning_rate or (2e-3 if start is None else 5e-4)
    schedule = Schedule(updates=updates, batch=batch, window=window, learning_rate=rate, seed=seed, blend=blend)
    device = resolve_device(Settings(device=device).filled().device or "auto")
    with _progress(updates, shown) as report:
        history = train(
            seeded,
            record.source,
            grid,
            schedule,
            wanted,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            device=device,
            validate=_validator(record, grid, wanted, span, device) if validation else None,
            patience=patience,
            report=report,
        )
    seeded.to("cpu")
    card = _card(name, ds, start, record, seeded, window)
    metrics: dict[str, Any] = {"command": f"xfaconv.fit(ds, updates={updates}, seed={seed}, ...)", "history": history}
    if validation and record.test.stop - record.test.start >= card.segment + max(seeded.spec.leads):
        metrics["forecast"] = forecast_skill(
            seeded,
            replace(record.source, stretches=record.conformed.time.runs),
            grid,
            record.climatology.scale,
            [variable.name for variable in card.variables],
            train=record.train,
            test=record.test,
            segment=card.segment,
            warmup=card.warmup,
        )
    return Model.from_network(card.updated(metrics=metrics), seeded, record.climatology)


def _record(
    ds: xr.Dataset, start: Model | None, variables: Sequence[str] | None, validation: float, span: int
) -> _Record:
    """Conform the data, split them in time and standardise them with the climatology of the training part."""
    if start is not None:
        card = start.card
        target = Target(card.variables, card.grid, card.step, start.climatology, card.climatology_harmonics)
        conformed = adapt(ds, target, absent=get_options()["absent"])
    else:
        target = Target(chosen_variables(ds, variables), harmonics=_HARMONICS)
        conformed = adapt(ds, target, regrid=None, climatology=None)
    if "member" in conformed.data.dims:
        raise ArgumentError(
            "fit takes one member", found=f"{conformed.data.sizes['member']} members", fix="fit(ds.isel(number=0))"
        )
    steps = len(conformed.time.index)
    held = round(validation * steps)
    split = steps - held
    if split - span < 1:
        raise TimeError(
            "the record is too short to train on",
            expected=f"more than {span} steps besides the {held} that are held back",
            found=f"{steps} steps",
            fix="a smaller window=, smaller leads=, or validation=0",
        )
    train = tuple(slice(run.start, min(run.stop, split)) for run in conformed.time.runs if run.start < split)
    test = slice(min(split + span, steps), steps)
    climatology = conformed.climatology
    data = conformed.data
    if start is None or climatology is None:
        known = slice(0, split)
        climatology = fit_record_climatology(data.isel(time=known), conformed.time.year_phase[known], _HARMONICS)
        data = _standardised(data, climatology, conformed)
    fields = [data[name].transpose("time", "latitude", "longitude").data for name in data.data_vars]
    source = WindowSource(fields, conformed.time.year_phase, conformed.time.day_phase, train)
    later = tuple(
        slice(max(run.start, split), run.stop) for run in conformed.time.runs if run.stop - max(run.start, split) > 0
    )
    return _Record(
        _marked(target.variables, climatology),
        conformed,
        climatology,
        source,
        replace(source, stretches=later),
        slice(0, split),
        test,
    )


def _marked(variables: tuple[VariableSpec, ...], climatology: Climatology) -> tuple[VariableSpec, ...]:
    """Say of each variable whether a part of the grid is always missing."""
    return tuple(
        replace(spec, partly_missing=bool(np.isnan(scale).any()))
        for spec, scale in zip(variables, climatology.scale, strict=True)
    )


def _standardised(data: xr.Dataset, climatology: Climatology, conformed: Conformed) -> xr.Dataset:
    """Take the seasonal mean away and divide by the spread, lazily."""
    basis = xr.DataArray(harmonic_basis(conformed.time.year_phase, climatology.harmonics), dims=("time", "term"))
    out = {}
    for position, name in enumerate(data.data_vars):
        field = data[name]
        if field.chunks is not None:
            basis = basis.chunk(time=field.chunksizes["time"])
        mean = xr.DataArray(climatology.coefficients[position], dims=("term", "latitude", "longitude"))
        scale = xr.DataArray(climatology.scale[position], dims=("latitude", "longitude"))
        out[name] = ((field - xr.dot(basis, mean, dim="term")) / scale).astype("float32")
    return xr.Dataset(out)


def _new_network(record: _Record, leads: Sequence[int], changes: dict[str, Any] | None, seed: int) -> Network:
    known = [entry.name for entry in fields(NetworkSpec)]
    strange = sorted(set(changes or {}) - set(known))
    if strange:
        raise ArgumentError(
            f"network has no entry {strange[0]!r}", expected=f"entries among {known}", fix='network={"hidden": 32}'
        )
    grid = record.conformed.grid
    domain = (-90.0, 90.0, 0.0, 360.0)
    if not grid.is_global:
        south, north = float(grid.latitude_edges[0]), float(grid.latitude_edges[-1])
        west, east = float(grid.longitude_edges[0]), float(grid.longitude_edges[-1])
        domain = (south, north, west, east)
    spec = NetworkSpec(
        variables=len(record.conformed.data.data_vars),
        scales=((3, 1),),
        leads=tuple(leads),
        domain=domain,
        periodic=grid.periodic,
        daily_cycle=record.conformed.time.step.endswith("h"),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            built = build_network(replace(spec, **(changes or {})))
        except (TypeError, ValueError, RuntimeError, ArithmeticError) as problem:
            raise ArgumentError(
                "no network can be built of these entries",
                found=f"{changes}: {problem}"[:300],
                fix="network={'hidden': 32}",
            ) from problem
    start_from_damped_persistence(built, record.source, grid, seed)
    return built


def _validator(record: _Record, grid: Grid, objective: Objective, span: int, device: str) -> Callable[[Network], float]:
    """Give a function for the loss on fixed windows of the held-back years, with fixed masks."""
    starts = record.held_back.starts(span)
    starts = starts[starts >= record.test.start] if (starts >= record.test.start).any() else starts
    chosen = starts[np.unique(np.linspace(0, len(starts) - 1, _VALIDATION_WINDOWS).astype(int))].tolist()

    def validate(network: Network) -> float:
        geometry = Geometry.from_grid(grid, network.spec.domain, network.spec.periodic).to(device)
        total = 0.0
        with torch.inference_mode():
            for position, start in enumerate(chosen):
                batch = record.held_back.read([start], span).to(device)
                loss, _ = training_loss(network, batch, geometry, grid, objective, np.random.default_rng(position))
                total += float(loss)
        return total / len(chosen)

    return validate


def _card(name: str, ds: xr.Dataset, start: Model | None, record: _Record, network: Network, window: int) -> ModelCard:
    time = record.conformed.time
    first, last = str(time.values[0])[:10], str(time.values[record.train.stop - 1])[:10]
    years = {"train": f"{first} to {last}"}
    if record.test.start < record.test.stop:
        years["validation"] = f"{str(time.values[record.test.start])[:10]} to {str(time.values[-1])[:10]}"
    title = str(ds.attrs.get("title", "the user's own data"))
    if start is not None:
        return start.card.updated(
            name=name,
            source="user",
            title=f"{start.card.title}, fine-tuned",
            description=f"{start.card.description} Fine-tuned by its user on: {title}",
            data=f"{start.card.data}; then {title}",
            years={**years, "before": start.card.years.get("train", "")},
        )
    return ModelCard(
        name=name,
        title=f"Trained by its user on {title}",
        description="Trained by its user; nothing is known of it but what stands here.",
        source="user",
        data=title,
        years=years,
        variables=record.variables,
        grid=record.conformed.grid,
        step=time.step,
        segment=2 * window,
        warmup=window,
        network=network.spec,
        climatology_harmonics=_HARMONICS,
    )


@contextmanager
def _progress(updates: int, wanted: bool) -> Iterator[Callable[[int, dict[str, float]], None] | None]:
    """Give a function that moves a progress bar, or None where none is wanted."""
    if not wanted:
        yield None
        return
    from tqdm.auto import tqdm

    with tqdm(total=updates, unit="update") as bar:

        def report(update: int, parts: dict[str, float]) -> None:
            bar.update(update - bar.n)
            bar.set_postfix(loss=f"{parts['loss']:.3f}")

        yield report
