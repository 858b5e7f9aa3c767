"""The whole network: context channels, a recurrent core, axial attention, the embedding head and the read-outs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from xfaconv.errors import ArgumentError, ModelError
from xfaconv.nn.attention import AxialAttention
from xfaconv.nn.cell import FAConvLSTMCell
from xfaconv.nn.cores import build_core
from xfaconv.nn.geometry import POSITION_FEATURES, SPHERE_FEATURES, Geometry
from xfaconv.nn.head import LocatedPatterns, LocatedReadOut, SubspaceHead, UnlocatedPatterns, seasonal_encoding
from xfaconv.nn.interpolation import OptimalInterpolation
from xfaconv.nn.recurrence import Collected, refine_states, start_run
from xfaconv.specs import NetworkSpec

_READ_OUT_HIDDEN = 64

State = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Encoded:
    """What one pass over a sequence gives.

    Parameters
    ----------
    hidden : Tensor (batch, kept, lat, lon, F)
        Hidden states before the axial attention.
    refined : Tensor (batch, kept, lat, lon, F) or None
        Hidden states after it, when asked for.
    embedding : Tensor (batch, kept, D)
        Embeddings E.
    gates : Tensor (batch, kept, 2 C_b)
        Squeeze-excitation gates; empty in the last axis for cores without them.
    energy : Tensor (batch, kept, variable)
        Mean square over the sphere of what was read of each variable.
    state : tuple of Tensor
        Hidden state, cell state and the last pooled vectors with their encoding, to go on from.
    """

    hidden: Tensor
    refined: Tensor | None
    embedding: Tensor
    gates: Tensor
    energy: Tensor
    state: State


class Network(nn.Module):
    """FAConvLSTM (or another core) with its embedding head and read-outs.

    Parameters
    ----------
    spec : NetworkSpec
        Sizes and choices.
    step : str
        Time step of the data, such as ``"1D"``: where it is shorter than a day, the time of day is an input, too.

    Raises
    ------
    ArgumentError
        If no such network can be built.
    """

    def __init__(self, spec: NetworkSpec, step: str = "1D") -> None:
        super().__init__()
        if spec.pooling == "patterns" and not spec.located:
            raise ArgumentError(
                'pooling="patterns" needs patterns of position',
                fix='located=True  # in the NetworkSpec; or another pooling, such as "attention"',
            )
        self.spec = spec
        self.step = step
        self.daily_cycle = step.endswith("h")
        # The variables, the share seen, the unit vector of the cell, cosine and sine of year (and day).
        waves = 4 if self.daily_cycle else 2
        channels = spec.variables + 1 + SPHERE_FEATURES + waves
        channels += POSITION_FEATURES if spec.located else 0
        self.core = build_core(spec, channels)
        self.attention_module: AxialAttention | None = None
        if spec.attention_every and isinstance(self.core, FAConvLSTMCell):
            sizes = spec.hidden, spec.attention_width, spec.attention_heads
            season = waves if spec.attention_season else 0
            self.attention_module = AxialAttention(*sizes, places=spec.attention_places, season=season)
        self.head = SubspaceHead(
            spec.hidden, spec.embedding, pooling=spec.pooling, look_back=spec.look_back, variables=spec.variables
        )
        outputs = len(spec.leads) * spec.variables
        self.read_out = nn.Sequential(
            nn.Linear(spec.hidden, _READ_OUT_HIDDEN), nn.GELU(), nn.Linear(_READ_OUT_HIDDEN, outputs)
        )
        # Damped persistence to begin with, 0.9 a step; the read-out learns what differs from it.
        self.persistence = nn.Parameter(torch.tensor([[0.9**lead] * spec.variables for lead in spec.leads]))
        self.located_read_out = LocatedReadOut(spec.hidden, _READ_OUT_HIDDEN, outputs) if spec.located else None
        self.patterns = (LocatedPatterns if spec.located else UnlocatedPatterns)(spec.variables * spec.embedding)
        ahead = [lead for lead in spec.leads if lead and spec.outlook]
        self.outlook = nn.ModuleDict(
            {str(lead): nn.Linear(spec.embedding, spec.embedding, bias=False) for lead in ahead}
        )
        self.interpolation: OptimalInterpolation | None = None
        if spec.eofs:
            self.interpolation = OptimalInterpolation(
                spec.variables, spec.eofs, spec.leads, spec.leading_eofs, periodic=spec.periodic
            )

    def fill(self, fields: Tensor, visible: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor]:
        """Fill what is missing before the network reads, and say where something was.

        Parameters
        ----------
        fields : Tensor (batch, time, variable, lat, lon)
            Standardised anomalies, 0 where missing.
        visible : Tensor (batch, time, variable, lat, lon), bool
            Where they are values; broadcasts to `fields`.
        geometry : Geometry
            The grid.

        Returns
        -------
        fields : Tensor (batch, time, variable, lat, lon)
            Filled by optimal interpolation where the network has one, else as they were.
        seen : Tensor (batch, time, lat, lon)
            Share of the variables that are present in each cell.
        """
        visible = visible.expand(fields.shape)
        seen = visible.to(fields.dtype).mean(dim=2)
        if self.interpolation is None or bool(visible.all()):
            return fields, seen
        return self.interpolation.fill(fields, visible, geometry), seen

    def encode(
        self,
        fields: Tensor,
        seen: Tensor,
        year_phase: Tensor,
        day_phase: Tensor,
        geometry: Geometry,
        *,
        state: State | None = None,
        first_index: int = 0,
        keep_from: int = 0,
        keep_refined: bool = False,
        checkpointed: bool = False,
    ) -> Encoded:
        """Run over a sequence.

        Parameters
        ----------
        fields : Tensor (batch, time, variable, lat, lon)
            Standardised anomalies, as `fill` gives them.
        seen : Tensor (batch, time, lat, lon)
            Share of the variables that is present in each cell.
        year_phase, day_phase : Tensor (batch, time)
            Fractions of the year and of the day.
        geometry : Geometry
            The grid.
        state : tuple of Tensor, optional
            State to go on from, by default zeros.
        first_index : int
            Absolute index of the first step; anchors the phase of every K-th step.
        keep_from : int
            Steps before this one only spin the state up.
        keep_refined : bool
            Whether to keep the hidden states after the attention too.
        checkpointed : bool
            Compute each step again in the backward pass instead of keeping its intermediate results: more time, less
            memory.

        Returns
        -------
        Encoded
        """
        steps = fields.shape[1]
        season = self._season(year_phase, day_phase).to(fields.dtype)
        if state is None:
            zeros = self.persistence.new_zeros(len(fields), *geometry.shape, self.spec.hidden)
            state = zeros, zeros, self.persistence.new_zeros(len(fields), 0, self.spec.embedding)
        hidden, cell, history = state
        run = start_run(self.core, self.attention_module, geometry, hidden, cell, checkpointed=checkpointed)
        kept_hidden, kept_refined, kept_gates = (Collected(steps - keep_from, run.overwrites) for _ in range(3))
        pool_bias = self.head.pool_bias(geometry)
        pooled, block = [], run.block_steps(steps)
        for first in range(0, steps, block):
            part = slice(first, first + block)
            run.prepare(self._channels(fields[:, part], seen[:, part], season[:, part], geometry), season[:, part])
            for step in range(first, min(first + block, steps)):
                due = self._attends(first_index + step)
                excitation = run.advance(step - first, refining=due)
                if step >= keep_from:
                    # H_t before the attention: the attention maps follow from it, and `refine` gives H_t after it.
                    kept_hidden.add(run.hidden)
                    kept_gates.add(run.hidden.new_zeros(len(fields), 0) if excitation is None else excitation)
                if due:
                    run.refine(step - first)
                if step >= keep_from and keep_refined:
                    kept_refined.add(run.hidden)
                # Every step is pooled: the temporal attention of the first kept steps reads the warm-up.
                pooled.append(self.head.pool(run.hidden, geometry, pool_bias, self.patterns))
        encoding = seasonal_encoding(year_phase, day_phase, self.spec.embedding, self.daily_cycle)
        sequence = torch.cat([history, torch.stack(pooled, dim=1) + encoding.to(run.hidden.dtype)], dim=1)
        embedding = self.head(sequence, kept=steps - keep_from)
        # E_t reads S + P of the steps t - look_back + 1 ... t: to go on from here takes the last look_back - 1 of them.
        remembered = sequence[:, max(sequence.shape[1] - self.spec.look_back + 1, 0) :]
        return Encoded(
            hidden=kept_hidden.stacked(),
            refined=kept_refined.stacked() if keep_refined else None,
            embedding=embedding,
            gates=kept_gates.stacked(),
            energy=torch.einsum("btvij,ij->btv", fields[:, keep_from:].square(), geometry.normalised_area.to(fields)),
            state=(run.hidden, run.cell, remembered),
        )

    def last_state(
        self,
        fields: Tensor,
        seen: Tensor,
        year_phase: Tensor,
        day_phase: Tensor,
        geometry: Geometry,
        *,
        first_index: int = 0,
        checkpointed: bool = False,
    ) -> Tensor:
        """Run over a sequence from rest and give the hidden state behind it alone, after the attention.

        Parameters
        ----------
        fields, seen, year_phase, day_phase, geometry, first_index, checkpointed : object
            See `encode`.

        Returns
        -------
        Tensor (batch, lat, lon, F)
        """
        steps = fields.shape[1]
        zeros = self.persistence.new_zeros(len(fields), *geometry.shape, self.spec.hidden)
        run = start_run(self.core, self.attention_module, geometry, zeros, zeros, checkpointed=checkpointed)
        season = self._season(year_phase, day_phase).to(fields.dtype)
        block = run.block_steps(steps)
        for first in range(0, steps, block):
            part = slice(first, first + block)
            run.prepare(self._channels(fields[:, part], seen[:, part], season[:, part], geometry), season[:, part])
            for step in range(first, min(first + block, steps)):
                due = self._attends(first_index + step)
                run.advance(step - first, refining=due)
                if due:
                    run.refine(step - first)
        return run.hidden

    def refine(
        self, hidden: Tensor, geometry: Geometry, first_index: int = 0, phases: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Apply the axial attention to kept hidden states, as `encode` did.

        Parameters
        ----------
        hidden : Tensor (batch, time, lat, lon, F)
            Hidden states before the attention.
        geometry : Geometry
            The grid.
        first_index : int
            Absolute index of the first of these steps.
        phases : (Tensor, Tensor), optional
            Fractions of the year and of the day (batch, time), where the attention follows them.

        Returns
        -------
        Tensor (batch, time, lat, lon, F)
        """
        due = [self._attends(first_index + step) for step in range(hidden.shape[1])]
        season = None if phases is None else self._season(*phases)
        return refine_states(self.attention_module, geometry, hidden, due, season)

    def attention(
        self,
        hidden: Tensor,
        geometry: Geometry,
        base_points: Sequence[tuple[int, int]],
        phases: Sequence[Tensor] | None = None,
        *,
        weigh: Literal["attention", "values"] = "attention",
        heads: bool = True,
    ) -> Tensor:
        """Composed attention maps of some base points.

        Parameters
        ----------
        hidden : Tensor (batch, time, lat, lon, F)
            Hidden states before the attention.
        geometry : Geometry
            The grid.
        base_points : sequence of (int, int)
            Row and column of each.
        phases : (Tensor, Tensor), optional
            Fractions of the year and of the day (batch, time), where the attention follows them.
        weigh : {"attention", "values"}
            The weights themselves, or times the norm of what is read: see `AxialAttention.weighed_by_values`.
        heads : bool
            Keep the heads apart; else weights are averaged, and what the heads read is added.

        Returns
        -------
        Tensor (batch, time, point, [head,] lat, lon)
            Each map sums to 1.

        Raises
        ------
        ModelError
            If the network has no axial attention.
        ArgumentError
            If the attention follows the time of year, and it is not given.
        """
        if self.attention_module is None:
            raise ModelError("a network without axial attention has no attention maps", fix="use a FAConvLSTM model")
        season = None if phases is None else self._season(*phases).flatten(0, 1)
        states = hidden.flatten(0, 1)
        maps = self.attention_module.composed_map(states, geometry, base_points, season)
        if weigh == "values":
            maps = self.attention_module.weighed_by_values(maps, states, heads=heads)
        elif not heads:
            maps = maps.mean(dim=2)
        return maps.unflatten(0, hidden.shape[:2])

    def importance(self, gates: Tensor, energy: Tensor) -> Tensor:
        """Say what each variable sends through the squeeze-excitation gates of the input half.

        Variable v sends the variance ``sum_c e_c^2 r_c^2 k_c^2 w_cv^2 m_v`` with e_c the gate of channel c, r_c^2 and
        k_c^2 the sums of squares of the weights that read it and of its kernels, w_cv the weight from W_x and the layer
        norm behind it, and m_v the energy. Where gates know means alone (``squeeze="mean"``), they are nearly constant
        and are only mapped back through |W_x|.

        Parameters
        ----------
        gates : Tensor (batch, time, 2 C_b)
            Gates from `encode`.
        energy : Tensor (batch, time, variable)
            Energy from `encode`.

        Returns
        -------
        Tensor (batch, time, variable)
            Non-negative, summing to 1 over the variables.

        Raises
        ------
        ModelError
            If the network has no squeeze-excitation.
        """
        if not isinstance(self.core, FAConvLSTMCell):
            raise ModelError(
                "this network has no squeeze-excitation gates", fix="use xfaconv.importance with method='occlusion'"
            )
        # The input's gates come first.
        gates, weights = gates[..., : self.spec.bottleneck], self.core.variable_weights(self.spec.variables)
        raw = gates.square() @ weights * energy if self.spec.squeeze == "moments" else gates @ weights
        return raw / raw.sum(-1, keepdim=True).clamp(min=torch.finfo(raw.dtype).tiny)

    def predict(self, refined: Tensor, fields: Tensor, geometry: Geometry) -> Tensor:
        """Read the leads out of the hidden state, added to a damped persistence of the input.

        Parameters
        ----------
        refined : Tensor (batch, time, lat, lon, F)
            Hidden states after the attention.
        fields : Tensor (batch, time, variable, lat, lon)
            The input of the same steps, as `fill` gives it.
        geometry : Geometry
            The grid.

        Returns
        -------
        Tensor (batch, time, lead, variable, lat, lon)
            Standardised anomalies.
        """
        change = self.read_out(refined)
        if self.located_read_out is not None:
            change = change + self.located_read_out(refined, geometry)
        change = change.movedim(-1, 2).unflatten(2, (len(self.spec.leads), self.spec.variables))
        linear = self.persistence[:, :, None, None] * fields[:, :, None]
        if self.interpolation is not None:
            linear = linear + self.interpolation.ahead(fields, geometry)
        return change + linear

    def reconstruct(self, embedding: Tensor, geometry: Geometry, lead: int = 0) -> Tensor:
        """Reconstruct the fields from the embedding alone, through learned patterns of position.

        Parameters
        ----------
        embedding : Tensor (batch, time, D)
            Embeddings.
        geometry : Geometry
            The grid.
        lead : int
            The fields of so many steps later; networks with an outlook have these of their leads.

        Returns
        -------
        Tensor (batch, time, variable, lat, lon)

        Raises
        ------
        ArgumentError
            If the network has no such lead.
        """
        if lead:
            if str(lead) not in self.outlook:
                raise ArgumentError(
                    f"this network does not reconstruct the fields {lead} steps later",
                    expected=f"one of {[0, *map(int, self.outlook)]}",
                    fix="lead=0",
                )
            embedding = self.outlook[str(lead)](embedding)
        # x(i, j) = sum over d of E_d P_d(i, j) / sqrt(D), as EOFs rebuild a field; the root keeps its size free of D.
        patterns = self.patterns(geometry).unflatten(-1, (self.spec.variables, self.spec.embedding))
        return torch.einsum("btd,ijvd->btvij", embedding, patterns) / math.sqrt(self.spec.embedding)

    def _attends(self, index: int) -> bool:
        """Whether the axial attention is due at the step of this absolute index."""
        # By the absolute index, so that the segments of a record attend at the same steps as the record in one.
        return self.attention_module is not None and index % self.spec.attention_every == 0

    def _season(self, year_phase: Tensor, day_phase: Tensor) -> Tensor:
        """Cosine and sine of the phase of the year, and of the day where steps are shorter, (batch, time, 2 or 4)."""
        phases = [year_phase, day_phase] if self.daily_cycle else [year_phase]
        waves = [function(2 * math.pi * phase) for phase in phases for function in (torch.cos, torch.sin)]
        return torch.stack(waves, dim=-1)

    def _channels(self, fields: Tensor, seen: Tensor, season: Tensor, geometry: Geometry) -> Tensor:
        """Variables followed by context: share seen, position on the sphere, time of year (and of day)."""
        shape = (*fields.shape[:2], *geometry.shape, -1)
        parts = [
            fields.movedim(2, -1),
            seen[..., None].to(fields.dtype),
            geometry.sphere.to(fields.dtype).expand(shape),
            season[:, :, None, None].expand(shape),
        ]
        if self.spec.located:
            parts.append(geometry.positions.to(fields.dtype).expand(shape))
        return torch.cat(parts, dim=-1)


def build_network(spec: NetworkSpec, step: str = "1D") -> Network:
    """Build a network with fresh weights from torch's random state.

    Parameters
    ----------
    spec : NetworkSpec
        Sizes and choices.
    step : str
        Time step of the data, such as ``"1D"`` or ``"6h"``, as on the card.

    Returns
    -------
    Network

    Raises
    ------
    ArgumentError
        If no such network can be built.

    Examples
    --------
    >>> network = build_network(NetworkSpec(variables=5, hidden=16, bottleneck=8))
    >>> network.attention_module is None, network.spec.leads
    (False, (0, 1, 3))
    """
    return Network(spec, step)
