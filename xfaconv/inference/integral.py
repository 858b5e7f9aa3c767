"""What runs inside the tasks of an attribution: one window of the network, its value, and what the inputs add to it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xfaconv.engine.cost import FEWEST_NODES
from xfaconv.engine.guards import gradients, threads_for_task
from xfaconv.engine.runtime import Steps, Work, located, network_and_geometry, read_fields

if TYPE_CHECKING:
    from torch import Tensor

FloatArray = NDArray[np.float32]
MOST_NODES = 64
# Of each step autograd keeps about 16 times its hidden state (measured: 16.4 of the monthly model, 15.0 of the North
# Atlantic's). Above this size each step is computed again in the backward pass instead.
_KEPT_BYTES = 2**31
_KEPT_STATES = 17


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked of every window.

    Parameters
    ----------
    method : {"integrated", "gradient", "occlusion"}
        How the value is divided among the inputs.
    variable, lead : int
        Position of the target's variable and of its lead among those of the model.
    tolerance : float
        Largest remainder of the integral, relative to the spread of the target.
    lags : int
        Number of lags that are kept apart; 0 sums over them.
    regions : ndarray (region, latitude, longitude) of bool, optional
        What occlusion hides.
    """

    method: str
    variable: int
    lead: int
    tolerance: float
    lags: int
    regions: NDArray[np.bool_] | None = None

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Give what makes two of these equal."""
        regions = None if self.regions is None else np.packbits(self.regions).tobytes()
        return self.method, self.variable, self.lead, self.tolerance, self.lags, regions


class Window:
    """One window of the network, and the value that is read at its end.

    Parameters
    ----------
    steps : Steps
        The steps of the window.
    work : Work
        The model and what is hidden.
    question : Question
        The target.
    weights : ndarray (latitude, longitude)
        Weights of the standardised predictions that make the value in the user's units.
    visible : ndarray (time, variable, latitude, longitude), bool
        Where there are values.
    """

    def __init__(
        self, steps: Steps, work: Work, question: Question, weights: NDArray[np.float64], visible: NDArray[np.bool_]
    ) -> None:
        import torch

        self._network, self._geometry = network_and_geometry(work)
        self._device = next(self._network.parameters()).device
        self._first, self._question = steps.first_index, question
        self._visible = self.tensor(visible)
        self._year, self._day = (
            self.tensor(phase.astype(np.float32))[None] for phase in (steps.year_phase, steps.day_phase)
        )
        # The network's numbers are standardised: the target is scaled to 1, and its size comes back in the end.
        self.spread = float(np.abs(weights).sum())
        self._weights = self.tensor((weights / self.spread).astype(np.float32))
        spec = work.model.card.network
        kept = 4 * visible[:, 0].size * spec.hidden * _KEPT_STATES
        self._checkpointed = kept > _KEPT_BYTES
        self._no_grad = torch.no_grad

    def tensor(self, values: NDArray[Any]) -> Tensor:
        """Bring values to the device of the network."""
        import torch

        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)

    def _answer(self, fields: Tensor, visible: Tensor) -> Tensor:
        """Give the value of fields (time, variable, latitude, longitude), in spreads of the target."""
        filled, seen = self._network.fill(fields[None], visible[None], self._geometry)
        state = self._network.last_state(
            filled,
            seen,
            self._year,
            self._day,
            self._geometry,
            first_index=self._first,
            checkpointed=self._checkpointed,
        )
        found = self._network.predict(state[:, None], filled[:, -1:], self._geometry)
        return (found[0, 0, self._question.lead, self._question.variable] * self._weights).sum()

    def value(self, fields: Tensor, hide: NDArray[np.bool_] | None = None) -> float:
        """Give the value of some fields in the user's units, with cells hidden."""
        visible = self._visible
        with self._no_grad():
            if hide is not None:
                mask = self.tensor(hide)
                fields, visible = fields.masked_fill(mask, 0), visible & ~mask
            return float(self._answer(fields, visible)) * self.spread

    def gradient(self, fields: Tensor) -> Tensor:
        """Differentiate the value by the fields (time, variable, latitude, longitude), in spreads of the target."""
        import torch

        leaf = fields.detach().clone().requires_grad_(True)
        (found,) = torch.autograd.grad(self._answer(leaf, self._visible), leaf)
        return found


def run_window(
    steps: Steps,
    work: Work,
    question: Question,
    weights: NDArray[np.float64],
    baseline: FloatArray | None,
    *blocks: FloatArray,
) -> dict[str, Any]:
    """Ask the network about one window.

    Parameters
    ----------
    steps : Steps
        The steps of the window.
    work : Work
        The model and what is hidden.
    question : Question
        What is asked.
    weights : ndarray (latitude, longitude)
        Weights of the standardised predictions that make the value in the user's units.
    baseline : ndarray (lag, variable, latitude, longitude), optional
        Fields that the value is compared with, the last step last; None for climatology.
    *blocks : ndarray ([member,] time, latitude, longitude), float32
        Blocks of the first variable, of the second, and so on.

    Returns
    -------
    dict
        ``attribution (1, [lag,] variable, latitude, longitude)`` or ``(1, region)``, ``value``, ``baseline``,
        ``remainder`` and ``nodes`` (1,).

    Raises
    ------
    XFaconvError
        If anything fails, naming the model and the time range; the cause is chained.
    """
    try:
        filled = read_fields(steps, work, blocks)
        with gradients(threads_for_task(work.threads, serial=False)):
            window = Window(steps, work, question, weights, filled.visible)
            ask = {"integrated": _integrate, "gradient": _multiply, "occlusion": _occlude}[question.method]
            found = ask(window, question, filled.fields, _starting(filled.fields, baseline), str(steps.stamps[-1]))
    except Exception as problem:
        raise located(work, steps, problem) from problem
    if work.missing == "propagate" and filled.spoiled.any():
        found = {name: np.full_like(values, np.nan) for name, values in found.items()}
    return found


def _starting(fields: FloatArray, baseline: FloatArray | None) -> FloatArray:
    """Give the fields that the path begins with; where the window has no value, they have none."""
    if baseline is None:
        return np.zeros_like(fields)
    return np.where(fields == 0, 0, baseline[-len(fields) :]).astype(np.float32)


def _integrate(window: Window, question: Question, end: FloatArray, start: FloatArray, when: str) -> dict[str, Any]:
    """Integrate the gradient along the straight path: (x - x0) times the integral of df/dx (x0 + a (x - x0)) da."""
    first, path = window.tensor(start), window.tensor(end - start)
    value, baseline = window.value(first + path), window.value(first)
    nodes = FEWEST_NODES
    while True:
        # Gauss and Legendre's nodes lie inside the path; a sum of n of them is exact up to the power 2 n - 1.
        places, shares = np.polynomial.legendre.leggauss(nodes)
        total = path.new_zeros(path.shape)
        for place, share in zip((places + 1) / 2, shares / 2, strict=True):
            total.add_(window.gradient(first + float(place) * path), alpha=float(share))
        found = _result(window, question, (total * path).cpu().numpy(), value, baseline, nodes)
        left = abs(float(found["remainder"][0]))
        if not left > question.tolerance * window.spread:
            return found
        if nodes >= MOST_NODES:
            warnings.warn(
                f"the integral of {when} leaves {left / window.spread:.2g} of the target's spread with {nodes} nodes, "
                f"more than the tolerance of {question.tolerance:g}: see `remainder`",
                RuntimeWarning,
                stacklevel=2,
            )
            return found
        nodes *= 2


def _multiply(window: Window, question: Question, end: FloatArray, start: FloatArray, when: str) -> dict[str, Any]:  # noqa: ARG001
    """Multiply the gradient at the end of the path with the path."""
    last, first = window.tensor(end), window.tensor(start)
    change = (window.gradient(last) * (last - first)).cpu().numpy()
    return _result(window, question, change, window.value(last), window.value(first), 1)


def _occlude(window: Window, question: Question, end: FloatArray, start: FloatArray, when: str) -> dict[str, Any]:  # noqa: ARG001
    """Hide each region and take the change of the value."""
    last, first = window.tensor(end), window.tensor(start)
    value = window.value(last)
    regions = np.zeros((0, *end.shape[-2:]), dtype=bool) if question.regions is None else question.regions
    changes = np.array([value - window.value(last, region) for region in regions])
    return _named(changes.astype(np.float32), value, window.value(first), 0)


def _result(
    window: Window, question: Question, change: FloatArray, value: float, baseline: float, nodes: int
) -> dict[str, Any]:
    """Bring what the inputs of a window add (time, variable, latitude, longitude) to its shape and units."""
    whole = change.astype(np.float64) * window.spread
    if question.lags:
        by_lag = np.zeros((question.lags, *change.shape[1:]), dtype=np.float32)
        by_lag[: len(change)] = whole[::-1]
        return _named(by_lag, value, baseline, nodes)
    return _named(whole.sum(axis=0).astype(np.float32), value, baseline, nodes)


def _named(attribution: FloatArray, value: float, baseline: float, nodes: int) -> dict[str, Any]:
    rounded, start = np.float32(value), np.float32(baseline)
    remainder = float(rounded) - float(start) - attribution.sum(dtype=np.float64)
    numbers = {"value": rounded, "baseline": start, "remainder": remainder, "nodes": nodes}
    return {"attribution": attribution[None]} | {
        name: np.array([number], dtype=np.float32) for name, number in numbers.items()
    }
