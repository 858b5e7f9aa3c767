"""How fast the layer is: ``python benchmarks/layer.py [--quick]`` writes docs/reference/benchmarks-layer.md.

Each value is measured in a separate process, one after the other, with the same inputs: float32, batch 1, 7 variables,
64 hidden channels, kernel 3 against scales ((3, 1), (3, 2), (5, 3)), bottleneck 16, attention at every 4th step with
width 32 and 4 heads as in three of the packaged models ("narrow": width 16 and 2 heads). Each time is the median over
repeated sequences of 16 steps (721 x 1440 and training: 4 and 8), divided by the number of steps. Every process
allocates and frees a large block of memory first, so that avoidable page faults are not included.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from xfaconv.grid import Grid
from xfaconv.nn import FAConvLSTM, Geometry
from xfaconv.nn.attention import AxialAttention
from xfaconv.nn.recurrence import keep_freed_memory

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "benchmarks-layer.md"
GRIDS = ((32, 64), (73, 144), (180, 360), (721, 1440))
QUICK_GRIDS = GRIDS[:2]
TRAINING_GRIDS = ((32, 64), (73, 144))
CLEAN, TUNED, KERAS = "clean torch ConvLSTM", "tuned torch ConvLSTM", "Keras ConvLSTM2D"
PLAIN, ATTENTIVE = "FAConvLSTM", "FAConvLSTM with attention"
MEMORY_AND_FLOPS = (
    "Peak memory is that of the whole process, including torch. FLOPs are counted by `torch.utils.flop_counter`, which "
    "includes matrix products and convolutions, but not activations."
)
LIMITS = (
    "In the same run, copying a large array reached {copy:.1f} GB/s (reads and writes), a large matrix product "
    "{products:.0f} GFLOP/s, and hyperbolic tangents of values in the cache {tanh:.2f} thousand million per second. At "
    "these rates, the step without attention would need:"
)
VARIABLES, HIDDEN, KERNEL, BOTTLENECK = 7, 64, 3, 16
SCALES = ((3, 1), (3, 2), (5, 3))
EVERY, WIDTH, HEADS = 4, 32, 4
_BLOCK_BYTES = 2**29
Result = dict[str, Any]


class CleanConvLSTM(nn.Module):
    """A dense ConvLSTM as it is usually written: channels_last, all gates at once, input convolved first."""

    def __init__(self) -> None:
        super().__init__()
        self.input_convolution = nn.Conv2d(VARIABLES, 4 * HIDDEN, KERNEL, padding=1)
        self.hidden_convolution = nn.Conv2d(HIDDEN, 4 * HIDDEN, KERNEL, padding=1, bias=False)
        self.to(memory_format=torch.channels_last)

    def forward(self, sequence: Tensor) -> Tensor:
        """Last hidden state of (time, channel, lat, lon), batch 1."""
        steps, _, rows, columns = sequence.shape
        hidden = sequence.new_zeros(1, HIDDEN, rows, columns).to(memory_format=torch.channels_last)
        cell = torch.zeros_like(hidden)
        block = max(1, _BLOCK_BYTES // (16 * HIDDEN * rows * columns))
        for first in range(0, steps, block):
            for from_input in self.input_convolution(sequence[first : first + block]).split(1):
                gates = self.hidden_convolution(hidden).add_(from_input)
                i, f, o, g = gates.chunk(4, dim=1)
                cell = torch.addcmul(torch.sigmoid(i) * torch.tanh(g), torch.sigmoid(f), cell)
                hidden = torch.sigmoid(o) * torch.tanh(cell)
        return hidden


class TunedConvLSTM(CleanConvLSTM):
    """The fastest form that we found: one convolution of input and state side by side, gates in place.

    With gradients it is the clean one: an operation in place would destroy what the backward pass needs.
    """

    def forward(self, sequence: Tensor) -> Tensor:
        """Last hidden state of (time, channel, lat, lon), batch 1."""
        if torch.is_grad_enabled():
            return super().forward(sequence)
        _, _, rows, columns = sequence.shape
        weight = torch.cat([self.input_convolution.weight, self.hidden_convolution.weight], dim=1)
        weight = weight.contiguous(memory_format=torch.channels_last)
        both = sequence.new_zeros(1, VARIABLES + HIDDEN, rows, columns).to(memory_format=torch.channels_last)
        hidden = both[:, VARIABLES:]
        cell = sequence.new_zeros(1, HIDDEN, rows, columns).to(memory_format=torch.channels_last)
        for field in sequence.split(1):
            both[:, :VARIABLES] = field
            gates = F.conv2d(both, weight, self.input_convolution.bias, padding=1)
            gates[:, : 3 * HIDDEN].sigmoid_()
            i, f, o, g = gates.chunk(4, dim=1)
            cell.mul_(f).addcmul_(i, g.tanh_())
            torch.tanh(cell, out=hidden).mul_(o)
        return hidden


class NaiveFAConvLSTM(nn.Module):
    """The paper's equations without attention, one after the other, as torch modules in NCHW."""

    def __init__(self) -> None:
        super().__init__()
        self.w_x, self.w_h = nn.Conv2d(VARIABLES, BOTTLENECK, 1), nn.Conv2d(HIDDEN, BOTTLENECK, 1)
        self.norm_x, self.norm_h = nn.LayerNorm(BOTTLENECK), nn.LayerNorm(BOTTLENECK)
        self.norm_d = nn.LayerNorm(2 * BOTTLENECK)
        self.branches = nn.ModuleList(
            nn.Conv2d(
                2 * BOTTLENECK, 2 * BOTTLENECK, k, dilation=d, padding=(k // 2) * d, groups=2 * BOTTLENECK, bias=False
            )
            for k, d in SCALES
        )
        self.squeeze = nn.Linear(2 * BOTTLENECK, BOTTLENECK // 2)
        self.excite = nn.Linear(BOTTLENECK // 2, 2 * BOTTLENECK)
        self.gates = nn.Conv2d(2 * BOTTLENECK, 4 * HIDDEN, 1)
        self.peephole_i = nn.Parameter(torch.zeros(HIDDEN, 1, 1))
        self.peephole_f = nn.Parameter(torch.zeros(HIDDEN, 1, 1))

    def forward(self, sequence: Tensor) -> Tensor:
        """Last hidden state of (time, channel, lat, lon), batch 1."""
        hidden = sequence.new_zeros(1, HIDDEN, *sequence.shape[-2:])
        cell = torch.zeros_like(hidden)
        for x in sequence.split(1):
            z = _over_channels(self.norm_x, self.w_x(x))
            r = _over_channels(self.norm_h, self.w_h(hidden))
            u = torch.cat([z, r], dim=1)
            d = torch.stack([branch(u) for branch in self.branches]).sum(0)
            d = d * torch.sigmoid(self.excite(torch.relu(self.squeeze(d.mean((2, 3))))))[:, :, None, None]
            i, f, o, g = self.gates(_over_channels(self.norm_d, d)).chunk(4, dim=1)
            i = torch.sigmoid(i + self.peephole_i * cell)
            f = torch.sigmoid(f + self.peephole_f * cell)
            cell = f * cell + i * torch.tanh(g)
            hidden = torch.sigmoid(o) * torch.tanh(cell)
        return hidden


def _over_channels(norm: nn.LayerNorm, field: Tensor) -> Tensor:
    return norm(field.movedim(1, -1)).movedim(-1, 1)


class _Ours(nn.Module):
    def __init__(self, grid: Grid, *, width: int = 0, heads: int = 0) -> None:
        super().__init__()
        self.layer = FAConvLSTM(
            VARIABLES,
            HIDDEN,
            scales=SCALES,
            bottleneck=BOTTLENECK,
            attention_every=EVERY if width else 0,
            attention_width=width or WIDTH,
            attention_heads=heads or HEADS,
            data_format="channels_first",
            grid=grid,
        )

    def forward(self, sequence: Tensor) -> Tensor:
        """Last hidden state of (time, channel, lat, lon), batch 1."""
        return self.layer(sequence[None])


class _Keras(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        os.environ["KERAS_BACKEND"] = "torch"
        import keras

        self.layer = keras.layers.ConvLSTM2D(HIDDEN, KERNEL, padding="same")

    def forward(self, sequence: Tensor) -> Tensor:
        """Last hidden state of (time, channel, lat, lon), batch 1; Keras gets its own channels_last."""
        return self.layer(sequence.permute(0, 2, 3, 1)[None].contiguous())


def grid_of(rows: int, columns: int) -> Grid:
    """Build the global grid of this size, with points on the poles where the number of rows is odd.

    Parameters
    ----------
    rows, columns : int
        Size.

    Returns
    -------
    Grid
    """
    if rows % 2:
        latitude = [-90 + 180 * i / (rows - 1) for i in range(rows)]
    else:
        latitude = [-90 + 180 * (i + 0.5) / rows for i in range(rows)]
    return Grid(tuple(latitude), tuple(360 * j / columns for j in range(columns)))


CONTENDERS: dict[str, Callable[[Grid], nn.Module]] = {
    "Keras ConvLSTM2D": lambda grid: _Keras(),  # noqa: ARG005 - all take a grid
    "clean torch ConvLSTM": lambda grid: CleanConvLSTM(),  # noqa: ARG005
    "tuned torch ConvLSTM": lambda grid: TunedConvLSTM(),  # noqa: ARG005
    "naive FAConvLSTM": lambda grid: NaiveFAConvLSTM(),  # noqa: ARG005
    "FAConvLSTM": _Ours,
    "FAConvLSTM with attention": lambda grid: _Ours(grid, width=WIDTH, heads=HEADS),
    "FAConvLSTM with narrow attention": lambda grid: _Ours(grid, width=WIDTH // 2, heads=HEADS // 2),
}


def _clock(name: str) -> Callable[[], float]:
    return {"wall": time.perf_counter, "cpu": time.process_time}[name]


def _timed(work: Callable[[], object], clock: Callable[[], float], seconds: float, sync: Callable[[], object]) -> float:
    """Median time of one call, over at least three calls and about the given number of seconds."""
    work()
    sync()
    times: list[float] = []
    while len(times) < 3 or (sum(times) < seconds and len(times) < 200):
        start = clock()
        work()
        sync()
        times.append(clock() - start)
    return statistics.median(times)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure_inference(options: argparse.Namespace) -> Result:
    """Time, memory, parameters and FLOPs of one contender on one grid, without gradients."""
    rows, columns = options.grid
    steps = EVERY if rows * columns > 2**18 else 4 * EVERY
    device = torch.device(options.device)
    torch.manual_seed(0)
    module = CONTENDERS[options.contender](grid_of(rows, columns)).to(device).eval()
    dtype = getattr(torch, options.dtype)
    sequence = torch.randn(steps, VARIABLES, rows, columns, device=device)
    sync = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    with torch.inference_mode():
        module(sequence[:1])
        before = _peak_bytes()
        run: Callable[[torch.Tensor], torch.Tensor] = module
        if device.type == "cuda":
            module, sequence = module.to(dtype), sequence.to(dtype)
            run = torch.compile(module, mode="reduce-overhead") if options.compiled else module
            torch.cuda.reset_peak_memory_stats()
        elapsed = _timed(lambda: run(sequence), _clock(options.clock), options.seconds, sync)
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else _peak_bytes()
    flops = 0
    if device.type == "cpu":
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(sequence)
        flops = counter.get_total_flops() // steps
    return {
        "milliseconds": elapsed / steps * 1e3,
        "parameters": sum(p.numel() for p in module.parameters()),
        "flops": flops,
        "peak": peak,
        "before": before,
    }


def measure_training(options: argparse.Namespace) -> Result:
    """Time of a forward and backward pass per step, and its peak memory."""
    rows, columns = options.grid
    steps = 2 * EVERY
    torch.manual_seed(0)
    module = CONTENDERS[options.contender](grid_of(rows, columns)).train()
    sequence = torch.randn(steps, VARIABLES, rows, columns)
    module(sequence[:1])
    if options.checkpointed:
        module.layer.checkpointed = True

    def work() -> None:
        for parameter in module.parameters():
            parameter.grad = None
        module(sequence).square().mean().backward()

    elapsed = _timed(work, _clock(options.clock), options.seconds, lambda: None)
    return {"milliseconds": elapsed / steps * 1e3, "peak": _peak_bytes()}


def measure_map(options: argparse.Namespace) -> Result:
    """Time and peak memory of the composed attention map of one base point."""
    rows, columns = options.grid
    torch.manual_seed(0)
    attention = AxialAttention(HIDDEN, WIDTH, HEADS).eval()
    geometry = Geometry.from_grid(grid_of(rows, columns))
    hidden = torch.randn(1, rows, columns, HIDDEN)
    before = _peak_bytes()
    with torch.inference_mode():
        elapsed = _timed(
            lambda: attention.composed_map(hidden, geometry, [(rows // 2, columns // 2)]),
            _clock(options.clock),
            options.seconds,
            lambda: None,
        )
    return {"milliseconds": elapsed * 1e3, "peak": _peak_bytes(), "before": before}


def measure_machine(options: argparse.Namespace) -> Result:
    """Measure the machine: bytes per second of a large copy, FLOPs of a large product, tanh per second in cache."""
    clock = _clock(options.clock)
    with torch.inference_mode():
        source = torch.ones(2**26)
        target = torch.empty_like(source)
        copied = 2 * source.numel() * 4 / _timed(lambda: target.copy_(source), clock, options.seconds, lambda: None)
        matrix = torch.randn(2048, 2048)
        product = torch.empty_like(matrix)
        flops = (
            2 * 2048**3 / _timed(lambda: torch.mm(matrix, matrix, out=product), clock, options.seconds, lambda: None)
        )
        small = torch.randn(2**18)
        tanh = small.numel() / _timed(small.tanh_, clock, options.seconds / 4, lambda: None)
    return {"bandwidth": copied, "flops": flops, "tanh": tanh}


def _in_a_process(arguments: list[str], options: argparse.Namespace) -> Result | None:
    """Measure in a new process; None if it fails, with the reason on the terminal."""
    command = [sys.executable, __file__, *arguments, "--threads", str(options.threads), "--clock", options.clock]
    command += ["--seconds", str(options.seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - this very script
    if done.returncode:
        print(f"  failed ({done.returncode}): {(done.stderr.strip().splitlines() or ['killed'])[-1]}")
        return None
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _size(grid: tuple[int, int]) -> str:
    return f"{grid[0]} x {grid[1]}"


def _ratio(results: dict[str, Result | None], name: str, key: str, other: str) -> str:
    one, base = results.get(name), results.get(other)
    return f"{base[key] / one[key]:.2f}x" if one and base and one[key] else "-"


def _inference_rows(grid: tuple[int, int], results: dict[str, Result | None]) -> list[list[str]]:
    rows = []
    for name, found in results.items():
        if found is None:
            rows.append([_size(grid), name, "failed", "-", "-", "-", "-", "-", "-"])
            continue
        rows.append(
            [
                _size(grid),
                name,
                f"{found['milliseconds']:.2f}",
                _ratio(results, name, "milliseconds", TUNED),
                _ratio(results, name, "milliseconds", CLEAN),
                _ratio(results, name, "milliseconds", KERAS),
                f"{found['parameters']:,}",
                f"{found['flops'] / 1e9:.3f}",
                f"{found['peak'] / 2**20:.0f}",
            ]
        )
    return rows


def _limits(grid: tuple[int, int], found: Result, machine: Result) -> str:
    """How long the machine's limits alone would take for the step without attention."""
    cells = grid[0] * grid[1]
    # H and C are read and written once, the input and the two mixed halves (16 + 16 channels) written and read.
    traffic = 4 * cells * (4 * 64 + VARIABLES + 2 * 32)
    memory = traffic / machine["bandwidth"] * 1e3
    arithmetic = found["flops"] / machine["flops"] * 1e3
    activations = cells * 5 * 64 / machine["tanh"] * 1e3
    least = max(memory, arithmetic + activations)
    return (
        f"- {_size(grid)}: memory traffic {memory:.2f} ms, products {arithmetic:.2f} ms, hyperbolic tangents "
        f"{activations:.2f} ms; measured {found['milliseconds']:.2f} ms, {found['milliseconds'] / least:.1f} times the "
        f"larger of memory and arithmetic."
    )


def _page(
    options: argparse.Namespace,
    machine: Result,
    inference: dict[tuple[int, int], dict[str, Result | None]],
    training: dict[tuple[int, int], dict[str, Result | None]],
    gpu: dict[tuple[int, int], dict[str, Result | None]],
    maps: dict[tuple[int, int], Result | None],
) -> str:
    clock = "wall-clock time" if options.clock == "wall" else "processor time (the machine was shared)"
    parts = [
        "# Computing time of the layer",
        f"Written by `python benchmarks/layer.py` on {datetime.now(UTC):%Y-%m-%d}: {_processor()}, {options.threads} "
        f"threads, {clock}, Python {platform.python_version()}, torch {torch.__version__}. "
        + " ".join((__doc__ or "").split("\n\n")[1].split()),
        "## Without gradients",
        _table(
            [
                "grid",
                "layer",
                "ms per step",
                "vs tuned ConvLSTM",
                "vs clean ConvLSTM",
                "vs Keras",
                "parameters",
                "GFLOP per step",
                "peak MiB",
            ],
            [row for grid, results in inference.items() for row in _inference_rows(grid, results)],
        ),
        MEMORY_AND_FLOPS,
        "## Training step (forward and backward)",
        _table(
            ["grid", "layer", "ms per step", "vs clean ConvLSTM", "peak MiB"],
            [
                [
                    _size(grid),
                    name,
                    f"{found['milliseconds']:.2f}" if found else "failed",
                    _ratio(results, name, "milliseconds", CLEAN),
                    f"{found['peak'] / 2**20:.0f}" if found else "-",
                ]
                for grid, results in training.items()
                for name, found in results.items()
            ],
        ),
        "## Attention map of one base point",
        _table(
            ["grid", "ms", "peak MiB of the process", "MiB before the map, with the hidden state"],
            [
                [
                    _size(grid),
                    f"{found['milliseconds']:.1f}",
                    f"{found['peak'] / 2**20:.0f}",
                    f"{found['before'] / 2**20:.0f}",
                ]
                for grid, found in maps.items()
                if found
            ],
        ),
        "## Comparison with the limits of the machine",
        LIMITS.format(copy=machine["bandwidth"] / 1e9, products=machine["flops"] / 1e9, tanh=machine["tanh"] / 1e9),
        "\n".join(
            _limits(grid, results[PLAIN], machine)
            for grid, results in inference.items()
            if results.get(PLAIN) is not None
        ),
    ]
    if gpu:
        parts += [
            f"## GPU: {torch.cuda.get_device_name()}",
            _table(
                ["grid", "layer", "ms per step", "peak MiB"],
                [
                    [_size(grid), name, f"{found['milliseconds']:.2f}", f"{found['peak'] / 2**20:.0f}"]
                    for grid, results in gpu.items()
                    for name, found in results.items()
                    if found
                ],
            ),
        ]
    else:
        parts.append("No GPU was available.")
    return "\n\n".join(parts) + "\n"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _measure_all(options: argparse.Namespace) -> str:
    grids = QUICK_GRIDS if options.quick else GRIDS
    machine = _in_a_process(["machine"], options) or {}
    inference: dict[tuple[int, int], dict[str, Result | None]] = {}
    training: dict[tuple[int, int], dict[str, Result | None]] = {}
    gpu: dict[tuple[int, int], dict[str, Result | None]] = {}
    maps: dict[tuple[int, int], Result | None] = {}
    for grid in grids:
        place = ["--grid", str(grid[0]), str(grid[1])]
        maps[grid] = _in_a_process(["map", *place], options)
        inference[grid] = {}
        for name in CONTENDERS:
            inference[grid][name] = _in_a_process(["inference", "--contender", name, *place], options)
            print(_size(grid), name, inference[grid][name], flush=True)
        if grid in TRAINING_GRIDS:
            training[grid] = {}
            for name, more in [(CLEAN, []), (PLAIN, []), (ATTENTIVE, []), (ATTENTIVE, ["--checkpointed"])]:
                label = f"{name}, checkpointed" if more else name
                training[grid][label] = _in_a_process(["training", "--contender", name, *place, *more], options)
                print(_size(grid), "training", label, training[grid][label], flush=True)
        if torch.cuda.is_available():
            gpu[grid] = {}
            for name in (CLEAN, PLAIN, ATTENTIVE):
                for dtype in ("float32", "bfloat16"):
                    for more in ([], ["--compiled"]):
                        label = f"{name}, {dtype}" + (", compiled" if more else "")
                        arguments = [
                            "inference",
                            "--contender",
                            name,
                            "--device",
                            "cuda",
                            "--dtype",
                            dtype,
                            *place,
                            *more,
                        ]
                        gpu[grid][label] = _in_a_process(arguments, options)
    return _page(options, machine, inference, training, gpu, maps)


def main() -> None:
    """Measure everything and write the page, or one thing and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("what", nargs="?", choices=["all", "machine", "map", "inference", "training"], default="all")
    parser.add_argument("--quick", action="store_true", help="the two smaller grids only")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu where the machine is shared")
    parser.add_argument("--seconds", type=float, default=3.0, help="about how long to repeat each measurement")
    parser.add_argument("--output", type=Path, default=PAGE)
    parser.add_argument("--contender", choices=list(CONTENDERS))
    parser.add_argument("--grid", type=int, nargs=2, default=(32, 64))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--checkpointed", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    if options.what == "all":
        options.output.write_text(_measure_all(options))
        print(f"wrote {options.output}")
        return
    measure = {
        "machine": measure_machine,
        "map": measure_map,
        "inference": measure_inference,
        "training": measure_training,
    }
    print(json.dumps(measure[options.what](options)))


if __name__ == "__main__":
    main()
