"""Running the command inside the test process, on a setting that takes milliseconds."""

from collections.abc import Callable

import pytest

from featsim.cli import main

Run = Callable[..., tuple[int, str, str]]

SMALL = ["n_nonrobust_patches=3", "width=2", "standard.schedule.n_steps=6", "adversarial.schedule.n_steps=5"]


@pytest.fixture
def featsim(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command; give exit status, standard output and standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def small_run(featsim: Run) -> Run:
    """Run S1 at a tiny size, without evaluation and progress unless asked for."""

    def run(*words: object, changes: tuple[str, ...] = (), evaluation: bool = False) -> tuple[int, str, str]:
        options = ["--quiet", *([] if evaluation else ["--no-evaluation"])]
        return featsim("run", "structured-data/S1", *words, *options, "--set", *SMALL, *changes)

    return run
