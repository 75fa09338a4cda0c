"""``featsim data``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from featsim.cli.parser import FAILED, OK, add_command, check_name, print_json


def register(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "data",
        data,
        """
        featsim data list
        featsim data fetch mnist --root ~/data
        featsim data verify ~/data
        """,
    )
    parser.add_argument("action", choices=("list", "fetch", "verify"), help="what to do")
    parser.add_argument(
        "name", nargs="?", metavar="NAME|ROOT", help="image set to fetch, or folder to list or verify"
    )
    parser.add_argument(
        "--root", metavar="DIR", help="folder of image files (default: FEATSIM_DATA, or cache)"
    )
    parser.add_argument("--mirror", metavar="URL", help="fetch: an address to try first")
    parser.add_argument("--quiet", action="store_true", help="fetch: draw no progress bar")
    parser.add_argument("--json", action="store_true", help="list, verify: as JSON")


def data(args: argparse.Namespace) -> int:
    """List, download or check the files of the image sets.

    `list` says which sets are there and where they are looked for, `fetch NAME` downloads the published
    files of a set (needs pooch: pip install 'featsim[images]') and is the only action that uses the
    network, `verify [ROOT]` reads every file that is there and compares published checksums; exit status 1
    means that one is damaged.
    """
    actions = {"list": _list, "fetch": _fetch, "verify": _verify}
    return actions[args.action](args)


def _root(args: argparse.Namespace) -> str | None:
    if args.name is not None and args.root is not None:
        raise ValueError(f"ROOT must be given once, got {args.name!r} and --root {args.root!r}")
    found: str | None = args.name if args.name is not None else args.root
    if found is not None and args.action != "fetch" and not Path(found).expanduser().is_dir():
        raise ValueError(f"ROOT must be a folder of image files, got {found!r}, which is none")
    return found


def _list(args: argparse.Namespace) -> int:
    from featsim.images import SETS, data_root, is_available
    from featsim.images.published import PUBLISHED

    root = data_root(_root(args))
    rows = []
    for name in SETS:
        entry = PUBLISHED.get(name)
        rows.append(
            {
                "name": name,
                "title": "Optical Recognition of Handwritten Digits (embedded)"
                if entry is None
                else entry.title,
                "published": "1300 + 497" if entry is None else "{} + {}".format(*entry.counts),
                "available": is_available(name, root),
                "licence": "CC BY 4.0" if entry is None else entry.licence,
            }
        )
    if args.json:
        print_json({"root": str(root), "sets": rows})
        return OK
    print(f"image files are looked for in {root} (choose with --root or FEATSIM_DATA)")
    for row in rows:
        state = "there" if row["available"] else f"absent; `featsim data fetch {row['name']}`"
        print(
            f"{row['name']:<14} {row['title']}: {row['published']} images; licence: {row['licence']}; {state}"
        )
    return OK


def _fetch(args: argparse.Namespace) -> int:
    from featsim.images import fetch
    from featsim.images.published import PUBLISHED

    if args.name is None:
        raise ValueError(f"fetch must be given the name of an image set: {', '.join(PUBLISHED)}")
    name = check_name("image set", args.name, tuple(PUBLISHED))
    for path in fetch(name, args.root, mirror=args.mirror, progress=not args.quiet):
        print(path)
    print(f"terms of use of {PUBLISHED[name].title}: {PUBLISHED[name].licence}")
    return OK


def _verify(args: argparse.Namespace) -> int:
    from featsim.images import data_root, verify

    root = _root(args)
    reports = verify(root)
    if args.json:
        print_json([vars(report) for report in reports])
    else:
        print(f"image files in {data_root(root)}")
        for report in reports:
            counted = f"{report.n_images:6d} images, {report.words}: " if report.state == "intact" else ""
            print(f"{report.name:<14} {report.split:<5} {report.state:<8} {counted}{report.source}".rstrip())
    return FAILED if any(report.state == "damaged" for report in reports) else OK
