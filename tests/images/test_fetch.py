"""Downloads, from a server of our own on the loopback."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import http.server
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import image_files as files

from featsim.images import fetch, load
from featsim.images.published import PUBLISHED

IMAGES, LABELS = files.grey(5)
GOOD = {
    f"{part}-{kind}-ubyte.gz": gzip.compress(files.idx_bytes(array), mtime=0)
    for part in ("train", "t10k")
    for kind, array in (("images-idx3", IMAGES), ("labels-idx1", LABELS))
}


@pytest.fixture
def server():
    """A server whose answers the test chooses; yields its address, the answers and what was asked for."""
    answers: dict[str, bytes] = {}
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = answers.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # the client may have had enough
                self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}", answers, asked
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture
def published(server, monkeypatch):
    """MNIST as if these small files were the published ones, on two mirrors of the server."""
    address, answers, asked = server
    downloads = tuple(
        dataclasses.replace(
            file,
            sha256=hashlib.sha256(GOOD[file.name]).hexdigest(),
            size=len(GOOD[file.name]),
            mirrors=(f"{address}/one/{file.name}", f"{address}/two/{file.name}"),
        )
        for file in PUBLISHED["mnist"].downloads
    )
    monkeypatch.setitem(PUBLISHED, "mnist", dataclasses.replace(PUBLISHED["mnist"], downloads=downloads))
    monkeypatch.delenv("FEATSIM_MIRROR", raising=False)
    return address, answers, asked


def serve(answers, mirror, **changed):
    answers.update({f"/{mirror}/{name}": data for name, data in GOOD.items()})
    answers.update({f"/{mirror}/{name}": data for name, data in changed.items()})


def quiet():
    import pooch

    pooch.get_logger().setLevel("CRITICAL")


@pytest.fixture
def with_pooch():
    pytest.importorskip("pooch", reason="needs pooch: pip install featsim[images]")
    quiet()


def test_the_first_mirror_with_the_right_file(tmp_path, published, with_pooch):
    _, answers, asked = published
    serve(answers, "one")
    paths = fetch("mnist", tmp_path)
    assert [path.read_bytes() for path in paths] == [GOOD[path.name] for path in paths]
    assert sorted(path.name for path in (tmp_path / "mnist").iterdir()) == sorted(GOOD)
    found = load("mnist", root=tmp_path)
    assert found.official is True and found.n_images == 5
    assert all(path.startswith("/one/") for path in asked)
    asked.clear()
    fetch("mnist", tmp_path)  # everything is there
    assert asked == []


@pytest.mark.parametrize("fault", ["wrong", "oversized", "absent"])
def test_a_bad_mirror_is_passed_over(tmp_path, published, with_pooch, fault):
    _, answers, asked = published
    name = "train-images-idx3-ubyte.gz"
    bad = {"wrong": GOOD[name][:-1] + b"x", "oversized": GOOD[name] + bytes(5_000_000), "absent": None}[fault]
    serve(answers, "two")
    serve(answers, "one")
    if bad is None:
        del answers[f"/one/{name}"]
    else:
        answers[f"/one/{name}"] = bad
    found = load("mnist", root=tmp_path, download=True)
    assert found.official is True
    assert f"/two/{name}" in asked
    assert sorted(path.name for path in (tmp_path / "mnist").iterdir()) == sorted(GOOD)


def test_when_all_fail_one_error_says_what_to_do(tmp_path, published, with_pooch):
    address, answers, _ = published
    serve(answers, "one", **{"train-images-idx3-ubyte.gz": b"wrong"})
    with pytest.raises(OSError, match="could not be downloaded") as caught:
        load("mnist", root=tmp_path, download=True)
    text = str(caught.value)
    for part in (f"{address}/one", f"{address}/two", "sha256", str(tmp_path / "mnist")):
        assert part in text
    assert "\n" not in text
    assert list(tmp_path.iterdir()) == []  # no folder, no half a file


def test_a_mirror_of_the_users(tmp_path, published, with_pooch, monkeypatch):
    address, answers, asked = published
    serve(answers, "own")
    fetch("mnist", tmp_path / "a", mirror=f"{address}/own/")
    assert all(path.startswith("/own/") for path in asked)
    monkeypatch.setenv("FEATSIM_MIRROR", f"{address}/own")
    fetch("mnist", tmp_path / "b")
    assert all(path.startswith("/own/") for path in asked)


def test_other_files_are_not_overwritten(tmp_path, published):
    files.write(tmp_path / "mnist/train-images-idx3-ubyte.gz", b"mine")
    with pytest.raises(ValueError, match="must have sha256 .* or be absent"):
        fetch("mnist", tmp_path)
    assert (tmp_path / "mnist/train-images-idx3-ubyte.gz").read_bytes() == b"mine"


def test_without_pooch_the_error_says_what_to_put_where(tmp_path, published, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(OSError, match=r"pooch must be installed.*featsim\[images\].*put into"):
        fetch("mnist", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unusable_folder(tmp_path, published, with_pooch):
    (tmp_path / "mnist").write_text("in the way")
    with pytest.raises(ValueError, match="name must be one of"):
        fetch("digits", tmp_path)
    with pytest.raises(OSError, match="must be a folder that can be written|Not a directory"):
        fetch("mnist", tmp_path)
