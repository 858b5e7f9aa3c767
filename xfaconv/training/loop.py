"""The training loop and its checkpoints: seeded, resumable to the bit on a CPU, with averaged weights and a log."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from xfaconv.errors import ArgumentError, ModelFileError
from xfaconv.grid import Grid
from xfaconv.nn import Geometry, Network
from xfaconv.training.data import WindowSource
from xfaconv.training.interpolation import Fold
from xfaconv.training.objective import Objective, training_loss

_CHECKPOINT_EVERY = 50
_PERSISTENCE_WINDOWS = 64

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class _State:
    """What a checkpoint holds: a network, its averaged weights, those that did best in validation, and the moments."""

    network: Network
    average: Weights
    best: Weights
    optimizer: torch.optim.AdamW


@dataclass(frozen=True)
class Schedule:
    """Length and pace of a training run.

    Parameters
    ----------
    updates : int
        Number of updates.
    batch : int
        Windows in an update.
    window : int
        Steps of a window, without the longest lead.
    learning_rate : float
        Highest learning rate; it rises over the first 5% and falls along a cosine to a twentieth.
    weight_decay : float
        Decoupled weight decay.
    clip : float
        Largest norm of the gradient.
    averaging : float
        Decay of the moving average of the weights that is used in the end.
    seed : int
        Seed of windows, masks and dropout.
    blend : bool
        Whether each window is blended with another one of the same time of year (`WindowSource.read_blended`), so that
        a network overfits a short record less.
    """

    updates: int
    batch: int = 4
    window: int = 12
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    clip: float = 1.0
    averaging: float = 0.99
    seed: int = 0
    blend: bool = False

    def rate(self, update: int) -> float:
        """Learning rate of an update.

        Examples
        --------
        >>> round(Schedule(updates=100, learning_rate=1.0).rate(100), 2)
        0.05
        """
        rise = max(self.updates // 20, 1)
        if update < rise:
            return self.learning_rate * (update + 1) / rise
        progress = (update - rise) / max(self.updates - rise, 1)
        return self.learning_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)))


def train(
    network: Network,
    source: WindowSource,
    grid: Grid,
    schedule: Schedule,
    objective: Objective,
    *,
    learning: Sequence[str] = (),
    folds: Sequence[Fold] = (),
    checkpoint: Path | None = None,
    identity: Mapping[str, str] | None = None,
    log: Path | None = None,
    device: str = "cpu",
    mixed_precision: bool = False,
    validate: Callable[[Network], float] | None = None,
    patience: int | None = None,
    stop: Callable[[int], bool] | None = None,
    report: Callable[[int, dict[str, float]], None] | None = None,
) -> list[dict[str, float]]:
    """Train a network in place; it ends with the averaged weights.

    Every update draws its windows, masks and dropout from the seed and its own number, so a run that goes on from a
    checkpoint gives the same weights as one that was never interrupted (on a CPU with the same number of threads).

    Parameters
    ----------
    network : Network
        Changed in place.
    source : WindowSource
        Training windows.
    grid : Grid
        Their grid.
    schedule : Schedule
        Length and pace.
    objective : Objective
        What is asked for.
    learning : sequence of str
        Names of the network's parts that learn, such as ``"head"``, while the others stay; by default all do.
    folds : sequence of Fold, optional
        Parts of the training steps, each with an interpolation fitted to the others: every update draws its windows
        from one of them, and the network ends with the interpolation that it came with.
    checkpoint : Path, optional
        File to go on from and to write every 50 updates. It is refused where the schedule, objective, network, grid,
        learning parts, spans or data (of some windows) are others than those that it was written with. Only the number
        of updates may have grown: the run is then extended, at the learning rate that the longer schedule has there.
    identity : mapping of str to str, optional
        What else must be the same for the checkpoint to belong to this run, such as the hash of the model that training
        starts from.
    log : Path, optional
        JSON lines, one for every 10 updates.
    device : str
        Torch device.
    mixed_precision : bool
        Multiply matrices in bfloat16 where torch's autocast finds that safe; weights, their updates and the sums of the
        loss stay in single precision. Worth it on a GPU.
    validate : callable, optional
        Gives the loss on validation data; called with the averaged weights every 50 updates. The run then ends with
        the averaged weights that did best.
    patience : int, optional
        End the run when so many validations in a row brought no improvement.
    stop : callable, optional
        Called with the number of each finished update; True ends the run early.
    report : callable, optional
        Called with the number and the losses of each update, the last one of a checkpoint included.

    Returns
    -------
    list of dict
        The logged losses, each with the number of its ``update`` and the number that the schedule had then (``of``).

    Raises
    ------
    ArgumentError
        If the network has no part of a given name.
    ModelFileError
        If the checkpoint cannot be read or written, or belongs to another run.
    """
    geometry = Geometry.from_grid(grid, network.spec.domain, network.spec.periodic).to(device)
    network.to(device).train()
    parameters = _let_learn(network, learning)
    optimizer = torch.optim.AdamW(parameters, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    average, best = ({name: value.detach().clone() for name, value in network.state_dict().items()} for _ in range(2))
    state = _State(network, average, best, optimizer)
    length = schedule.window + max(network.spec.leads)
    sources = [fold.source for fold in folds] or [source]
    starts = [part.starts(length) for part in sources]
    shares = np.array([part.size for part in starts]) / sum(part.size for part in starts)
    run = _identity(network, source, grid, schedule, objective, learning) | dict(identity or {}) if checkpoint else {}
    first, history = (0, []) if checkpoint is None else _resumed(checkpoint, state, run)
    if report is not None and history:
        report(first, history[-1])
    began = time.perf_counter()
    last = first if _exhausted(_validations(history), patience) else schedule.updates
    for update in range(first, last):
        # A generator for each update, so that a run that goes on needs its number and no state of a generator.
        random = np.random.default_rng([schedule.seed, update])
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(update)
        number = int(random.choice(len(sources), p=shares)) if folds else 0
        if network.interpolation is not None and folds:
            network.interpolation.load_state_dict(folds[number].state)
        part, chosen = sources[number], random.choice(starts[number], schedule.batch).tolist()
        batch = part.read_blended(chosen, length, random) if schedule.blend else part.read(chosen, length)
        batch = batch.to(device)
        # Dropout draws from torch's own generator: it gets a seed of this update, and the user's state comes back.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(random.integers(2**31)))
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=mixed_precision):
                wanted = _objective_at(update, objective, schedule)
                loss, parts = training_loss(network, batch, geometry, grid, wanted, random)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
        nn.utils.clip_grad_norm_(parameters, schedule.clip)
        optimizer.step()
        # The average begins short, over a tenth of the updates so far: the first weights must not linger in it.
        _update_average(average, network, min(schedule.averaging, (1 + update) / (10 + update)))
        entry = {"update": update + 1, "of": schedule.updates, "loss": float(loss.detach()), **parts}
        at_checkpoint = (update + 1) % _CHECKPOINT_EVERY == 0 or update + 1 == schedule.updates
        if validate is not None and at_checkpoint:
            entry["validation"] = _validated(network, average, validate)
            if entry["validation"] < min(_validations(history), default=math.inf):
                best.update({name: value.clone() for name, value in average.items()})
        if report is not None:
            report(update + 1, entry)
        if (update + 1) % 10 == 0 or update + 1 == schedule.updates:
            history.append({**entry, "seconds": round(time.perf_counter() - began, 1)})
            if log is not None:
                _append(log, history[-1])
        ended = _exhausted(_validations(history), patience) or (stop is not None and stop(update + 1))
        if checkpoint is not None and (at_checkpoint or ended):
            _write_checkpoint(checkpoint, state, update + 1, history, run)
        if ended:
            break
    network.load_state_dict(best if _validations(history) else average)
    network.requires_grad_(requires_grad=True).eval()
    return history


def start_from_damped_persistence(network: Network, source: WindowSource, grid: Grid, seed: int = 0) -> None:
    """Set a new network's coefficients of persistence to their regression, so that it starts at that forecast.

    Parameters
    ----------
    network : Network
        Changed in place; its read-out is made small.
    source : WindowSource
        Training windows; some of them are read.
    grid : Grid
        Their grid.
    seed : int
        Seed of the choice of windows.
    """
    length = 1 + max(network.spec.leads)
    starts = source.starts(length)
    chosen = np.random.default_rng(seed).choice(starts, min(_PERSISTENCE_WINDOWS, len(starts)), replace=False)
    products = np.zeros((len(network.spec.leads), network.spec.variables))
    squares = np.zeros(network.spec.variables)
    for start in chosen.tolist():
        fields = np.nan_to_num(source.read([start], length).fields.numpy()[0])
        squares += (grid.area * fields[0] ** 2).sum((-1, -2))
        for position, lead in enumerate(network.spec.leads):
            products[position] += (grid.area * fields[0] * fields[lead]).sum((-1, -2))
    with torch.no_grad():
        network.persistence.copy_(torch.from_numpy(products / np.maximum(squares, 1e-12)))
        for parameter in network.read_out[-1].parameters():
            # Forecasts are persistence plus what the read-out says: small, it starts near the best one without a model.
            parameter.mul_(0.1)


def _identity(
    network: Network,
    source: WindowSource,
    grid: Grid,
    schedule: Schedule,
    objective: Objective,
    learning: Sequence[str],
) -> dict[str, Any]:
    """Collect all that decides a run as plain data; of the data themselves the first, a middle and the last step."""
    sample = hashlib.sha256()
    for part in source.spans:
        for step in sorted({part.start, (part.start + part.stop) // 2, part.stop - 1}):
            for field in source.fields:
                sample.update(np.ascontiguousarray(field[step], dtype=np.float32).tobytes())
    centres = np.asarray([*grid.latitude, *grid.longitude], dtype=np.float64)
    return {
        "schedule": asdict(schedule),
        # Without what is not asked for, so that checkpoints from before a question could be asked are still read.
        "objective": {name: value for name, value in asdict(objective).items() if value is not None},
        "network": asdict(network.spec),
        "grid": [*grid.shape, hashlib.sha256(centres.tobytes()).hexdigest()],
        "learning": list(learning),
        "spans": [[part.start, part.stop] for part in source.spans],
        "data": sample.hexdigest(),
    }


def _objective_at(update: int, objective: Objective, schedule: Schedule) -> Objective:
    """Leave the weight of the input out of the first half: which variables carry information is not known before."""
    return objective if 2 * update >= schedule.updates else replace(objective, input_weight=0.0)


def _let_learn(network: Network, parts: Sequence[str]) -> list[nn.Parameter]:
    """Let only the named parts of a network learn, and give their parameters."""
    chosen = set()
    for part in parts:
        found = {name for name, _ in network.named_parameters() if name == part or name.startswith(f"{part}.")}
        if not found:
            raise ArgumentError(
                f"the network has no part {part!r} that could learn",
                expected=", ".join(name for name, _ in network.named_children()),
                found=repr(part),
            )
        chosen |= found
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not parts or name in chosen)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def _validations(history: list[dict[str, float]]) -> list[float]:
    return [entry["validation"] for entry in history if "validation" in entry]


def _exhausted(validations: list[float], patience: int | None) -> bool:
    if patience is None or len(validations) <= patience:
        return False
    return min(validations[-patience:]) >= min(validations[:-patience])


def _validated(network: Network, average: Weights, validate: Callable[[Network], float]) -> float:
    """Validate the averaged weights, and go on with the present ones."""
    present = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(average)
    network.eval()
    loss = validate(network)
    network.load_state_dict(present)
    network.train()
    return loss


def _update_average(average: Weights, network: Network, decay: float) -> None:
    with torch.no_grad():
        for name, value in network.state_dict().items():
            # The interpolation does not learn; its average is that of all training steps, which the network came with.
            if not name.startswith("interpolation."):
                average[name].lerp_(value, 1 - decay)


def _append(log: Path, entry: dict[str, float]) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps({key: round(value, 5) for key, value in entry.items()}) + "\n")


def _write_checkpoint(
    path: Path, state: _State, update: int, history: list[dict[str, float]], run: dict[str, Any]
) -> None:
    """Write a checkpoint and move it into its place, so that an interruption leaves the former one whole."""
    kinds = {"network": state.network.state_dict(), "average": state.average, "best": state.best}
    tensors = {f"{kind}.{name}": value for kind, values in kinds.items() for name, value in values.items()}
    for name, parameter in state.network.named_parameters():
        for key, value in state.optimizer.state[parameter].items():
            tensors[f"optimizer.{key}.{name}"] = torch.as_tensor(value, dtype=torch.float32)
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    _replace(path, tensors, {"update": str(update), "history": json.dumps(history), "run": json.dumps(run)})


def _replace(path: Path, tensors: Weights, metadata: dict[str, str]) -> None:
    partial = path.with_suffix(f".partial-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, partial, metadata)
        partial.replace(path)
    except (OSError, SafetensorError) as problem:
        raise ModelFileError(
            f"checkpoint {path} cannot be written",
            found=str(problem),
            fix="name a file in a folder that exists and has room",
        ) from problem
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def kept_scores(path: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Give the scores of a finished run from its checkpoint, where they are measured once.

    Parameters
    ----------
    path : Path
        Checkpoint of the run, which `train` has just brought to its end.
    measure : callable
        Gives the scores, as plain data.

    Returns
    -------
    dict
    """
    with safe_open(path, "pt") as file:
        metadata = dict(file.metadata() or {})
        if "scores" not in metadata:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if "scores" not in metadata:
        metadata["scores"] = json.dumps(measure())
        _replace(path, tensors, metadata)
    scores: dict[str, Any] = json.loads(metadata["scores"])
    return scores


def _resumed(path: Path, state: _State, run: dict[str, Any]) -> tuple[int, list[dict[str, float]]]:
    """Put a run back to where its checkpoint was written, if there is one; gives the updates done and the losses."""
    if not path.exists():
        return 0, []
    anew = f"Path({str(path)!r}).unlink()  # to begin anew, or another checkpoint="
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        written, present = json.loads(metadata["run"]), json.loads(json.dumps(run))
        # A run may be extended, never cut short: its weights have seen all the updates that it made.
        if written["schedule"]["updates"] < present["schedule"]["updates"]:
            written["schedule"]["updates"] = present["schedule"]["updates"]
        others = [name for name in (*present, *written) if written.get(name) != present.get(name)]
        if not others:
            state.network.load_state_dict(_part(tensors, "network."))
            for kind, kept in (("average.", state.average), ("best.", state.best)):
                for name, value in _part(tensors, kind).items():
                    kept[name].copy_(value)
            for name, parameter in state.network.named_parameters():
                if parameter.requires_grad:
                    state.optimizer.state[parameter] = {
                        key: tensors[f"optimizer.{key}.{name}"].to(parameter.device if key != "step" else "cpu")
                        for key in ("step", "exp_avg", "exp_avg_sq")
                    }
            return int(metadata["update"]), json.loads(metadata["history"])
    except (SafetensorError, KeyError, RuntimeError, OSError, TypeError, ValueError) as problem:
        found = f"{type(problem).__name__}: {problem}"
        raise ModelFileError(f"checkpoint {path} cannot be read", found=found, fix=anew) from problem
    raise ModelFileError(
        f"checkpoint {path} belongs to a run with another {others[0]}",
        expected=json.dumps(present.get(others[0]))[:500],
        found=json.dumps(written.get(others[0]))[:500],
        fix=anew,
    )


def _part(tensors: Weights, prefix: str) -> Weights:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
