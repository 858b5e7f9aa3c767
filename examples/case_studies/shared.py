"""What the case studies have in common: their data and command line, their figures, and the results on their pages."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import xarray as xr
import yaml

import xfaconv
from xfaconv.download import Remote, fetch
from xfaconv.names import region_title


def command_line(description: str | None) -> argparse.Namespace:
    """Read where the data are and where the figures go."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the joined files; else public files, or the sample")
    parser.add_argument("--out", type=Path, default=Path("docs/case-studies"), help="folder of the figures")
    parser.add_argument("--model", help="name or file of a model, instead of the usual one")
    parser.add_argument("--samples", type=int, default=4, help="steps of each phase whose contributions are computed")
    parser.add_argument("--kept", type=Path, help="folder of results that are kept, and read where they are there")
    arguments = parser.parse_args()
    mpl.use("Agg")
    arguments.out.mkdir(parents=True, exist_ok=True)
    return arguments


def public_files(name: str) -> list[Path]:
    """Download the public files of a case study, once, and verify their hashes: `sources.yaml` has their addresses."""
    entry = yaml.safe_load((Path(__file__).parent / "sources.yaml").read_text(encoding="utf-8"))[name]
    return [
        fetch(Remote(Path(file).stem, entry["address"] + file, sha256), folder="case-studies", suffix=".nc")
        for file, sha256 in entry["files"].items()
    ]


def peru(folder: Path | None) -> xr.Dataset:
    """Monthly ERA5 fields over Peru, 1960 to 2015: one public file for each year."""
    if folder is not None:
        return xr.open_dataset(folder / "era5-monthly-peru-1960-2015.nc").load()
    years = [xr.open_dataset(path).load() for path in public_files("peru")]
    return xr.concat(years, "time", data_vars="minimal", coords="minimal", compat="override", join="exact")


def north_atlantic(folder: Path | None) -> xr.Dataset:
    """Daily ERA-Interim fields (12 UTC) of the eastern Atlantic and Europe, 2000 to 2009: a file for each variable."""
    if folder is not None:
        return xr.open_dataset(folder / "erai-daily-natl-2000-2009.nc").load()
    joined = xr.merge([xr.open_dataset(path).load() for path in public_files("north-atlantic")], join="exact")
    names = {"t": "t850", "z": "z500"}
    return joined.rename(names).sel(time=slice("2000", "2009")).drop_attrs(deep=False)


def globe(folder: Path | None) -> xr.Dataset:
    """Monthly OISST and NCEP/NCAR fields of the globe, 1981 to 2018; the sample where no folder is given."""
    if folder is None:
        return xfaconv.tutorial.open_dataset("ncep-oisst", chunks=None).load()
    return xr.open_dataset(folder / "ncep-oisst-monthly-global-1981-2018.nc").load()


def save(path: Path) -> None:
    """Write the figure that was just drawn, and close it."""
    plt.gcf().savefig(path, dpi=110, bbox_inches="tight")
    plt.close("all")
    print(f"wrote {path}")


def loaded(name: str) -> xfaconv.Model:
    """Load a model by name or file, and print which weights it has."""
    model = xfaconv.load_model(name)
    print(
        f"model: {model.card.name}, weights {model.sha256[:12]}, {model.card.grid.shape[0]}x{model.card.grid.shape[1]}"
    )
    return model


def answered(
    page: str,
    ds: xr.Dataset,
    questions: Mapping[str, dict[str, Any]],
    model: xfaconv.Model,
    arguments: argparse.Namespace,
) -> dict[str, xr.Dataset]:
    """Answer the questions of a page, draw the first of them, and write the results into the page.

    Parameters
    ----------
    page : str
        Name of the page, without its ending.
    ds : Dataset
        The record.
    questions : mapping of str to dict
        Arguments of `xfaconv.teleconnection`, by the words of the question.
    model : Model
        The model.
    arguments : Namespace
        From `command_line`.

    Returns
    -------
    dict of str to Dataset
        The answers, by the words of the question.
    """
    found = {}
    for number, (words, question) in enumerate(questions.items(), 1):
        name = f"{page}-{number}-{model.sha256[:12]}.nc"
        if arguments.kept is not None and (arguments.kept / name).exists():
            found[words] = xr.load_dataset(arguments.kept / name)
        else:
            options = {"stride": 2, "samples": arguments.samples, "model": model, **question}
            found[words] = xfaconv.teleconnection(ds, **options)
            if arguments.kept is not None:
                arguments.kept.mkdir(parents=True, exist_ok=True)
                found[words].to_netcdf(arguments.kept / name)
        print(f"\n{words}: {answer(found[words])}\n{found[words].attrs['sentence']}", flush=True)
    first = next(iter(questions))
    xfaconv.plot_teleconnection(found[first], title=first)
    save(arguments.out / f"{page.replace('-', '_')}.png")
    write_results(arguments.out / f"{page}.md", results(found, model))
    return found


def answer(found: xr.Dataset) -> str:
    """Say whether unseen steps show that the value is known, and by what, and which of the two is better."""
    network, linear = (found.sel(prediction=name) for name in ("network", "linear"))
    known = [name for name, one in (("network", network), ("linear answer", linear)) if float(one.correlation_low) > 0]
    low, high = (float(linear[f"correlation_difference_{end}"]) for end in ("low", "high"))
    better = "network" if low > 0 else "linear answer" if high < 0 else "neither"
    said = {0: "no", 1: f"yes, by the {' and '.join(known)} alone", 2: "yes"}[len(known)]
    return f"{said}; better: {better}"


def results(found: Mapping[str, xr.Dataset], model: xfaconv.Model) -> str:
    """Write the results of a page: the scores, what the phases differ by, and the sentence of each question."""
    lines = [
        f"Weights `{model.sha256[:12]}`. Correlation on unseen steps, with its 95% interval from a block bootstrap:",
        "",
        "| question | known? | network | linear answer | regression on the index | better |",
        "|---|---|---|---|---|---|",
    ]
    for words, one in found.items():
        known, better = answer(one).split("; better: ")
        scores = " | ".join(_score(one, name) for name in ("network", "linear", "index"))
        lines.append(f"| {words} | **{known}** | {scores} | {better} |")
    lines += [
        "",
        "Difference between the phases, and the sums of the network's contributions to it, with 95% intervals:",
        "",
    ]
    lines += ["| question | phases | observed | network | sums by region |", "|---|---|---|---|---|"]
    for words, one in found.items():
        part, units = one.sel(phase="difference"), one.attrs["units"]
        sums = part.by_region.sum("variable")
        by_region = "; ".join(
            f"{region_title(str(region))} {float(value):.2g} ({float(low):.2g} to {float(high):.2g})"
            for region, value, low, high in zip(
                sums.region.values, sums.values, one.by_region_low.values, one.by_region_high.values, strict=True
            )
        )
        inferred, seen = float(part.mean_predicted.sel(prediction="network")), float(part.mean_observed)
        lines.append(f"| {words} | {one.attrs['phases']} | {seen:.3g} {units} | {inferred:.3g} {units} | {by_region} |")
    lines += ["", "What may be claimed, as `teleconnection` writes it:", ""]
    lines += ["\n>\n".join(f"> *{words}.* {one.attrs['sentence']}" for words, one in found.items())]
    return "\n".join(lines)


def _score(found: xr.Dataset, name: str) -> str:
    if name not in found.prediction:
        return "none"
    one = found.sel(prediction=name)
    return "{:.2f} ({:.2f} to {:.2f})".format(
        *(float(one[score]) for score in ("correlation", "correlation_low", "correlation_high"))
    )


def write_results(page: Path, text: str) -> None:
    """Put the results between the two marks of a page, where the page is there."""
    if not page.exists():
        return
    whole = re.sub(
        r"(<!-- results: begin -->\n).*?(<!-- results: end -->)",
        lambda marks: f"{marks[1]}\n{text}\n\n{marks[2]}",
        page.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    page.write_text(whole, encoding="utf-8")
    print(f"wrote {page}")
