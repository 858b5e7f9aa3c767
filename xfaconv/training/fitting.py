"""Train a network on the user's own Dataset, from scratch or from a packaged model."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from xfaconv.arguments import Rule, check_arguments, check_choice, check_rules, known_arguments
from xfaconv.engine.guards import resolve_device, training_threads
from xfaconv.engine.prepare import filled
from xfaconv.errors import ArgumentError, ModelFileError
from xfaconv.models import Model, load_model
from xfaconv.nn import Geometry, Network, build_network
from xfaconv.options import get_options
from xfaconv.specs import ModelCard, NetworkSpec
from xfaconv.training.data import HARMONICS, TrainingData, user_data
from xfaconv.training.evaluation import forecast_skill
from xfaconv.training.interpolation import fit_interpolation, fold_interpolation
from xfaconv.training.loop import Schedule, kept_scores, start_from_damped_persistence, train
from xfaconv.training.objective import Objective, training_loss

_VALIDATION_WINDOWS = 8
# Entries of a network that follow from the data, or from an argument of their own.
_DECIDED_BY_THE_DATA = ("variables", "leads")
# Arguments that no other function has.
_RULES: Mapping[str, Rule] = {
    "mixed_precision": (lambda v: v in (None, True, False), "True, False or None", "None"),
    "objective": (
        lambda v: v is None or isinstance(v, Objective),
        "an Objective, or None",
        "xfaconv.training.Objective(sector_share=0.5)",
    ),
}  # fmt: skip


@known_arguments
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
    mixed_precision: bool | None = None,
    progress: bool | None = None,
) -> Model:
    """Train on a Dataset: infer hidden regions from the rest, and forecast some leads ahead.

    Windows are read as they are needed, so a lazy record never has to fit into memory. The last part of the record is
    held back for validation behind a gap of one window and its leads, or of as much of it as leaves room for one
    window; the card says how many steps. The weights with the best scores there are kept, so that scores in these years
    are too optimistic.

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
        Blend each window with another one of the same time of year, at a random angle, so that the network overfits a
        short record less. Blends have the covariances of the record, but no trend and no skewness.
    checkpoint : path, optional
        File to go on from after an interruption; it is written every 50 updates, and one of another run is refused.
        That of a finished run gives its model back without training, or extends the run where ``updates`` is larger.
    device : str, optional
        Torch device, by default the option ``device``.
    mixed_precision : bool, optional
        Multiply matrices in bfloat16 where torch's autocast finds that safe, by default on a CUDA device only. Weights
        and the sums of the loss stay in single precision.
    progress : bool, optional
        Show a progress bar with the losses of training and validation and the time that remains, by default the option
        ``progress``.

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
        name=name, updates=updates, batch=batch, window=window, learning_rate=learning_rate, validation=validation,
        patience=patience, seed=seed, leads=leads, variables=variables, network=network, blend=blend,
        checkpoint=checkpoint, progress=shown,
    )  # fmt: skip
    check_rules({"mixed_precision": mixed_precision, "objective": objective}, _RULES)
    if patience is not None and not validation:
        raise ArgumentError(
            "patience needs years held back", found="validation=0", fix="validation=0.2  # or patience=None"
        )
    start = None if model is None else (model if isinstance(model, Model) else load_model(model))
    for own, value in (("variables", variables), ("network", network)):
        if start is not None and value is not None:
            raise ArgumentError(
                f"{own} is the model's own and cannot be chosen for it", fix=f"{own}=None  # or model=None"
            )
    wanted = objective or Objective(warm_steps=min(4, window - 1))
    if wanted.warm_steps >= window:
        problem, found = "the objective leaves no step of a window to learn from", f"warm_steps={wanted.warm_steps}"
        fix = f"window={wanted.warm_steps + 4}"
        raise ArgumentError(problem, expected=f"fewer than the {window} steps of window=", found=found, fix=fix)
    length = window + max(start.card.network.leads if start else leads)
    data = user_data(ds, start, variables, validation, length)
    if isinstance(wanted.target_variable, str):
        check_choice("target_variable", wanted.target_variable, data.names)
        wanted = replace(wanted, target_variable=data.names.index(wanted.target_variable))
    file = None if checkpoint is None else Path(checkpoint)
    # The weights of a checkpoint take the place of first ones, so the windows need not be read for these.
    fresh = file is None or not file.exists() or bool((network or {}).get("eofs"))
    seeded = _new_network(data, leads, network, seed, fresh=fresh) if start is None else start.trainable_network()
    rate = learning_rate or (2e-3 if start is None else 5e-4)
    schedule = Schedule(updates=updates, batch=batch, window=window, learning_rate=rate, seed=seed, blend=blend)
    device = resolve_device(filled({"device": device})["device"] or "auto")
    card = _card(name, ds, start, data, seeded, window)
    with _network_errors(network):
        # What could not be written after the training is refused now.
        Model.from_network(card, seeded, data.climatology)
    with _progress(updates, shown) as report, training_threads(get_options()["threads"]):
        folds = []
        if start is None:
            fit_interpolation(seeded, data.windows(), data.grid, seed)
            folds = fold_interpolation(seeded, data.windows(), data.grid, seed)
        history = train(
            seeded,
            data.windows(),
            data.grid,
            schedule,
            wanted,
            folds=folds,
            checkpoint=file,
            identity={
                "variables": ", ".join(data.names),
                "years": str(dict(card.years)),
                "model to start from": start.sha256 if start else "none",
            },
            device=device,
            mixed_precision=device.startswith("cuda") if mixed_precision is None else mixed_precision,
            validate=_validator(data, wanted, length, device) if validation else None,
            patience=patience,
            report=report,
        )
    seeded.to("cpu")
    settings = {
        "updates": updates, "batch": batch, "window": window, "leads": seeded.spec.leads, "learning_rate": rate,
        "validation": validation, "patience": patience, "seed": seed, "network": network, "blend": blend,
    }  # fmt: skip
    written = ", ".join(f"{key}={value!r}" for key, value in settings.items() if key != "leads" or start is None)
    metrics: dict[str, Any] = {
        "command": f"xfaconv.fit(ds, {'model, ' if start else ''}{written})",
        "updates": int(history[-1]["update"]),
        "history": history,
    }
    if len(planned := sorted({int(entry["of"]) for entry in history})) > 1:
        metrics["extended"] = planned
    if validation and data.test.stop - data.test.start >= card.segment + max(seeded.spec.leads):
        measure = partial(forecast_skill, seeded, data, segment=card.segment, warmup=card.warmup)
        metrics["forecast"] = measure() if file is None else kept_scores(file, measure)
    return Model.from_network(card.updated(metrics=metrics), seeded, data.climatology)


@contextmanager
def _network_errors(changes: dict[str, Any] | None) -> Iterator[None]:
    """Turn whatever torch and the spec say of entries that do not fit together into one error that names them."""
    try:
        yield
    except (ModelFileError, TypeError, ValueError, RuntimeError, ArithmeticError, KeyError) as problem:
        said = problem.problem if isinstance(problem, ModelFileError) else str(problem)
        wanted = problem.expected if isinstance(problem, ModelFileError) else None
        blamed = re.search(r"network\.(\w+)", said)
        raise ArgumentError(
            "no network can be built of these entries",
            expected=wanted,
            found=f"{changes}: {said}"[:500],
            fix=f"network={_entries_that_fit(changes or {}, blamed[1] if blamed else None)}",
        ) from problem


def _entries_that_fit(changes: dict[str, Any], blamed: str | None) -> dict[str, Any]:
    """Put the default in place of the entry that is to blame, or of each with which no network can be built."""
    usual = NetworkSpec(variables=2)
    kept: dict[str, Any] = {}
    for name, value in changes.items():
        try:
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                build_network(replace(usual, **{**kept, name: value}), "1D")
            good = name != blamed
        except Exception:  # noqa: BLE001 - whatever torch says of it
            good = False
        kept[name] = value if good else getattr(usual, name)
    return kept


def _new_network(
    data: TrainingData, leads: Sequence[int], changes: dict[str, Any] | None, seed: int, *, fresh: bool
) -> Network:
    known = [entry.name for entry in fields(NetworkSpec) if entry.name not in _DECIDED_BY_THE_DATA]
    strange = sorted(set(changes or {}) - set(known))
    if strange:
        raise ArgumentError(
            f"network has no entry {strange[0]!r}", expected=f"entries among {known}", fix='network={"hidden": 32}'
        )
    grid = data.grid
    south, north, west, east = (
        float(edges[i]) for edges in (grid.latitude_edges, grid.longitude_edges) for i in (0, -1)
    )
    spec = NetworkSpec(
        variables=len(data.variables),
        scales=((3, 1),),
        leads=tuple(leads),
        domain=(-90.0, 90.0, 0.0, 360.0) if grid.is_global else (south, north, west, east),
        periodic=grid.periodic,
    )
    with torch.random.fork_rng(devices=[]), _network_errors(changes):
        torch.manual_seed(seed)
        built = build_network(replace(spec, **(changes or {})), data.time.step)
    if fresh:
        start_from_damped_persistence(built, data.windows(), grid, seed)
    return built


def _validator(data: TrainingData, objective: Objective, length: int, device: str) -> Callable[[Network], float]:
    """Give a function for the loss on fixed windows of the held-back years, with fixed masks."""
    held_back = data.windows(data.test)
    starts = held_back.starts(length)
    chosen = starts[np.unique(np.linspace(0, len(starts) - 1, _VALIDATION_WINDOWS).astype(int))].tolist()

    def validate(network: Network) -> float:
        geometry = Geometry.from_grid(data.grid, network.spec.domain, network.spec.periodic).to(device)
        total = 0.0
        with torch.inference_mode():
            for position, start in enumerate(chosen):
                batch = held_back.read([start], length).to(device)
                loss, _ = training_loss(network, batch, geometry, data.grid, objective, np.random.default_rng(position))
                total += float(loss)
        return total / len(chosen)

    return validate


def _card(
    name: str, ds: xr.Dataset, start: Model | None, data: TrainingData, network: Network, window: int
) -> ModelCard:
    dates = [str(stamp)[:10] for stamp in data.time.values[[0, data.train.stop - 1, -1]]]
    years = {"train": f"{dates[0]} to {dates[1]}"}
    failures: tuple[str, ...] = ()
    if data.test.start < data.test.stop:
        years["validation"] = f"{str(data.time.values[data.test.start])[:10]} to {dates[2]}"
        years["gap"] = f"{data.test.start - data.train.stop} steps between training and validation"
        said = "The weights with the best scores in the validation years were kept; its scores in these years are too"
        failures = (f"{said} optimistic.",)
    title = str(ds.attrs.get("title", "the user's own data"))
    if start is not None:
        before = start.card
        if failures:
            known = before.years.get("train", "years that its card does not name")
            failures += (f"The initial model was trained on {known}; validation years among them are not independent.",)
        return before.updated(
            name=name,
            source="user",
            title=f"{before.title}, fine-tuned",
            description=f"Fine-tuned by its user on: {title}. Initial model: {before.description}",
            data=f"{before.data}; then {title}",
            years={**years, "before": before.years.get("train", "")},
            grid=data.grid,
            known_failures=(
                *failures,
                *(f"Known failure of the initial model: {text}" for text in before.known_failures),
            ),
        )
    return ModelCard(
        name=name,
        title=f"Trained by its user on {title}",
        description="Trained by its user. This card contains all that is known about it.",
        source="user",
        data=title,
        years=years,
        variables=data.variables,
        grid=data.grid,
        step=data.time.step,
        segment=2 * window,
        warmup=window,
        network=network.spec,
        climatology_harmonics=HARMONICS,
        known_failures=failures,
    )


@contextmanager
def _progress(updates: int, wanted: bool) -> Iterator[Callable[[int, dict[str, float]], None] | None]:
    """Give a function that moves a progress bar, or None where none is wanted."""
    if not wanted:
        yield None
        return
    from tqdm.auto import tqdm

    with tqdm(total=updates, unit="update") as bar:
        shown: dict[str, str] = {}

        def report(update: int, parts: dict[str, float]) -> None:
            if not shown:
                # What a checkpoint held was not trained now: it must not count in the speed and the remaining time.
                bar.initial = bar.n = update - 1
            shown.update({name: f"{parts[name]:.3f}" for name in ("loss", "validation") if name in parts})
            bar.set_postfix(shown, refresh=False)
            bar.update(update - bar.n)

        yield report
