"""What `import xfaconv` adds to `import xarray` in fresh processes: milliseconds, ratio, heavy packages it pulls."""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys

REPEATS = 9
HEAVY = ("torch", "matplotlib", "cartopy", "sklearn", "scipy")
CODE = f"""
import json, sys, time
start = time.perf_counter()
import xarray
middle = time.perf_counter()
import xfaconv
end = time.perf_counter()
print(json.dumps([middle - start, end - middle, [name for name in {HEAVY} if name in sys.modules]]))
"""


def main() -> None:
    """Print one line; the bar is 60 ms on an idle machine."""
    runs = [json.loads(subprocess.check_output([sys.executable, "-c", CODE])) for _ in range(REPEATS)]  # noqa: S603
    xarray, ours = (statistics.median(run[place] for run in runs) for place in (0, 1))
    least = min(run[1] for run in runs)
    pulled = sorted({name for *_, names in runs for name in names})
    print(
        f"import xarray {xarray * 1e3:.0f} ms, import xfaconv adds {ours * 1e3:.0f} ms (least {least * 1e3:.0f} ms), "
        f"ratio {ours / xarray:.3f}; heavy packages pulled: {', '.join(pulled) or 'none'}; "
        f"{REPEATS} fresh processes, medians, Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
