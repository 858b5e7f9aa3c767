"""A model: its card, its climatology and its network, cheap to send to other processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import fields
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xfaconv.climatology import Climatology
from xfaconv.errors import ModelError, ModelFileError, require_torch
from xfaconv.models.packing import pack_climatology, unpack_climatology
from xfaconv.models.storage import ModelFile, seal, write_model_file
from xfaconv.specs import ModelCard

if TYPE_CHECKING:
    from xfaconv.nn import Network

_ENTRIES = [entry.name for entry in fields(ModelCard)]
_MOST_NETWORKS = 8
_NETWORKS: dict[tuple[str, str], Network] = {}
_LOCK = threading.Lock()


class Model:
    """A trained network with everything that is needed to run it.

    Get one with `xfaconv.load_model` or from `xfaconv.fit`; a Model never changes.

    Parameters
    ----------
    file : ModelFile
        Card and tensors that fit together.
    fetch : callable, optional
        Function without arguments that gives this model again in another process. With it, pickling sends the
        function and not the tensors.

    Examples
    --------
    >>> from xfaconv.models import list_models, load_model
    >>> [load_model(name).card.step for name in list_models("ncep-monthly-2p5deg")]
    ['1M']
    """

    def __init__(self, file: ModelFile, *, fetch: Callable[[], Model] | None = None) -> None:
        self._file = file
        self._fetch = fetch

    @classmethod
    def from_network(cls, card: ModelCard, network: Network, climatology: Climatology | None) -> Model:
        """Make a model of a network in memory.

        Parameters
        ----------
        card : ModelCard
            Its ``parameters`` and ``weights_sha256`` are set here.
        network : Network
            As `xfaconv.nn.build_network` built it from ``card.network``; its weights are copied.
        climatology : Climatology or None
            Kept in the precision of the file: `Model.climatology` is what `load_model` would give.

        Returns
        -------
        Model

        Raises
        ------
        ModelFileError
            If the card does not fit the network, or a weight is not finite.
        """
        weights = {name: _smallest(values.cpu().numpy()) for name, values in network.state_dict().items()}
        parameters = sum(entry.numel() for entry in network.parameters())
        packed = {} if climatology is None else pack_climatology(climatology)
        model = cls(seal(card.updated(parameters=parameters), weights, packed))
        model.trainable_network()
        return model

    @property
    def card(self) -> ModelCard:
        """What a user must know before believing the model."""
        return self._file.card

    @property
    def sha256(self) -> str:
        """Hash of everything that decides what the model computes."""
        return self.card.weights_sha256

    @cached_property
    def climatology(self) -> Climatology | None:
        """The climatology that the model's anomalies are taken from, None if it has none."""
        return unpack_climatology(self._file.climatology) if self._file.climatology else None

    def network(self, device: str = "cpu") -> Network:
        """Give the network, built once per process and device.

        The weights are shared by all who ask: use `trainable_network` for a copy that may change.

        Parameters
        ----------
        device : str, default "cpu"
            Where its weights lie.

        Returns
        -------
        Network
            In evaluation mode, without gradients.

        Raises
        ------
        ModelFileError
            If the weights do not fit the card's network.
        """
        key = (self.sha256, device)
        with _LOCK:
            # Put back last: a dict keeps its order, so that the first is the one that has been unused for longest.
            network = _NETWORKS.pop(key, None) or self._frozen_network(device)
            _NETWORKS[key] = network
            while len(_NETWORKS) > _MOST_NETWORKS:
                del _NETWORKS[next(iter(_NETWORKS))]
        return network

    def _frozen_network(self, device: str) -> Network:
        require_torch()
        import torch

        # Tensors that are made in inference mode, which surrounds the tasks of the engine, refuse gradients ever after.
        with torch.inference_mode(False):
            return self.trainable_network().to(device).eval().requires_grad_(False)

    def trainable_network(self) -> Network:
        """Give a new copy of the network, in training mode, to train further.

        Returns
        -------
        Network
            On the CPU; neither the Model nor torch's random numbers are touched.

        Raises
        ------
        ModelFileError
            If the weights do not fit the card's network.
        """
        require_torch()
        import torch

        from xfaconv.nn import build_network

        weights = {name: torch.from_numpy(_whole(values)) for name, values in self._file.network.items()}
        # On the meta device nothing is allocated or drawn: a card can ask for any size without harm.
        try:
            with torch.device("meta"):
                network = build_network(self.card.network, self.card.step)
            network.load_state_dict(weights, assign=True)
        except (RuntimeError, TypeError, ValueError, ArithmeticError) as problem:
            raise ModelFileError(
                f"the weights of model {self.card.name!r} do not fit the network of its card",
                expected="a network that can be built, and its weights",
                found=str(problem)[:1000],
                fix="get the file again; a card keeps the network that its weights were trained with",
            ) from problem
        return network.requires_grad_(True)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file that `xfaconv.load_model` reads.

        Parameters
        ----------
        path : path-like
            Usually ending in ``.safetensors``; an existing file is replaced.

        Raises
        ------
        ModelFileError
            If it cannot be written.
        """
        write_model_file(path, self._file)

    def updated(self, **changes: object) -> Model:
        """Copy the model with some entries of its card changed, such as the metrics.

        Parameters
        ----------
        **changes
            Entries of `ModelCard`.

        Returns
        -------
        Model
            In memory, with a hash of its own where what it computes has changed.

        Raises
        ------
        ModelFileError
            If the new card does not fit the weights, or has no entry of such a name.
        """
        try:
            # A single text is a sequence of letters, each of which would become a failure of its own.
            if isinstance(changes.get("known_failures"), str):
                raise TypeError("known_failures is a single text, not a tuple of texts")
            model = Model(seal(self.card.updated(**changes), self._file.network, self._file.climatology))
        except (AttributeError, TypeError, ValueError) as problem:
            if isinstance(problem, ModelFileError):
                raise
            raise ModelFileError(
                "the model card cannot be changed so",
                expected=f"entries of xfaconv.ModelCard, of the kinds that it documents: {', '.join(_ENTRIES)}",
                found=f"{problem}; {changes!r:.200}",
                fix='model.updated(licence="CC-BY-4.0", known_failures=("Rain is too weak.",))',
            ) from problem
        if "network" in changes:
            model.trainable_network()
        return model

    def __reduce__(self) -> tuple[object, ...]:
        """Send the way to fetch the model where there is one, else the tensors."""
        if self._fetch is not None:
            return _fetched, (self._fetch, self.sha256)
        return Model, (self._file,)

    def __dask_tokenize__(self) -> tuple[str, str]:
        """Two models that compute the same have the same token."""
        return "xfaconv.Model", self.sha256

    def __eq__(self, other: object) -> bool:
        """Whether both compute the same and say the same of themselves."""
        return isinstance(other, Model) and self.card == other.card

    def __hash__(self) -> int:
        """Hash of what the model computes."""
        return hash(self.sha256)

    def __repr__(self) -> str:
        """Say in a few lines what the model is."""
        return self.card.as_text("Model")

    def _repr_html_(self) -> str:
        return self.card._repr_html_()


def _fetched(fetch: Callable[[], Model], sha256: str) -> Model:
    model = fetch()
    if model.sha256 != sha256:
        problem = f"model {model.card.name!r} is not the same here as where the work was sent from"
        fix = "install the same version of xfaconv on every worker"
        raise ModelError(problem, expected=sha256, found=model.sha256, fix=fix)
    return model


def _smallest(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Give 16 bits where they hold the same numbers; whole numbers of 8 bits, such as patterns of EOFs, stay."""
    if values.dtype == np.int8:
        return values
    whole = values.astype(np.float32)
    with np.errstate(over="ignore"):
        half = whole.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), whole) else whole


def _whole(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Undo `_smallest`, as a copy."""
    return np.array(values, dtype=np.int8 if values.dtype == np.int8 else np.float32)
