"""Checkpoints of a training run as safetensors: weights, their average, the optimizer's moments and the log so far."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from xfaconv.errors import ModelFileError
from xfaconv.nn import Network


def write_checkpoint(
    path: Path,
    network: Network,
    optimizer: torch.optim.AdamW,
    average: dict[str, torch.Tensor],
    best: dict[str, torch.Tensor],
    update: int,
    history: list[dict[str, float]],
    run: dict[str, Any],
) -> None:
    """Write a checkpoint in one move, so that an interruption leaves the former one whole.

    Parameters
    ----------
    path : Path
        File to write.
    network : Network
        Weights of this moment.
    optimizer : torch.optim.AdamW
        Its moments.
    average, best : dict of str to Tensor
        Averaged weights, and those that did best in validation.
    update : int
        Updates done.
    history : list of dict
        Logged losses.
    run : dict
        All that decides the run that they belong to, as plain data.

    Raises
    ------
    ModelFileError
        If it cannot be written.
    """
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    for name, parameter in network.named_parameters():
        for key, value in optimizer.state[parameter].items():
            tensors[f"optimizer.{key}.{name}"] = torch.as_tensor(value, dtype=torch.float32)
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    metadata = {"update": str(update), "history": json.dumps(history), "run": json.dumps(run)}
    partial = path.with_suffix(f".partial-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, partial, metadata)
        partial.replace(path)
    except (OSError, SafetensorError) as problem:
        raise ModelFileError(
            f"checkpoint {path} cannot be written", found=str(problem), fix="checkpoint=<a file in a folder with room>"
        ) from problem
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def read_checkpoint(
    path: Path,
    network: Network,
    optimizer: torch.optim.AdamW,
    average: dict[str, torch.Tensor],
    best: dict[str, torch.Tensor],
    run: dict[str, Any],
) -> tuple[int, list[dict[str, float]]]:
    """Put a run back to where a checkpoint was written.

    Parameters
    ----------
    path : Path
        Checkpoint file.
    network, optimizer, average, best
        Filled in place.
    run : dict
        All that decides the present run.

    Returns
    -------
    update : int
        Updates done.
    history : list of dict
        Logged losses.

    Raises
    ------
    ModelFileError
        If the file cannot be read or belongs to another run.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        written, present = json.loads(metadata["run"]), json.loads(json.dumps(run))
        others = [name for name in (*present, *written) if written.get(name) != present.get(name)]
        if others:
            raise ModelFileError(
                f"checkpoint {path} belongs to a run with another {others[0]}",
                expected=json.dumps(present.get(others[0]))[:500],
                found=json.dumps(written.get(others[0]))[:500],
                fix=f"Path({str(path)!r}).unlink()  # to begin anew, or another checkpoint=",
            )
        network.load_state_dict(_part(tensors, "network."))
        for kind, kept in (("average.", average), ("best.", best)):
            for name, value in _part(tensors, kind).items():
                kept[name].copy_(value)
        learning = (pair for pair in network.named_parameters() if pair[1].requires_grad)
        for name, parameter in learning:
            optimizer.state[parameter] = {
                key: tensors[f"optimizer.{key}.{name}"].to(parameter.device if key != "step" else "cpu")
                for key in ("step", "exp_avg", "exp_avg_sq")
            }
        return int(metadata["update"]), json.loads(metadata["history"])
    except (SafetensorError, KeyError, RuntimeError, OSError, TypeError, ValueError) as problem:
        if isinstance(problem, ModelFileError):
            raise
        raise ModelFileError(
            f"checkpoint {path} cannot be read",
            found=f"{type(problem).__name__}: {problem}",
            fix=f"Path({str(path)!r}).unlink()  # to begin anew",
        ) from problem


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
