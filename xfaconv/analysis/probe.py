"""Asks a network about one base point: its state, its attention, and what hiding parts of the input changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xfaconv.errors import ArgumentError
from xfaconv.grid import Grid

if TYPE_CHECKING:
    from torch import Tensor

    from xfaconv.models import Model

FloatArray = NDArray[np.float32]

# Hidden states of one batch of changed inputs are kept below this size.
_BATCH_BYTES = 2**27
_MOST_NETWORKS = 4
_LOCK = threading.Lock()
_NETWORKS: OrderedDict[str, Any] = OrderedDict()


@dataclass(frozen=True)
class Target:
    """What a sensitivity is the sensitivity of.

    Parameters
    ----------
    kind : {"hidden", "embedding", "forecast"}
        State of the base point, the embedding, or a forecast at the base point.
    variable, lead : int
        Position of the variable and of the lead of a forecast.
    """

    kind: str = "hidden"
    variable: int = 0
    lead: int = 0


@dataclass(frozen=True, eq=False)
class Window:
    """One input window, as the network reads it.

    Parameters
    ----------
    fields : ndarray (step, variable, latitude, longitude), float32
        Standardised anomalies, 0 where missing.
    seen : ndarray (step, latitude, longitude), float32
        Share of the variables present.
    year_phase, day_phase : ndarray (step,), float32
        Phases of the steps.
    first_index : int
        Absolute number of the first step.
    """

    fields: FloatArray
    seen: FloatArray
    year_phase: FloatArray
    day_phase: FloatArray
    first_index: int

    @classmethod
    def of(cls, raw: FloatArray, clock: NDArray[np.float64]) -> Window:
        """Fill missing values as the engine does; ``clock`` (step, 3) holds both phases and the absolute number."""
        present = np.isfinite(raw)
        return cls(
            np.where(present, raw, 0).astype(np.float32),
            present.mean(axis=1, dtype=np.float32),
            clock[:, 0].astype(np.float32),
            clock[:, 1].astype(np.float32),
            int(clock[0, 2]),
        )


def shuffled_copy(network: Any, parts: tuple[str, ...], seed: int) -> Any:
    """Copy a network with the weights of some parts shuffled within each tensor: their sizes stay, their sense goes.

    Parameters
    ----------
    network : Network
        Left as it is.
    parts : tuple of str
        Beginnings of the names of parameters.
    seed : int
        Seed of the shuffles.

    Returns
    -------
    Network
    """
    import copy

    import torch

    changed = copy.deepcopy(network)
    generator = np.random.default_rng(seed)
    with torch.no_grad():
        for name, values in changed.named_parameters():
            order = torch.from_numpy(generator.permutation(values.numel()))
            if name.startswith(parts):
                values.copy_(values.flatten()[order].reshape(values.shape))
    return changed


class Probe:
    """A network on a grid, asked about one cell.

    Parameters
    ----------
    model : Model
        The model.
    grid : Grid
        Grid of the fields.
    cell : (int, int)
        Row and column of the base point.
    shuffled : tuple of str
        Parts of the network whose weights are shuffled.
    seed : int
        Seed of the shuffles.
    """

    def __init__(
        self, model: Model, grid: Grid, cell: tuple[int, int], shuffled: tuple[str, ...] = (), seed: int = 0
    ) -> None:
        from xfaconv.nn import Geometry

        network = _network(model)
        self.network = shuffled_copy(network, shuffled, seed) if shuffled else network
        spec = model.card.network
        self.geometry = Geometry.from_grid(grid, spec.domain, spec.periodic)
        self.cell = cell
        self.spec = spec

    def _encode(self, fields: Tensor, seen: Tensor, window: Window) -> Any:
        import torch

        batch, steps = fields.shape[:2]
        phases = [torch.from_numpy(values)[None].expand(batch, -1) for values in (window.year_phase, window.day_phase)]
        return self.network.encode(
            fields, seen, *phases, self.geometry, first_index=window.first_index, keep_from=steps - 1, keep_refined=True
        )

    def states(self, window: Window, hidden: NDArray[np.bool_]) -> FloatArray:
        """State of the base point at the last step with parts of the input hidden.

        Parameters
        ----------
        window : Window
            The input.
        hidden : ndarray (case, latitude, longitude), bool
            Cells that are replaced by climatology and marked as missing, in all variables throughout the window.

        Returns
        -------
        ndarray (case, channel), float32
        """
        import torch

        rows, columns = window.fields.shape[-2:]
        size = max(1, _BATCH_BYTES // (4 * rows * columns * self.spec.hidden * 4))
        row, column = self.cell
        parts = []
        with torch.no_grad():
            fields, seen = torch.from_numpy(window.fields), torch.from_numpy(window.seen)
            for start in range(0, len(hidden), size):
                masks = torch.from_numpy(hidden[start : start + size])
                cases = fields[None].masked_fill(masks[:, None, None], 0)
                left = seen[None].masked_fill(masks[:, None], 0)
                parts.append(self._encode(cases, left, window).refined[:, -1, row, column].numpy())
        return np.concatenate(parts)

    def _answer(self, encoded: Any, where: FloatArray | None, target: Target | None, fields: Tensor) -> Tensor:
        """Give the embedding of the last step, or states or forecasts of some cells by their weights as one vector."""
        import torch

        if where is None:
            embedding: Tensor = encoded.embedding[0, -1]
            return embedding
        rows, columns = np.nonzero(where)
        weights = torch.from_numpy(np.sqrt(where[rows, columns]))
        if target is not None and target.kind == "forecast":
            forecast: Tensor = self.network.predict(encoded.refined[:, -1:], fields[:, -1:], self.geometry)
            return forecast[0, 0, target.lead, target.variable, rows, columns] * weights
        states: Tensor = encoded.refined[0, -1, rows, columns]
        return (states * weights[:, None]).flatten()

    def without_variables(self, window: Window, where: FloatArray | None, target: Target | None = None) -> FloatArray:
        """Relative change without each variable (variable,), of the embedding, or of states or forecasts of some cells.

        The share seen stays as it is: it would say that something is missing, but not what, and the answer to that
        would count for each variable alike, a useless one included.

        Parameters
        ----------
        window : Window
            The input.
        where : ndarray (latitude, longitude), float32, or None
            Weights of the cells; None asks about the embedding.
        target : Target, optional
            A forecast of these cells to ask about instead of their states.

        Returns
        -------
        ndarray (variable,), float32
        """
        import torch

        with torch.no_grad():
            fields, seen = torch.from_numpy(window.fields), torch.from_numpy(window.seen)
            plain = self._answer(self._encode(fields[None], seen[None], window), where, target, fields[None])
            out = []
            for number in range(fields.shape[1]):
                changed = fields.clone()
                changed[:, number] = 0
                encoded = self._encode(changed[None], seen[None], window)
                answer = self._answer(encoded, where, target, changed[None])
                out.append((answer - plain).norm() / plain.norm().clamp_min(1e-12))
        return np.asarray(torch.stack(out).numpy(), dtype=np.float32)

    def attention(self, window: Window) -> FloatArray:
        """Composed attention of the base point at the last step (latitude, longitude), the mean of the heads."""
        import torch

        with torch.no_grad():
            encoded = self._encode(torch.from_numpy(window.fields)[None], torch.from_numpy(window.seen)[None], window)
            maps = self.network.attention(encoded.hidden[:, -1:], self.geometry, [self.cell])
        return np.asarray(maps[0, 0, 0].mean(dim=0).numpy(), dtype=np.float32)

    def gradient(self, window: Window, target: Target, where: FloatArray | None = None) -> FloatArray:
        """Differentiate the target at the last step by every input value (step, variable, latitude, longitude).

        A vector (state, embedding) is projected on its own direction, so that the derivative is that of its length.
        With ``where``, weights (latitude, longitude), the states or forecasts of those cells together are the vector.
        """
        import torch

        row, column = self.cell
        with torch.enable_grad():
            fields = torch.from_numpy(window.fields)[None].clone().requires_grad_(True)
            encoded = self._encode(fields, torch.from_numpy(window.seen)[None], window)
            if target.kind == "forecast" and where is None:
                forecast = self.network.predict(encoded.refined[:, -1:], fields[:, -1:], self.geometry)
                value = forecast[0, 0, target.lead, target.variable, row, column]
            else:
                one = encoded.refined[0, -1, row, column]
                vector = (
                    one if target.kind == "hidden" and where is None else self._answer(encoded, where, target, fields)
                )
                value = vector @ (vector / vector.norm().clamp_min(1e-12)).detach()
            (derivative,) = torch.autograd.grad(value, fields)
        return np.asarray(derivative[0].detach().numpy(), dtype=np.float32)


def find_target(model: Model, target: str | tuple[str, int]) -> Target:
    """Read what the user names: ``"hidden"``, ``"embedding"``, or a variable and a lead such as ``("t2m", 3)``.

    Parameters
    ----------
    model : Model
        The model.
    target : str or (str, int)
        As above.

    Returns
    -------
    Target

    Raises
    ------
    ArgumentError
        If the model has no such variable or lead.
    """
    if isinstance(target, str) and target in ("hidden", "embedding"):
        return Target(str(target))
    names = [variable.name for variable in model.card.variables]
    leads = model.card.network.leads
    if isinstance(target, tuple) and len(target) == 2 and target[0] in names and target[1] in leads:
        return Target("forecast", names.index(target[0]), leads.index(int(target[1])))
    raise ArgumentError(
        f"unknown target {target!r}",
        expected=f"'hidden', 'embedding', or (variable, lead) with variables {', '.join(names)} and leads {leads}",
        fix=f"target=('{names[0]}', {leads[-1]})",
    )


def _network(model: Model) -> Any:
    """Give a network of this process made outside inference mode, which gradients can flow through."""
    import torch

    # Shared with no one: the engine's network may hold tensors that autograd refuses.
    key = model.sha256
    with _LOCK:
        if key not in _NETWORKS:
            with torch.inference_mode(mode=False):
                _NETWORKS[key] = model.trainable_network().eval().requires_grad_(False)
        _NETWORKS.move_to_end(key)
        while len(_NETWORKS) > _MOST_NETWORKS:
            _NETWORKS.popitem(last=False)
        return _NETWORKS[key]
