"""The notebooks run as they are in git, offline, and what their prose says of the results is true."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from socket import socket

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: pip install nbclient ipykernel")
pytest.importorskip("ipykernel", reason="ipykernel is not installed: pip install nbclient ipykernel")
NotebookClient = pytest.importorskip("nbclient").NotebookClient

FOLDER = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

# A proxy that nobody listens at: whatever asks for the network fails at once.
OFFLINE = "import os\nos.environ |= dict.fromkeys(('http_proxy', 'https_proxy', 'all_proxy'), 'http://127.0.0.1:9')\n"

# Every second row and column where a call does not say otherwise: a fifth of the time. What is claimed below holds on
# both grids, but for the differences of skill in FINE.
FINE = {"07-embeddings-to-scikit-learn"}
COARSE = "from xfaconv.arguments import DEFAULTS\nDEFAULTS['stride'] = 2\n"

# What is changed before a notebook runs.
STAND_INS = {
    "03-enso-teleconnections": [('"stride": 2', '"stride": 4')],
    "07-embeddings-to-scikit-learn": [("embed(model=untrained)", "embed(model=untrained, stride=2)")],
}

# What the prose says, as a last cell that runs where the results are.
CLAIMS = {
    "01-first-steps": """
        assert same and int((~out.full_warmup).sum()) == 12 and warm.sizes["time"] == out.sizes["time"] - 12
        assert float(abs(warm.attention.sum(("lat", "lon")) - 1).max()) < 1e-4
        assert float(warm.importance.std("time").max()) > 0.01
        measured = xfaconv.load_model("ncep-monthly-2p5deg").card.metrics
        assert 0 < measured["hidden_sectors"]["all"] - measured["hidden_sectors_linear"]["all"] < 0.03
        assert max(measured["hidden_sectors"][name] for name in ("v200", "sst")) < 0.25
        assert measured["attention_variance_in_time"] > 0.6
        alone = measured["interpolation_alone"]["hidden_sectors"]["all"]
        assert 0 < measured["hidden_sectors"]["all"] - alone < 0.03
    """,
    "02-your-own-era5-file": """
        assert maps.lon.values[0] == -180 and embedding.dims == ("time", "embedding")
    """,
    "03-enso-teleconnections": """
        assert value < 0 > observed and abs(summed - value) < 0.1
        network = found.sel(prediction="network")
        assert float(network.correlation_low) > 0 and "fitted to 36 training steps" in found.attrs["sentence"]
        difference = found.sel(phase="difference").by_region.sum("variable")
        assert float(difference.sel(region="tropical_pacific")) < 0
        assert float(found.by_region_high.sel(region="tropical_pacific")) < 0  # distinguishable from zero
    """,
    "04-weather-regimes": """
        assert int(choice.suggested) == 0 and float(found.p_value) > 0.05
        assert not (found.label[embedding.full_warmup.values] == 0).any() and not maps.significant.any()
    """,
    "05-fit-on-your-region": """
        beaten = pd.DataFrame(skill).T["over damped persistence"]
        assert ((beaten > 0.9) & (beaten < 1.1)).all() and again.sha256 == model.sha256
        assert float(xfaconv.plot.relative_to_uniform(attention).mean("time").max()) < 2
    """,
    "06-decade-with-dask-distributed": """
        assert difference < 1e-6 and warm.sizes["time"] == 24 and bool((warm == stored.embeddings).all())
    """,
    "07-embeddings-to-scikit-learn": """
        table = pd.Series(skill).unstack()
        now = table.loc[("Niño 3.4", "0 months ahead")]
        chance = np.tanh(1.96 / np.sqrt(float(analysis.effective_sample_size(*[indices["Niño 3.4"]] * 2)) - 3))
        assert now["EOF components"] > now["embedding"] > chance > now["untrained"]
        later = table.loc[("NAO", "3 months ahead")]
        assert later.max() < spread  # the last to be printed is that of the NAO
        ahead = table["EOF components"] - table["embedding"]
        assert ahead.drop(("NAO", "3 months ahead")).min() > 0
        assert ahead.xs("0 months ahead", level=1)["NAO"] > 0.1 > ahead.xs("0 months ahead", level=1)["Niño 3.4"]
    """,
}


def executed(notebook: Path, folder: Path, *, last: str = "") -> nbformat.NotebookNode:
    """Run a notebook in a folder of its own, with one more cell at its end."""
    content = nbformat.read(notebook, 4)
    for text, instead in STAND_INS.get(notebook.stem, []):
        assert any(text in cell.source for cell in content.cells), text
        for cell in content.cells:
            cell.source = cell.source.replace(text, instead)
    content.cells.insert(0, nbformat.v4.new_code_cell(OFFLINE + COARSE * (notebook.stem not in FINE)))
    content.cells.append(nbformat.v4.new_code_cell(last))
    client = NotebookClient(content, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    return client.execute(env={**_environment(), "MPLBACKEND": "module://matplotlib_inline.backend_inline"})


def _environment() -> dict[str, str]:
    paths = [str(FOLDER.parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path), "OMP_NUM_THREADS": "1"}


def outputs(content: nbformat.NotebookNode, kind: str) -> str:
    """Everything that was printed to one stream."""
    found = (output for cell in content.cells for output in cell.get("outputs", []))
    return "".join(output.text for output in found if output.output_type == "stream" and output.name == kind)


def test_there_is_a_claim_for_each_notebook():
    assert [path.stem for path in NOTEBOOKS] == list(CLAIMS)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(notebook):
    content = nbformat.read(notebook, 4)
    nbformat.validate(content)
    code = [cell for cell in content.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_says_the_truth(notebook, tmp_path):
    claims = "\n".join(line.strip() for line in CLAIMS[notebook.stem].splitlines())
    with socket() as held:
        # Another cluster of the machine has the usual port of dashboards: the notebooks do not ask for it.
        with suppress(OSError):
            held.bind(("", 8787))
            held.listen()
        content = executed(notebook, tmp_path, last=claims)
    complaints = [line for line in outputs(content, "stderr").splitlines() if "Warning" in line or "ERROR" in line]
    # Zarr says of its own format that it is not final.
    assert [line for line in complaints if "ZarrUserWarning" not in line] == []
    if notebook.stem.startswith("02"):
        differences = [
            float(value) for value in re.findall(r"largest difference: ([\d.e-]+)", outputs(content, "stdout"))
        ]
        same, without, packed, *others = differences
        assert max(same, *others) < 1e-4
        assert packed < 0.02 < 0.1 < without
