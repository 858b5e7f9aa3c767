"""What a model is, in plain data: its variables, its network and its card, readable without torch."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from xfaconv.climatology import Climatology
from xfaconv.errors import ModelFileError
from xfaconv.formatting import Row, html_box, html_section, html_table, text_section, text_table
from xfaconv.grid import Grid

FORMAT_VERSION = 2
# What networks were before these entries of `NetworkSpec` existed: cards without them are read, and hashed, as such.
EARLIER_NETWORK: Mapping[str, Any] = {"attention_season": False, "squeeze": "mean", "eofs": 0, "leading_eofs": 40}
_LINE = 120
_SOURCES = {
    "simulation": "a simulation, not observations",
    "reanalysis": "reanalysis of observations",
    "user": "the user's own data",
}


@dataclass(frozen=True)
class VariableSpec:
    """One variable as the model reads it.

    Parameters
    ----------
    name : str
        Name in the model's order, an ERA5 short name such as ``"t2m"`` or ``"z500"``.
    units : str
        Units that the model reads, before standardisation.
    long_name : str
        Name for people.
    level : float, optional
        Pressure level [hPa], None at the surface.
    partly_missing : bool
        Whether part of the grid is always missing (sea surface temperature over land).
    """

    name: str
    units: str
    long_name: str
    level: float | None = None
    partly_missing: bool = False

    def __str__(self) -> str:
        """Say what it is and in which units; the level only where the name does not say it."""
        level = "" if self.level is None else f" at {self.level:g} hPa"
        missing = ", partly missing" if self.partly_missing else ""
        return f"{self.long_name}{'' if level in self.long_name else level} [{self.units}]{missing}"


@dataclass(frozen=True, eq=False)
class InputSpec:
    """What a model reads, for the code that brings data to it.

    Parameters
    ----------
    variables : tuple of VariableSpec
        In the model's order.
    grid : Grid or None
        The model's grid; None keeps the data's own.
    step : str or None
        The model's time step; None takes the data's.
    climatology : Climatology or None
        On the model's grid, variables in order.
    harmonics : int, default 2
        Harmonics of the year where the climatology is taken from the data.
    """

    variables: tuple[VariableSpec, ...]
    grid: Grid | None = None
    step: str | None = None
    climatology: Climatology | None = None
    harmonics: int = 2


@dataclass(frozen=True)
class NetworkSpec:
    """Sizes and choices of a network; with the weights and the time step it determines the function.

    The defaults are what the packaged models use, where they agree.

    Parameters
    ----------
    variables : int
        Number of input variables, the paper's C.
    hidden : int
        Hidden channels, the paper's F.
    bottleneck : int
        Bottleneck channels, the paper's C_b.
    scales : tuple of (int, int)
        Kernel size and dilation of each depthwise branch, the paper's (k, d_k).
    attention_every : int
        Axial attention at every K-th step, the paper's K; 0 means none.
    attention_width, attention_heads : int
        Channels and heads of the axial attention.
    embedding : int
        Size of the embedding, the paper's D.
    pooling : {"attention", "mean", "patterns"}
        Spatial pooling of the head; all are area-weighted. "patterns" reads the hidden state through the patterns by
        which the fields are rebuilt from the embedding, as EOF analysis does; it needs ``located=True``.
    look_back : int
        Steps that the causal temporal attention may see, itself included.
    leads : tuple of int
        Leads [steps] that the read-out predicts; 0 is the present.
    domain : tuple of float
        South, north, west, east [degrees] of the domain that the position features are relative to.
    periodic : bool
        Whether that domain closes around the globe.
    architecture : str
        Name of the recurrent core: the paper's "faconvlstm", its baselines "convlstm", "cnn-lstm" and "cnn", or one
        that `xfaconv.nn.register_core` has made known.
    located : bool
        Whether harmonics of position enter the core, and products of them the read-out and the patterns, so that the
        same message from afar may mean warm here and cold there.
    outlook : bool
        Whether the fields at the leads are also reconstructed from the embedding, so that it keeps what predicts them.
    attention_places : {"harmonics", "products"}
        What the queries and keys of the attention know of a place: harmonics of longitude and of latitude side by side,
        or also their products, which tell places of one meridian or latitude circle apart.
    attention_season : bool
        Whether these preferences for places follow the time of year (and of day, where steps are shorter).
    squeeze : {"moments", "mean"}
        What the squeeze-excitation gates know: the mean and the logarithm of the mean square of each channel and the
        time of year, or the mean over the sphere alone, as in the paper.
    eofs : int
        EOFs of the optimal interpolation that fills missing values before the network reads them; 0 leaves them at the
        climatology.
    leading_eofs : int
        Leading EOFs that the linear part of the forecasts is regressed on, where there are EOFs.
    """

    variables: int
    hidden: int = 48
    bottleneck: int = 16
    scales: tuple[tuple[int, int], ...] = ((3, 1), (3, 2))
    attention_every: int = 1
    attention_width: int = 32
    attention_heads: int = 4
    embedding: int = 32
    pooling: Literal["attention", "mean", "patterns"] = "patterns"
    look_back: int = 8
    leads: tuple[int, ...] = (0, 1, 3)
    domain: tuple[float, float, float, float] = (-90.0, 90.0, 0.0, 360.0)
    periodic: bool = True
    architecture: str = "faconvlstm"
    located: bool = True
    outlook: bool = True
    attention_places: Literal["harmonics", "products"] = "harmonics"
    attention_season: bool = True
    squeeze: Literal["moments", "mean"] = "moments"
    eofs: int = 0
    leading_eofs: int = 40


_RATIO = "standardised_rmse_to_damped_persistence"
_SKILL = (
    "skill (RMSE relative to damped persistence: below 1 is better; share of hidden variance explained: 1 is perfect)"
)


@dataclass(frozen=True)
class ModelCard:
    """Everything that a user must know before believing a model.

    Parameters
    ----------
    name, title, description : str
        Registry name, one line, and plain words on what the weights learned from.
    source : {"simulation", "reanalysis", "user"}
        Kind of the training data.
    data : str
        The training data, named and cited.
    years : Mapping of str to str
        Spans of training, validation and test.
    variables : tuple of VariableSpec
        Input variables in order.
    grid : Grid
        The model's grid.
    step : str
        Time step: ``"1D"``, ``"1h"``, ``"6h"`` or ``"1M"`` (calendar months).
    segment, warmup : int
        Steps kept, and steps of warm-up before them, in one segment.
    network : NetworkSpec
        The network.
    climatology_harmonics : int
        Harmonics of the year in the climatology.
    parameters : int
        Trainable numbers in the network.
    licence, citation : str
        Terms and how to cite.
    metrics : Mapping
        Every measured number, with the command that measured it under ``"command"``.
    known_failures : tuple of str
        What the model is known to get wrong.
    weights_sha256 : str
        Hash of the tensors, set when the file is written.
    format_version : int
        Version of the file format, and so of the entries that a card has.
    """

    name: str
    title: str
    description: str
    source: Literal["simulation", "reanalysis", "user"]
    data: str
    years: Mapping[str, str]
    variables: tuple[VariableSpec, ...]
    grid: Grid
    step: str
    segment: int
    warmup: int
    network: NetworkSpec
    climatology_harmonics: int = 2
    parameters: int = 0
    licence: str = ""
    citation: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    known_failures: tuple[str, ...] = ()
    weights_sha256: str = ""
    format_version: int = FORMAT_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Give the card as plain data that JSON can hold.

        Returns
        -------
        dict
            Inverse of `ModelCard.from_dict`.
        """
        out = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        out["variables"] = [asdict(variable) for variable in self.variables]
        out["grid"] = {"latitude": list(self.grid.latitude), "longitude": list(self.grid.longitude)}
        out["network"] = asdict(self.network)
        out["years"] = dict(self.years)
        out["metrics"] = dict(self.metrics)
        out["known_failures"] = list(self.known_failures)
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelCard:
        """Read a card from plain data.

        Parameters
        ----------
        data : Mapping
            As `to_dict` gives it.

        Returns
        -------
        ModelCard

        Raises
        ------
        ModelFileError
            If an entry is missing, unknown or of the wrong kind.
        """
        try:
            parts = dict(data)
            parts["variables"] = tuple(VariableSpec(**variable) for variable in parts["variables"])
            parts["grid"] = Grid(tuple(parts["grid"]["latitude"]), tuple(parts["grid"]["longitude"]))
            network = {**EARLIER_NETWORK, **parts["network"]}
            network["scales"] = tuple((int(k), int(d)) for k, d in network["scales"])
            network["leads"] = tuple(int(lead) for lead in network["leads"])
            network["domain"] = tuple(float(edge) for edge in network["domain"])
            parts["network"] = NetworkSpec(**network)
            parts["known_failures"] = tuple(parts["known_failures"])
            parts["years"], parts["metrics"] = dict(parts["years"]), dict(parts["metrics"])
            return cls(**parts)
        except (KeyError, TypeError, ValueError) as problem:
            raise ModelFileError(
                "the model card cannot be read",
                expected="the entries of xfaconv.ModelCard",
                found=f"{type(problem).__name__}: {problem}",
                fix="use a model file written by model.save(path)",
            ) from problem

    def updated(self, **changes: Any) -> ModelCard:
        """Copy the card with some entries changed.

        Returns
        -------
        ModelCard
        """
        return replace(self, **changes)

    def as_text(self, kind: str = "ModelCard") -> str:
        """Say in some lines what the model is and how well it does, without the other measurements.

        Parameters
        ----------
        kind : str
            Class name in the first line.

        Returns
        -------
        str
            Lines of up to 120 characters, long texts folded.
        """
        rows = [("title", self.title), *self._facts(), ("data", self.data), *self._years(), *_training(self.metrics)]
        rows += [
            ("known failures" if not number else "", f"- {text}") for number, text in enumerate(self.known_failures)
        ]
        rows += self._terms()
        width = _LINE - 4 - max(len(label) for label, _ in rows)
        folded = [
            (
                label,
                "\n".join(
                    textwrap.wrap(value, width, subsequent_indent="  " * value.startswith("- "), break_on_hyphens=False)
                ),
            )
            for label, value in rows
        ]
        parts = [text_section(f"<xfaconv.{kind} {self.name}>", folded)]
        columns, skill = _skill(self.metrics, (variable.name for variable in self.variables))
        if skill:
            parts += [f"{_SKILL}:", text_table(columns, skill)]
        return "\n".join([parts[0], *(textwrap.indent(part, "  ") for part in parts[1:])])

    def __repr__(self) -> str:
        """Say in some lines what the model is; `to_dict` gives every entry."""
        return self.as_text()

    def _repr_html_(self) -> str:
        about = [("description", self.description), ("data", self.data), *self._years(), *self._facts()]
        failures = [(str(number), failure) for number, failure in enumerate(self.known_failures, start=1)]
        network = [(name, str(value)) for name, value in self.to_dict()["network"].items()]
        columns, skill = _skill(self.metrics, (variable.name for variable in self.variables))
        sections = [
            html_section("what it is", about),
            html_section("known failures", failures),
            *([html_section(_SKILL, (), below=html_table(columns, skill))] if skill else []),
            html_section("variables", [(variable.name, str(variable)) for variable in self.variables], is_open=False),
            _measured("measured", self.metrics),
            html_section("network", network, is_open=False),
            html_section("terms", self._terms(), is_open=False),
        ]
        return html_box(self.name, self.title, sections)

    def _facts(self) -> list[Row]:
        return [
            ("trained on", _SOURCES.get(self.source, self.source)),
            ("variables", ", ".join(variable.name for variable in self.variables)),
            ("grid", self.grid.describe()),
            ("step", self.step),
            ("segment", f"{self.segment} steps kept after {self.warmup} steps of warm-up"),
            ("parameters", f"{self.parameters:,}"),
            ("sha256", self.weights_sha256 or "not written yet"),
        ]

    def _years(self) -> list[Row]:
        named = {"gap": "gap", "before": "years before"}
        return [(named.get(part, f"{part} years"), span) for part, span in self.years.items() if span]

    def _terms(self) -> list[Row]:
        return [("licence", self.licence or "none stated"), ("cite", self.citation or "nothing stated")]


def _training(metrics: Mapping[str, Any]) -> list[Row]:
    """Give the first and last losses of a training as a line."""
    history = metrics.get("history")
    if not isinstance(history, list) or not all(isinstance(entry, Mapping) and "loss" in entry for entry in history):
        return []
    checked = [entry for entry in history if "validation" in entry]
    if not history:
        return []
    words = f"loss {_number(history[0]['loss'])} at first, {_number(history[-1]['loss'])} at the end"
    if checked:
        best = min(checked, key=lambda entry: float(entry["validation"]))
        words += f"; validation {_number(best['validation'])}, best at update {best.get('update')}"
    return [("losses", words)]


def _skill(metrics: Mapping[str, Any], variables: Iterable[str]) -> tuple[list[str], list[list[str]]]:
    """Give the main scores: a row for each variable, a column for each lead and for hidden sectors."""
    forecast = metrics.get("forecast")
    columns: dict[str, dict[str, Any]] = {}
    for lead, entries in forecast.items() if isinstance(forecast, Mapping) else ():
        if isinstance(entries, Mapping):
            ratios = {name: entry.get(_RATIO) for name, entry in entries.items() if isinstance(entry, Mapping)}
            columns[f"{lead}: RMSE ratio"] = ratios
    alone = metrics.get("interpolation_alone")
    for heading, scores in (
        ("hidden, explained", metrics.get("hidden_sectors")),
        ("by interpolation alone", alone.get("hidden_sectors") if isinstance(alone, Mapping) else None),
        ("by linear regression", metrics.get("hidden_sectors_linear")),
    ):
        if isinstance(scores, Mapping):
            columns[heading] = dict(scores)
    # Beside the variables stands what all of them give together, and settings, which are no scores.
    names = [name for name in (*variables, "all") if any(name in values for values in columns.values())]
    rows = [
        [
            str(name),
            *(f"{value:.2f}" if isinstance(value := values.get(name), float) else "" for values in columns.values()),
        ]
        for name in names
    ]
    return ["variable", *columns], rows


def _measured(title: str, metrics: Mapping[str, Any], *, is_open: bool = False) -> str:
    """Give nested measurements as sections that fold; entries of one form become a table."""
    plain = [(str(name), value) for name, value in metrics.items() if not isinstance(value, Mapping)]
    rows = [(name, _number(value)) for name, value in plain if not _is_table(value)]
    below = "".join(_tabulated(name, dict(enumerate(value))) for name, value in plain if _is_table(value))
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            below += _tabulated(str(name), value) if _is_table(list(value.values())) else _measured(str(name), value)
    return html_section(title.replace("_", " "), rows, is_open=is_open, below=below)


def _is_table(entries: object) -> bool:
    """Whether entries are mappings of single values, so that each is a row."""
    return (
        isinstance(entries, list)
        and bool(entries)
        and all(
            isinstance(entry, Mapping) and not any(isinstance(value, Mapping | list) for value in entry.values())
            for entry in entries
        )
    )


def _tabulated(title: str, entries: Mapping[Any, Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(str(name) for entry in entries.values() for name in entry))
    rows = [[str(name), *(_number(entry.get(column, "")) for column in columns)] for name, entry in entries.items()]
    headings = ["", *(column.replace("_", " ") for column in columns)]
    return html_section(title.replace("_", " "), (), is_open=False, below=html_table(headings, rows))


def _number(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_number(entry) for entry in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
