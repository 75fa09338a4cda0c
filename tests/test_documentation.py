"""The examples of the README and of the documentation run as they stand."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).resolve().parents[1]


def _readme() -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", (_ROOT / "README.md").read_text(), re.DOTALL))


def _page(name: str) -> str:
    text = (_ROOT / "docs" / name).read_text()
    blocks = re.findall(r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)", text)
    return "\n".join(textwrap.dedent(block) for block in blocks)


@pytest.mark.parametrize(
    "code",
    [
        _readme(),
        *map(_page, ("quickstart.rst", "evaluation.rst", "convergence.rst", "gram_space.rst", "images.rst")),
    ],
    ids=["README", "quickstart", "evaluation", "convergence", "gram-space", "images"],
)
def test_examples_run_as_they_stand(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "import" in code
    names: dict[str, Any] = {}
    exec(compile(code, "example", "exec"), names)
    assert "robust accuracy" in capsys.readouterr().out
    if "started" in names:  # training from random starts: the numbers beside it
        ends = {name: names["started"][name][-1].max(axis=1) for name in ("robust_coef", "nonrobust_coef")}
        assert ends["robust_coef"].min().round(1) == 2.9 and ends["robust_coef"].max().round(1) == 3.1
        assert ends["nonrobust_coef"].min().round(1) == 1.2 and ends["nonrobust_coef"].max().round(1) == 1.9


def test_readme_commands_are_commands_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    from featsim.cli import main

    named = set(re.findall(r"^featsim (\w+)", (_ROOT / "README.md").read_text(), re.MULTILINE))
    assert main(["--help"]) == 0
    shown = capsys.readouterr()
    assert named
    for command in named:
        assert re.search(rf"^    {command}\b", shown.out + shown.err, re.MULTILINE)


def test_links_to_the_reference_lead_somewhere() -> None:
    import featsim

    listed = {f"{room}.{name}" for name, room in featsim._PUBLIC.items()}
    pages = [*(_ROOT / "docs").glob("*.rst"), *(_ROOT / "experiments").glob("plot_*.py")]
    for page in pages:
        for role, target in re.findall(r":(func|class|meth|attr):`~?(featsim[^`]+)`", page.read_text()):
            name = target.rpartition(".")[0] if role in ("meth", "attr") else target
            assert name in listed, f"{page.name} links to {target}, which the reference does not list"


@pytest.mark.parametrize("name", ["structured-data/S1", "purification/C", "cgro/A", "convergence/S1"])
def test_recorded_quantities_are_documented(name: str) -> None:
    from featsim.scenarios import get_scenario

    scenario = get_scenario(name).with_settings({"adversarial.schedule.n_steps": 2})
    pages = "".join((_ROOT / "docs" / page).read_text() for page in ("traces.rst", "convergence.rst"))
    for quantity in scenario.run("adversarial", seed=0):
        base = re.sub(r"^(fresh_)?(clean|fixed|worst|attacked)_accuracy$", r"\2_loss", quantity)
        base = re.sub(r"^fresh_(?:clean|fixed|worst|attacked)_loss$", "fresh_clean_loss", base)
        assert f"``{base}``" in pages, f"{quantity} is recorded by {name} but documented nowhere"
