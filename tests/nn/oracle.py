"""The paper's section IV in slow numpy float64, cell by cell: what the torch code is held against."""

from __future__ import annotations

import math

import numpy as np

LAYER_NORM_EPSILON = 1e-5


def numbers(module):
    """Parameters of a torch module as float64 arrays by name."""
    return {name: value.detach().double().numpy() for name, value in module.state_dict().items()}


def part(parameters, prefix):
    return {name[len(prefix) :]: value for name, value in parameters.items() if name.startswith(prefix)}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def linear(p, name, x):
    out = p[f"{name}.weight"] @ x
    return out + p[f"{name}.bias"] if f"{name}.bias" in p else out


def layer_norm(p, name, x):
    centred = x - x.mean()
    return centred / np.sqrt((centred**2).mean() + LAYER_NORM_EPSILON) * p[f"{name}.weight"] + p[f"{name}.bias"]


def every_cell(function, field):
    """Apply a function of one cell's channel vector to all cells of (lat, lon, channel)."""
    return np.array([[function(cell) for cell in row] for row in field])


class World:
    """A grid from its coordinates alone: areas, position features, neighbours."""

    def __init__(self, latitude, longitude):
        self.latitude, self.longitude = np.asarray(latitude, float), np.asarray(longitude, float)
        self.rows, self.columns = len(latitude), len(longitude)
        step = np.diff(self.longitude).max()
        self.periodic = 360 - (self.longitude[-1] - self.longitude[0]) < 1.5 * step
        middles = (self.latitude[1:] + self.latitude[:-1]) / 2
        south = max(-90.0, self.latitude[0] - (self.latitude[1] - self.latitude[0]) / 2)
        north = min(90.0, self.latitude[-1] + (self.latitude[-1] - self.latitude[-2]) / 2)
        edges = np.concatenate([[south], middles, [north]])
        self.south_pole = self.periodic and south < -89.999 and self.columns % 2 == 0
        self.north_pole = self.periodic and north > 89.999 and self.columns % 2 == 0
        self.band = np.sin(np.deg2rad(edges[1:])) - np.sin(np.deg2rad(edges[:-1]))
        self.width = self._widths()
        area = self.band[:, None] * self.width[None, :]
        self.share = area / area.sum()

    def _widths(self):
        longitude = self.longitude
        middles = (longitude[1:] + longitude[:-1]) / 2
        if self.periodic:
            seam = (longitude[-1] + longitude[0] + 360) / 2
            edges = np.concatenate([[seam - 360], middles, [seam]])
        else:
            first = longitude[0] - (longitude[1] - longitude[0]) / 2
            last = longitude[-1] + (longitude[-1] - longitude[-2]) / 2
            edges = np.concatenate([[first], middles, [last]])
        return np.diff(edges)

    def value(self, field, i, j):
        """Value of a field at a cell that may lie beyond the edges."""
        half = self.columns // 2
        if i < 0:
            if not self.south_pole:
                return np.zeros(field.shape[2])
            i, j = (-i if abs(self.latitude[0] + 90) < 1e-3 else -i - 1), j + half
        if i >= self.rows:
            if not self.north_pole:
                return np.zeros(field.shape[2])
            beyond = i - self.rows
            i = self.rows - 2 - beyond if abs(self.latitude[-1] - 90) < 1e-3 else self.rows - 1 - beyond
            j += half
        if not 0 <= j < self.columns:
            if not self.periodic:
                return np.zeros(field.shape[2])
            j %= self.columns
        return field[i, j]

    def positions(self):
        """Harmonics 1 to 4 of longitude, then of latitude stretched over -90..90."""
        out = np.empty((self.rows, self.columns, 16))
        for i, latitude in enumerate(self.latitude):
            for j, longitude in enumerate(self.longitude):
                angles = [k * math.radians(longitude) for k in (1, 2, 3, 4)]
                angles += [k * math.radians(latitude) for k in (1, 2, 3, 4)]
                out[i, j] = [f(angle) for angle in angles for f in (math.cos, math.sin)]
        return out

    def products(self, smooth=False):
        """Products of 1, root 2 cos and sin along both directions; the smooth ones scaled by 1 / (1 + m^2 + n^2)."""
        waves = [(0, lambda angle: 1.0)]
        for k in (1, 2, 3, 4):
            waves += [(k, lambda angle, k=k: math.sqrt(2) * math.cos(k * angle))]
            waves += [(k, lambda angle, k=k: math.sqrt(2) * math.sin(k * angle))]
        pairs = [(zonal, meridional) for zonal in waves for meridional in waves]
        size = np.array([1 / (1 + zonal[0] ** 2 + meridional[0] ** 2) for zonal, meridional in pairs])
        out = np.empty((self.rows, self.columns, len(pairs)))
        for i, latitude in enumerate(self.latitude):
            for j, longitude in enumerate(self.longitude):
                out[i, j] = [z[1](math.radians(longitude)) * m[1](math.radians(latitude)) for z, m in pairs]
        return out * size / math.sqrt((size**2).mean()) if smooth else out

    def sphere(self):
        """Unit vector of each cell."""
        latitude, longitude = np.meshgrid(np.deg2rad(self.latitude), np.deg2rad(self.longitude), indexing="ij")
        return np.stack(
            [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=-1
        )


def known_to_gates(p, world, mixed, season):
    """What the gates know, and f: the mean and relu, or standardised moments, the season, and tanh."""
    cells = [(i, j) for i in range(world.rows) for j in range(world.columns)]
    mean = sum(world.share[cell] * mixed[cell] for cell in cells)
    if "squeeze_excitation.mean" not in p:
        return mean, relu
    moments = np.concatenate([mean, np.log(sum(world.share[cell] * mixed[cell] ** 2 for cell in cells) + 1e-6)])
    moments = (moments - p["squeeze_excitation.mean"]) / np.sqrt(p["squeeze_excitation.variance"] + 1e-4)
    known = np.concatenate([moments, season])
    return known / math.sqrt(len(known)), np.tanh


def relu(x):
    return np.maximum(x, 0)


def cell_step(p, world, x, hidden, cell, scales, season=()):
    """One step of the cell; p are the cell's parameters. Gives H_t, C_t and the squeeze-excitation gates."""
    z = every_cell(lambda v: layer_norm(p, "input_norm", linear(p, "input_projection", v)), x)
    r = every_cell(lambda v: layer_norm(p, "hidden_norm", linear(p, "hidden_projection", v)), hidden)
    u = np.concatenate([z, r], axis=-1)
    mixed = np.zeros_like(u)
    for branch, (size, dilation) in enumerate(scales):
        kernel = p[f"mixing.kernels.{branch}"][:, 0]
        for i in range(world.rows):
            for j in range(world.columns):
                for a in range(size):
                    for b in range(size):
                        neighbour = (i + (a - size // 2) * dilation, j + (b - size // 2) * dilation)
                        mixed[i, j] += kernel[:, a, b] * world.value(u, *neighbour)
    known, f = known_to_gates(p, world, mixed, season)
    squeezed = f(linear(p, "squeeze_excitation.squeeze", known))
    excitation = sigmoid(linear(p, "squeeze_excitation.excite", squeezed))
    new_hidden, new_cell = np.empty_like(hidden), np.empty_like(cell)
    channels = hidden.shape[-1]
    for i in range(world.rows):
        for j in range(world.columns):
            gates = linear(p, "gates", layer_norm(p, "mixing_norm", mixed[i, j] * excitation))
            g_in, g_forget, g_out, candidate = (gates[k * channels : (k + 1) * channels] for k in range(4))
            before = cell[i, j]
            g_in = sigmoid(g_in + p["peephole_input"] * before)
            g_forget = sigmoid(g_forget + p["peephole_forget"] * before)
            new_cell[i, j] = g_forget * before + g_in * np.tanh(candidate)
            new_hidden[i, j] = sigmoid(g_out) * np.tanh(new_cell[i, j])
    return new_hidden, new_cell, excitation


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def axial_weights(p, world, hidden, heads, season=()):
    """Dense A_row[head, i', j, j'], A_col[head, j, i, i'] and the values (lat, lon, head, size)."""
    normed = every_cell(lambda v: layer_norm(p, "norm", v), hidden)
    places = world.positions() if p["position_hidden.weight"].shape[1] == 16 else world.products(smooth=True)
    width = p["value.weight"].shape[0]
    size = width // heads
    weight = p["position.weight"].copy()
    for wave, part_weight in zip(season, np.split(p["season.weight"], len(season)) if len(season) else [], strict=True):
        weight += wave * part_weight
    position = every_cell(lambda v: weight @ gelu(linear(p, "position_hidden", v)), places).reshape(
        world.rows, world.columns, 4, width
    )
    cut = [slice(h * size, (h + 1) * size) for h in range(heads)]
    query = every_cell(lambda v: linear(p, "row_query", v), normed) + position[:, :, 0]
    key = every_cell(lambda v: linear(p, "row_key", v), normed) + position[:, :, 1]
    value = every_cell(lambda v: linear(p, "value", v), normed)
    rows = np.empty((heads, world.rows, world.columns, world.columns))
    gathered = np.empty((world.rows, world.columns, width))
    for h in range(heads):
        for i in range(world.rows):
            for j in range(world.columns):
                logits = [
                    query[i, j, cut[h]] @ key[i, k, cut[h]] / math.sqrt(size) + math.log(world.width[k])
                    for k in range(world.columns)
                ]
                rows[h, i, j] = softmax(np.array(logits))
                gathered[i, j, cut[h]] = rows[h, i, j] @ value[i, :, cut[h]]
    query = every_cell(lambda v: linear(p, "column_query", v), normed) + position[:, :, 2]
    key = every_cell(lambda v: linear(p, "column_key", v), gathered) + position[:, :, 3]
    columns = np.empty((heads, world.columns, world.rows, world.rows))
    for h in range(heads):
        for j in range(world.columns):
            for i in range(world.rows):
                logits = [
                    query[i, j, cut[h]] @ key[k, j, cut[h]] / math.sqrt(size) + math.log(world.band[k])
                    for k in range(world.rows)
                ]
                columns[h, j, i] = softmax(np.array(logits))
    return rows, columns, value.reshape(world.rows, world.columns, heads, size)


def composed(rows, columns):
    """All pairs: map[head, i, j, i', j'] = A_col[j; i, i'] A_row[i'; j, j']."""
    return np.einsum("hjik,hkjl->hijkl", columns, rows)


def axial_attention(p, world, hidden, heads, season=()):
    """A_axial(H_t) as the dense linear read-out of the composed map."""
    rows, columns, value = axial_weights(p, world, hidden, heads, season)
    read = np.einsum("hijkl,klhd->ijhd", composed(rows, columns), value)
    return every_cell(lambda v: linear(p, "out", v), read.reshape(world.rows, world.columns, -1))


def read_by_values(p, world, maps, value):
    """Shares of what one base point reads, from its map (head, lat, lon): heads added, and heads apart."""
    heads, size = value.shape[2:]
    kernel = p["out.weight"].reshape(-1, heads, size)
    added, apart = np.empty((world.rows, world.columns)), np.empty((heads, world.rows, world.columns))
    for i in range(world.rows):
        for j in range(world.columns):
            vectors = [maps[h, i, j] * kernel[:, h] @ value[i, j, h] for h in range(heads)]
            added[i, j] = np.linalg.norm(sum(vectors))
            apart[:, i, j] = [np.linalg.norm(vector) for vector in vectors]
    return added / added.sum(), apart / apart.sum(axis=(1, 2), keepdims=True)


def pool(p, world, hidden, spec, patterns=None):
    """s_t = Pool(W_s H_t); two components to each head of the attention."""
    projected = every_cell(lambda v: linear(p, "projection", v), hidden)
    if spec.pooling == "patterns":
        weight = patterns.reshape(spec.variables, spec.embedding, -1)
        return np.einsum("ij,ijv,vdp,ijp->d", world.share, projected, weight, world.products())
    if spec.pooling == "mean":
        return sum(world.share[i, j] * projected[i, j] for i in range(world.rows) for j in range(world.columns))
    logits = every_cell(lambda v: linear(p, "pool_logits", layer_norm(p, "pool_norm", v)), hidden)
    logits = logits + every_cell(lambda v: linear(p, "pool_position", v), world.positions())
    logits = logits + np.log(world.share)[..., None]
    size = 2
    out = []
    for g in range(projected.shape[-1] // size):
        weights = softmax(logits[..., g].ravel())
        out.append(weights @ projected[..., g * size : (g + 1) * size].reshape(-1, size))
    return np.concatenate(out)


def seasonal(year_phase, day_phase, size, daily):
    """P: two harmonics of the year (and one of the day), zeros beyond."""
    angles = [2 * math.pi * k * year_phase for k in (1, 2)]
    angles += [2 * math.pi * day_phase] if daily else []
    waves = [f(angle) for angle in angles for f in (math.cos, math.sin)][:size]
    return np.array(waves + [0.0] * (size - len(waves)))


def temporal_attention(p, sequence, heads, look_back):
    """E = MHA(S + P), each step seeing itself and the look_back - 1 steps before it."""
    query, key, value = (np.array([linear(p, name, step) for step in sequence]) for name in ("query", "key", "value"))
    size = sequence.shape[1] // heads
    out = []
    for t in range(len(sequence)):
        seen = range(max(0, t - look_back + 1), t + 1)
        read = []
        for h in range(heads):
            cut = slice(h * size, (h + 1) * size)
            weights = softmax(np.array([query[t, cut] @ key[s, cut] / math.sqrt(size) for s in seen]))
            read.append(sum(w * value[s, cut] for w, s in zip(weights, seen, strict=True)))
        out.append(linear(p, "out", np.concatenate(read)))
    return np.array(out)


def network(p, spec, world, fields, seen, year_phase, day_phase, first_index=0, daily=False):
    """The whole network over one sample (time, variable, lat, lon): hidden, refined, embeddings, gates."""
    core, attention, head = part(p, "core."), part(p, "attention_module."), part(p, "head.")
    hidden = np.zeros((world.rows, world.columns, spec.hidden))
    cell = np.zeros_like(hidden)
    out = {"hidden": [], "refined": [], "gates": [], "pooled": []}
    for t in range(len(fields)):
        waves = [f(2 * math.pi * phase) for phase in _phases(daily, year_phase[t], day_phase[t]) for f in _WAVES]
        context = np.broadcast_to(np.array(waves), (world.rows, world.columns, len(waves)))
        x = np.concatenate([np.moveaxis(fields[t], 0, -1), seen[t][..., None], world.sphere(), context], axis=-1)
        if spec.located:
            x = np.concatenate([x, world.positions()], axis=-1)
        hidden, cell, gates = cell_step(core, world, x, hidden, cell, spec.scales, waves)
        out["hidden"].append(hidden)
        if spec.attention_every and (first_index + t) % spec.attention_every == 0:
            season = waves if spec.attention_season else ()
            hidden = hidden + axial_attention(attention, world, hidden, spec.attention_heads, season)
        out["refined"].append(hidden)
        out["gates"].append(gates)
        encoding = seasonal(year_phase[t], day_phase[t], spec.embedding, daily)
        out["pooled"].append(pool(head, world, hidden, spec, p.get("patterns.weight")) + encoding)
    out = {name: np.array(values) for name, values in out.items()}
    out["embedding"] = temporal_attention(head, out["pooled"], spec.embedding // 8, spec.look_back)
    out["cell"] = cell
    return out


_WAVES = (math.cos, math.sin)


def _phases(daily, year_phase, day_phase):
    return [year_phase, day_phase] if daily else [year_phase]
