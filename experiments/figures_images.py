"""Draw the figures on real images for every set whose files are found in a folder.

``python experiments/figures_images.py --data DIR``; ``make figures-images DATA=DIR`` calls this. A set that
is not there is left out and named; nothing is downloaded. Mind the terms of use of a set before you publish
its pictures (``featsim data list``).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from featsim.images import data_root, is_available

FEATURES = ("images_digits", "images_features", "images_directions")
NETWORKS = ("images_purification", "images_complexity", "images_low_rank")
JOBS: dict[str, tuple[str, tuple[str, ...]]] = {
    "digits": ("digits", (*FEATURES, *NETWORKS, "images_lazy")),
    "digits-linf": ("digits", FEATURES),
    "digits-whole": ("digits", FEATURES),
    "mnist14": ("mnist", (*FEATURES, *NETWORKS, "images_lazy", "images_overfitting")),
    "mnist14-parity": ("mnist", NETWORKS),
    "fashion14": ("fashion-mnist", (*FEATURES, *NETWORKS, "images_overfitting")),
    "cifarg16": ("cifar10", ("images_directions",)),
    "cifar10": ("cifar10", FEATURES),
    "svhn": ("svhn", FEATURES),
}
"""Setting -> image set it needs, and the figures that are drawn for it."""


def main() -> int:
    """Draw; exit status 1 if a figure failed or no set was found."""
    parser = argparse.ArgumentParser(description="Draw the figures on real images.")
    parser.add_argument("--data", type=Path, help="folder of image files (default: FEATSIM_DATA, or cache)")
    parser.add_argument("--figures", type=Path, default=Path("figures/images"))
    parser.add_argument("--results", type=Path, default=Path("results/images"))
    parser.add_argument("--only", action="append", choices=tuple(JOBS), help="only this setting (repeat)")
    parser.add_argument("--quick", action="store_true", help="test size")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args()
    root = data_root(options.data)
    settings = options.only or [name for name in JOBS if not name.startswith("digits")]
    absent = sorted({JOBS[name][0] for name in settings if not is_available(JOBS[name][0], root)})
    for name in absent:
        print(f"{name}: no files in {root}; `featsim data fetch {name}` gets them", file=sys.stderr)
    here, failed, drawn = Path(__file__).parent, [], 0
    for setting in settings:
        needed, figures = JOBS[setting]
        for figure in figures if needed not in absent else ():
            script = here / f"plot_{figure}.py"
            if not script.is_file():  # drawn on real sets only, and no part of `make figures`
                script = here / f"{figure}.py"
            command = [sys.executable, str(script), "--images", setting]
            command += ["--figures", str(options.figures), "--results", str(options.results)]
            command += ["--jobs", str(options.jobs), *(["--quick"] if options.quick else [])]
            begin = time.monotonic()
            environment = {**os.environ, "FEATSIM_DATA": str(root.resolve())}
            code = subprocess.run(command, env=environment, check=False).returncode
            print(f"{figure} {setting}: {'drawn' if code == 0 else 'FAILED'} "
                  f"({time.monotonic() - begin:.0f} s)")  # fmt: skip
            drawn += code == 0
            failed += [f"{figure} {setting}"] if code else []
    print(f"{drawn} figures in {options.figures}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed or not drawn else 0


if __name__ == "__main__":
    sys.exit(main())
