"""Options: validated, local to the context, and given back."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

import xfaconv
from xfaconv.errors import ArgumentError
from xfaconv.options import get_options, set_options


@pytest.fixture(autouse=True)
def unchanged() -> object:
    before = get_options()
    yield
    assert get_options() == before


def test_a_block_gives_the_options_back() -> None:
    with set_options(device="cuda:1", threads=3):
        assert get_options()["device"] == "cuda:1"
        with set_options(threads=None):
            assert get_options()["threads"] is None
        assert get_options()["threads"] == 3
    assert get_options()["device"] == "auto"


def test_a_block_that_fails_gives_the_options_back() -> None:
    with pytest.raises(ZeroDivisionError), set_options(progress=True):
        raise ZeroDivisionError
    assert get_options()["progress"] is False


def test_a_call_holds_until_the_next() -> None:
    undo = set_options(missing="raise")
    assert get_options()["missing"] == "raise"
    undo.__exit__(None, None, None)


def test_a_block_gives_back_only_what_it_changed() -> None:
    with set_options(threads=2):
        undo = set_options(missing="propagate")
        with set_options(progress=True):
            pass
        assert get_options()["missing"] == "propagate"
        undo.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("device", value) for value in ("gpu", "cuda:", "cuda:x", "", 0, None)),
        *(("threads", value) for value in (0, -1, 1.0, "2", True)),
        *(("missing", value) for value in ("drop", None, True)),
        *(("absent", value) for value in ("fill", None)),
        *(("progress", value) for value in (1, "yes", None)),
        *(("cache", value) for value in ("", 3, True)),
    ],
)
def test_a_value_that_is_not_accepted_changes_nothing(name: str, value: object) -> None:
    with pytest.raises(ArgumentError, match=name) as caught:
        set_options(threads=7, **{name: value}) if name != "threads" else set_options(progress=True, threads=value)
    assert caught.value.found == repr(value)
    assert f"set_options({name}=" in caught.value.fix


@pytest.mark.parametrize(
    ("name", "value"),
    [("device", "cuda"), ("device", "mps"), ("threads", 1), ("missing", "propagate"), ("absent", "climatology")],
)
def test_a_value_that_is_accepted_is_kept(name: str, value: object) -> None:
    with set_options(**{name: value}):
        assert get_options()[name] == value


def test_a_cache_folder_is_a_path_with_the_home_folder_filled_in() -> None:
    with set_options(cache="~/somewhere"):
        assert get_options()["cache"] == Path.home() / "somewhere"


def test_an_unknown_option_is_named_with_the_nearest() -> None:
    with pytest.raises(ArgumentError, match="'thread' is unknown") as caught:
        set_options(thread=2)
    assert caught.value.fix == "xfaconv.set_options(threads=None)"
    with pytest.raises(ArgumentError) as caught:
        set_options(xyz=2)
    assert "get_options" in caught.value.fix


def test_the_options_given_out_are_a_copy() -> None:
    get_options()["device"] = "cuda"
    assert get_options()["device"] == "auto"


def test_threads_do_not_see_each_others_options() -> None:
    barrier, seen = threading.Barrier(8), {}

    def work(number: int) -> None:
        with set_options(threads=number):
            barrier.wait()
            seen[number] = get_options()["threads"]
            barrier.wait()

    workers = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert seen == {number: number for number in range(1, 9)}


def test_asynchronous_tasks_do_not_see_each_others_options() -> None:
    async def work(number: int) -> int | None:
        with set_options(threads=number):
            await asyncio.sleep(0.01)
            return get_options()["threads"]

    async def main() -> list[int | None]:
        return await asyncio.gather(*(work(number) for number in range(1, 6)))

    assert asyncio.run(main()) == [1, 2, 3, 4, 5]


def test_the_package_offers_the_same_functions() -> None:
    assert xfaconv.set_options is set_options
    assert xfaconv.get_options is get_options
