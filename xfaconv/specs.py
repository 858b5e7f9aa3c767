"""What a model is, in plain data: its variables, its network and its card, readable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from xfaconv.climatology import Climatology
from xfaconv.errors import ModelFileError
from xfaconv.formatting import card_html, card_text
from xfaconv.grid import Grid

Architecture = Literal["faconvlstm", "convlstm", "cnn-lstm", "cnn"]


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
    """Sizes and choices of a network; with the weights it determines the function.

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
    squeeze : int
        Reduction of the squeeze-excitation bottleneck.
    attention_every : int
        Axial attention at every K-th step, the paper's K; 0 means none.
    attention_width, attention_heads : int
        Channels and heads of the axial attention.
    embedding : int
        Size of the embedding, the paper's D.
    pooling : {"attention", "mean", "patterns"}
        Spatial pooling of the head; all are area-weighted. "patterns" reads the hidden state through the patterns by
        which the fields are rebuilt from the embedding, as EOF analysis does; it needs ``located=True``.
    pooling_heads : int
        Number of pooling patterns when ``pooling="attention"``.
    temporal_heads : int
        Heads of the temporal attention over the embedding sequence.
    look_back : int
        Steps that the causal temporal attention may see, itself included.
    seasonal_harmonics : int
        Harmonics of the year in the fixed seasonal encoding.
    daily_cycle : bool
        Whether the encoding also holds the time of day.
    leads : tuple of int
        Leads [steps] that the read-out predicts; 0 is the present.
    domain : tuple of float
        South, north, west, east [degrees] of the domain that the position features are relative to.
    periodic : bool
        Whether that domain closes around the globe.
    dropout : float
        Dropout after the bottleneck projections, in training only.
    architecture : {"faconvlstm", "convlstm", "cnn-lstm", "cnn"}
        The paper's layer or one of its baselines.
    located : bool
        Whether harmonics of position enter the core, and products of them the read-out and the patterns, so that the
        same message from afar may mean warm here and cold there.
    outlook : bool
        Whether the embedding is also asked for the fields at the leads, so that it keeps what foretells.
    attention_places : {"harmonics", "products"}
        What the queries and keys of the attention know of a place: harmonics of longitude and of latitude side by side,
        or also their products, which tell places of one meridian or latitude circle apart.
    """

    variables: int
    hidden: int = 48
    bottleneck: int = 16
    scales: tuple[tuple[int, int], ...] = ((3, 1), (3, 2), (5, 3))
    squeeze: int = 4
    attention_every: int = 1
    attention_width: int = 32
    attention_heads: int = 4
    embedding: int = 32
    pooling: Literal["attention", "mean", "patterns"] = "attention"
    pooling_heads: int = 16
    temporal_heads: int = 4
    look_back: int = 8
    seasonal_harmonics: int = 2
    daily_cycle: bool = False
    leads: tuple[int, ...] = (0, 1, 3)
    domain: tuple[float, float, float, float] = (-90.0, 90.0, 0.0, 360.0)
    periodic: bool = True
    dropout: float = 0.0
    architecture: Architecture = "faconvlstm"
    located: bool = False
    outlook: bool = False
    attention_places: Literal["harmonics", "products"] = "harmonics"


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
        Steps kept, and spun up before them, in one independent piece of work.
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
    version : str
        Version of the file format.
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
    version: str = "1"

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
        # Older files lack these entries: without them their hash stays what it is.
        for later in ("located", "outlook", "attention_places"):
            if out["network"][later] in (False, "harmonics"):
                del out["network"][later]
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
            network = dict(parts["network"])
            network["scales"] = tuple((int(k), int(d)) for k, d in network["scales"])
            network["leads"] = tuple(int(lead) for lead in network["leads"])
            network["domain"] = tuple(float(edge) for edge in network["domain"])
            parts["network"] = NetworkSpec(**network)
            parts["known_failures"] = tuple(parts["known_failures"])
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

    def __str__(self) -> str:
        """Say in some lines what the model is; the repr holds every entry."""
        return card_text(self, "ModelCard")

    def _repr_html_(self) -> str:
        return card_html(self)
