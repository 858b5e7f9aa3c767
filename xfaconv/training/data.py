"""Training data: a record of a recipe or of a user as standardised anomalies, its split in time, and its windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import dask
import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from xfaconv.adapt import Conformed, InputSpec, Survey, TimeAxis, adapt
from xfaconv.adapt.anomalies import apply_to_blocks, standardise_block
from xfaconv.adapt.survey import survey
from xfaconv.climatology import Climatology, fit_climatology, seasonal_basis
from xfaconv.errors import ArgumentError, TimeError, VariableError
from xfaconv.grid import Grid
from xfaconv.models import Model
from xfaconv.options import get_options
from xfaconv.specs import VariableSpec

HARMONICS = 2
# Windows are blended when they start less than half a month of the year apart.
_SAME_SEASON = 1 / 24
# A window of two steps and a lead of one.
_SHORTEST = 3


@dataclass(frozen=True, eq=False)
class Batch:
    """Windows of standardised anomalies.

    Parameters
    ----------
    fields : Tensor (batch, time, variable, lat, lon)
        NaN where missing.
    year_phase, day_phase : Tensor (batch, time)
        Fractions of the year and of the day.
    """

    fields: Tensor
    year_phase: Tensor
    day_phase: Tensor

    def to(self, device: str) -> Batch:
        """Copy to a torch device.

        Parameters
        ----------
        device : str
            Torch device.

        Returns
        -------
        Batch
        """
        return Batch(self.fields.to(device), self.year_phase.to(device), self.day_phase.to(device))


@dataclass(frozen=True, eq=False)
class WindowSource:
    """Standardised anomalies, and the spans that windows may be cut from; only what a batch needs is read.

    Parameters
    ----------
    fields : sequence of array_like (time, lat, lon)
        One array for each variable, numpy or dask, NaN where missing.
    year_phase, day_phase : ndarray (time,)
        Fractions of the year and of the day.
    spans : tuple of slice
        Gap-free spans that belong together (all training years, say).
    """

    fields: Sequence[Any]
    year_phase: NDArray[np.float64]
    day_phase: NDArray[np.float64]
    spans: tuple[slice, ...]

    def starts(self, length: int) -> NDArray[np.int64]:
        """Positions at which a window of a given length fits into one span.

        Parameters
        ----------
        length : int
            Steps of the window, the longest lead included.

        Returns
        -------
        ndarray (n,)

        Raises
        ------
        TimeError
            If no span is long enough.
        """
        found = [np.arange(span.start, span.stop - length + 1) for span in self.spans]
        starts = np.concatenate([*found, np.zeros(0, dtype=np.int64)]).astype(np.int64)
        if not starts.size:
            longest = max((span.stop - span.start for span in self.spans), default=0)
            raise TimeError(
                "the record is too short to train on",
                expected=f"at least {length} steps without a gap",
                found=f"{longest} steps",
                fix=f"window={longest - 1}, leads=(0, 1)  # or a longer record"
                if longest >= _SHORTEST
                else "give longer spans without a gap",
            )
        return starts

    def read(self, starts: Sequence[int], length: int) -> Batch:
        """Read windows.

        Parameters
        ----------
        starts : sequence of int
            First positions.
        length : int
            Steps of each window.

        Returns
        -------
        Batch
        """
        steps = np.asarray(starts)[:, None] + np.arange(length)
        return Batch(
            fields=torch.from_numpy(np.stack([_steps(self.fields, slice(start, start + length)) for start in starts])),
            year_phase=torch.from_numpy(self.year_phase[steps].astype(np.float32)),
            day_phase=torch.from_numpy(self.day_phase[steps].astype(np.float32)),
        )

    def read_blended(self, starts: Sequence[int], length: int, random: np.random.Generator) -> Batch:
        """Read windows, each blended with another one of the same time of year.

        A window x becomes ``cos(a) x + sin(a) y`` with another window y and a random angle a. The covariances in space
        and time, with their seasons, stay what they are in the record, and no two windows are alike, so that a network
        overfits a short record less. Trend, skewness and all that is not linear are lost. (Pairs of samples are mixed
        in this way by mixup, Zhang et al. 2018, https://arxiv.org/abs/1710.09412; the angle keeps the variance.)

        Parameters
        ----------
        starts : sequence of int
            First positions.
        length : int
            Steps of each window.
        random : numpy.random.Generator
            Source of random numbers.

        Returns
        -------
        Batch
            Missing where either window is missing. A window stays as it is where no other year has one of its season.

        Examples
        --------
        >>> field, phase = np.ones((24, 1, 1), "float32"), np.arange(24) / 12 % 1
        >>> source = WindowSource([field], phase, np.zeros(24), (slice(0, 24),))
        >>> batch = source.read_blended([0], 3, np.random.default_rng(0))
        >>> batch.fields.shape, bool(batch.fields.abs().max() <= 2**0.5)
        (torch.Size([1, 3, 1, 1, 1]), True)
        """
        everywhere = self.starts(length)
        first, second = self.read(starts, length), []
        angles = random.uniform(0, 2 * np.pi, len(starts))
        for position, start in enumerate(starts):
            apart = np.abs((self.year_phase[everywhere] - self.year_phase[start] + 0.5) % 1 - 0.5)
            partners = everywhere[(apart < _SAME_SEASON) & (np.abs(everywhere - start) >= length)]
            if not partners.size:
                angles[position] = 0.0
            second.append(int(random.choice(partners)) if partners.size else start)
        # cos^2 + sin^2 = 1: a sum of two independent anomalies keeps their variances and covariances.
        weights = np.stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
        x, y = torch.from_numpy(weights)[..., None, None, None, None]
        return replace(first, fields=x * first.fields + y * self.read(second, length).fields)


def _steps(fields: Sequence[Any], steps: slice | NDArray[np.int64]) -> NDArray[np.float32]:
    """Read some steps of all variables (time, variable, lat, lon)."""
    return np.stack([np.asarray(field[steps], dtype=np.float32) for field in fields], axis=1)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """A record as standardised anomalies, with its time axis and its split in time.

    Parameters
    ----------
    variables : tuple of VariableSpec
        In order.
    fields : tuple of array (time, lat, lon), float32
        Standardised anomalies of each variable, numpy or dask, NaN where missing.
    time : TimeAxis
        Their steps.
    grid : Grid
        Their grid.
    climatology : Climatology
        What the anomalies are taken from: that of the training steps, or of the model to fine-tune.
    train, test : slice
        Positions of the training and of the test (or validation) steps.
    """

    variables: tuple[VariableSpec, ...]
    fields: tuple[Any, ...]
    time: TimeAxis
    grid: Grid
    climatology: Climatology
    train: slice
    test: slice

    @property
    def names(self) -> list[str]:
        """Names of the variables."""
        return [variable.name for variable in self.variables]

    def windows(self, part: slice | None = None) -> WindowSource:
        """Windows of a part of the record.

        Parameters
        ----------
        part : slice, optional
            Positions, by default those of the training steps.

        Returns
        -------
        WindowSource
        """
        part = self.train if part is None else part
        within = (slice(max(run.start, part.start), min(run.stop, part.stop)) for run in self.time.spans)
        spans = tuple(span for span in within if span.start < span.stop)
        return WindowSource(self.fields, self.time.year_phase, self.time.day_phase, spans)

    def steps(self, steps: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        """Anomalies of some steps.

        Parameters
        ----------
        steps : slice or ndarray of int
            Positions.

        Returns
        -------
        ndarray (time, variable, lat, lon), float32
        """
        return _steps(self.fields, steps)

    def strided(self, stride: int) -> TrainingData:
        """Take every n-th grid point in both directions.

        Parameters
        ----------
        stride : int
            Grid stride.

        Returns
        -------
        TrainingData
        """
        cells = (..., slice(None, None, stride), slice(None, None, stride))
        return replace(
            self,
            fields=tuple(field[cells] for field in self.fields),
            grid=Grid(self.grid.latitude[::stride], self.grid.longitude[::stride]),
            climatology=Climatology(self.climatology.coefficients[cells], self.climatology.scale[cells]),
        )


def training_data(
    conformed: Conformed, variables: tuple[VariableSpec, ...], train: slice, test: slice, harmonics: int = HARMONICS
) -> TrainingData:
    """Standardise conformed data by the climatology of the training steps, as ``climatology="data"`` does of all.

    Parameters
    ----------
    conformed : Conformed
        Physical values; or anomalies, where a model's climatology was taken from them already.
    variables : tuple of VariableSpec
        In order.
    train, test : slice
        Positions of the training and of the test steps.
    harmonics : int, default 2
        Harmonics of the year.

    Returns
    -------
    TrainingData
        Lazy where the data are; the climatology is computed.

    Raises
    ------
    VariableError
        If a variable has too few values for a climatology everywhere.
    """
    axis, grid, climatology = conformed.time, conformed.grid, conformed.climatology
    fields = [conformed.data[variable.name].data for variable in variables]
    if climatology is None:
        basis = seasonal_basis(axis.year_phase, harmonics)
        lazy = (fit_climatology(field[train], basis[train], grid.row_area) for field in fields)
        fits = dask.compute(*lazy)  # type: ignore[attr-defined, no-untyped-call]
        for variable, (_, spread) in zip(variables, fits, strict=True):
            if not np.isfinite(spread).any():
                raise VariableError(
                    f"variable '{variable.name}' has too few values for a climatology in every cell",
                    expected=f"cells with more than {2 * basis.shape[1]} values among the training steps",
                    fix=f"ds = ds.drop_vars({variable.name!r})  # or fill its gaps, with .interpolate_na('time')",
                )
        # The anomalies keep the digits of the fit, so that they do not depend on how float32 rounds it.
        fields = [
            apply_to_blocks(field, standardise_block, grid.shape, basis, fit)
            for field, fit in zip(fields, fits, strict=True)
        ]
        coefficients, spreads = (np.stack(part).astype(np.float32) for part in zip(*fits, strict=True))
        climatology = Climatology(coefficients, spreads)
    return TrainingData(variables, tuple(fields), axis, grid, climatology, train, test)


def user_data(
    ds: xr.Dataset, start: Model | None, variables: Sequence[str] | None, validation: float, length: int
) -> TrainingData:
    """Bring a user's data to what is trained on, lazily, and hold back their last part.

    Parameters
    ----------
    ds : Dataset
        The user's data.
    start : Model or None
        Model to fine-tune, whose variables, grid and climatology are kept.
    variables : sequence of str or None
        Variables to train on without such a model.
    validation : float
        Share of the record at its end that is held back.
    length : int
        Steps of a window and its longest lead; the gap before the steps that are held back is as long where it leaves
        room for one window.

    Returns
    -------
    TrainingData

    Raises
    ------
    ArgumentError, TimeError, VariableError
        If the data have members, are too short, or a variable is missing nearly everywhere.
    """
    if start is not None:
        card = start.card
        target = InputSpec(card.variables, card.grid, card.step, start.climatology, card.climatology_harmonics)
        conformed = adapt(ds, target, absent=get_options()["absent"])
    else:
        found = survey(ds)
        target = InputSpec(chosen_variables(found, variables), harmonics=HARMONICS)
        conformed = adapt(found, target, regrid=None, climatology=None)
    if "member" in conformed.data.dims:
        raise ArgumentError(
            "fit takes one member",
            found=f"{conformed.data.sizes['member']} members",
            fix=f"ds = ds.isel({conformed.labels.names['member']}=0)",
        )
    steps, held = len(conformed.time), round(validation * len(conformed.time))
    train = slice(0, steps - held)
    if train.stop <= length:
        raise TimeError(
            "the record is too short to train on",
            expected=f"more than {length} steps besides the {held} that are held back",
            found=f"{steps} steps",
            fix="window=4, leads=(0, 1), validation=0  # or a longer record",
        )
    if validation and held < length:
        raise TimeError(
            "what is held back is too short to validate on",
            expected=f"at least {length} steps, a window and its longest lead",
            found=f"{held} of {steps} steps",
            fix=f"validation={min(0.5, np.ceil(100 * length / steps) / 100):.2f}  # or 0, or a smaller window=",
        )
    test = slice(train.stop + min(length, max(held - length, 0)), steps)
    data = training_data(conformed, target.variables, train, test)
    marked = tuple(
        replace(variable, partly_missing=bool(np.isnan(spread).any()))
        for variable, spread in zip(data.variables, data.climatology.scale, strict=True)
    )
    return replace(data, variables=marked)


def chosen_variables(found: Survey, wanted: Sequence[str] | None) -> tuple[VariableSpec, ...]:
    """Describe the variables to train on, in the user's own names and units.

    Parameters
    ----------
    found : Survey
        What was found in the user's data.
    wanted : sequence of str, optional
        Their names; by default all that are recognised.

    Returns
    -------
    tuple of VariableSpec
        One for each level of a variable with levels.

    Raises
    ------
    VariableError
        If one that is named is not there, or none is recognised.

    Examples
    --------
    >>> ds = xr.Dataset({"gust": ("time", [1.0], {"units": "m s-1"})})
    >>> chosen_variables(Survey(ds), ["gust"])[0].units
    'm s-1'
    """
    ds = found.ds
    lacking = [name for name in wanted or () if name not in ds]
    specs = [] if lacking else [_named(ds, name) for name in wanted or ()]
    if wanted is None:
        for variable in found.variables:
            levels = variable.levels if variable.level_coordinate and len(variable.levels) > 1 else ()
            specs += [
                VariableSpec(f"{variable.key}{level:g}", variable.units, f"{variable.key} at {level:g} hPa", level)
                for level in levels
            ] or [_named(ds, variable.name)]
    if not specs:
        known = [str(name) for name in ds.data_vars]
        raise VariableError(
            f"variables {lacking} are not in the Dataset" if lacking else "no variable of the Dataset is recognised",
            expected="names of the Dataset" if lacking else "variables with time, latitude and longitude",
            found=repr(known),
            fix=f"variables={known[:3]}  # name them",
        )
    return tuple(specs)


def _named(ds: xr.Dataset, name: str) -> VariableSpec:
    attrs = ds[name].attrs
    return VariableSpec(str(name), str(attrs.get("units", "1")), str(attrs.get("long_name", name)))
