"""Small networks, trained in seconds, find drivers where correlation is misleading, and follow them in time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from benchmarks import worlds as script


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "_SAMPLES", 24)


@pytest.mark.usefixtures("few_samples")
@pytest.mark.timeout(1200)  # seconds of one core, longer on a busy machine
def test_a_common_driver_is_told_from_what_it_drives_too() -> None:
    case = script.prepare("common driver", 0, days=4000, degrees=30.0, updates=150, batch=16, noise=0.5)
    found = script.score(case, script.attribution(case))
    plain = script.score(case, script.correlation(case))
    assert found["confounded"] >= script.THRESHOLDS["AUROC against confounded regions, attribution"]
    assert found["confounded"] > plain["confounded"] + 0.1
    assert found["in_time"] > 0.75
    assert found["share"] > plain["share"]


@pytest.mark.usefixtures("few_samples")
@pytest.mark.timeout(1200)
def test_links_of_a_season_are_followed_in_time() -> None:
    case = script.prepare("season", 5, days=4000, degrees=30.0, updates=150, batch=16, window=2)
    found = script.score(case, script.attribution(case))
    plain = script.score(case, script.correlation(case))
    assert found["confounded"] > plain["confounded"] + 0.1
    assert found["size"] < 0.6 < 1 < plain["size"]
    assert found["in_time"] > script.THRESHOLDS["correlation in time with the true contribution, attribution"]


def test_verdicts_and_tables_say_what_is_not_reached() -> None:
    good = {"auroc": 1.0, "confounded": 0.95, "share": 0.8, "in_time": 0.9, "cpu_seconds": 30.0}
    bad = {"auroc": 0.9, "confounded": 0.5, "share": 0.2, "false": 0.3, "cpu_seconds": 0.1}
    network = {"skill": 0.9, "cpu_seconds": 25.0}
    results = {
        name: [dict.fromkeys(script.OTHERS, bad) | {"attribution": good, "network": network}] for name in script.WORLDS
    }
    assert all(script.verdicts(results).values())
    results["chain"][0]["attribution"] = good | {"confounded": 0.6}
    results["season"][0]["attribution"] = good | {"in_time": 0.4}
    failed = [words for words, met in script.verdicts(results).items() if not met]
    assert [words.partition(":")[0] for words in failed] == ["chain", "season"]
    lines = script.tables(results)
    assert sum("**no**" in line for line in lines) == 2
    assert any(line.startswith("| attribution |") and "0.95" in line for line in lines)


def test_the_score_of_the_truth_is_perfect_and_that_of_its_opposite_is_not() -> None:
    data, truth = script.world("chain", 60)
    case = script.Case(data, truth, None, data, slice(0, None))  # type: ignore[arg-type]
    drivers = truth.region[truth.role == "driver"].values
    right = truth.footprint.sel(region=drivers).sum("region")
    found = script.score(case, script.Answer(right, truth.contribution, right > 0.05))
    assert found["auroc"] == pytest.approx(1)
    assert found["confounded"] == pytest.approx(1)
    assert found["in_time"] == pytest.approx(1)
    assert found["share"] > 0.8
    assert found["false"] < 0.05
    assert script.score(case, script.Answer(-right))["confounded"] == pytest.approx(0, abs=1e-6)
    parts = [mask.values for mask in case.surroundings.values()]
    assert np.sum(parts, axis=0).max() == 1
