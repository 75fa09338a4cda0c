"""Finished files: what is written comes back, and what was changed is refused."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featsim.traces import Trace, TraceError, check_writable, load_trace
from featsim.traces.files import atomic_write
from featsim.traces.npz import HEADER, read_npz, write_npz

DTYPES = ["?", "i1", "u1", "i4", "i8", "u8", ">i4", "f2", "f4", "f8", ">f8", "U5"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2,), (2, 3), (2, 0), (2, 3, 1, 2)])
def test_every_dtype_and_shape_comes_back(tmp_path, rng, same, dtype, shape):
    values = (rng.integers(0, 2, shape) * 3).astype(dtype)
    axes = {"a": ("step", "b", "c", "d")[: len(shape)], "zero": ()}
    trace = Trace({"steps": [0, 9], "a": values, "zero": np.float64(1 / 3)}, axes)
    same(load_trace(trace.save(tmp_path / "t.npz")), trace)


def test_unusual_values_and_layouts_come_back(tmp_path, same):
    values = np.array([[0.0, -0.0, np.nan], [np.inf, -np.inf, 5e-324]])
    text = np.array(["é", "日本語"])
    trace = Trace(
        {"steps": [0, 1], "a": np.asfortranarray(values), "b": values[:, ::-1], "text": text},
        {"a": ("step", "x"), "b": ("step", "x"), "text": ("step",)},
        message="Zeile\n€",
    )
    loaded = load_trace(trace.save(tmp_path / "t.npz"))
    same(loaded, trace)
    assert loaded["b"].tobytes() == values[:, ::-1].tobytes()
    assert not loaded["a"].flags.writeable


def test_whole_trace_comes_back_and_its_bytes_depend_on_nothing_else(tmp_path, trace, same):
    one, two = trace.save(tmp_path / "new" / "folder" / "one.npz"), trace.save(tmp_path / "two.npz")
    same(load_trace(str(one)), trace)
    assert one.read_bytes() == two.read_bytes()
    assert [path.name for path in one.parent.iterdir()] == ["one.npz"]


def test_file_is_an_ordinary_npz(tmp_path, trace):
    with np.load(trace.save(tmp_path / "t.npz"), allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["robust_coef"], trace["robust_coef"])
        header = json.loads(archive[HEADER].tobytes())
    assert (header["featsim"], header["schema"], header["status"]) == ("trace", 1, "completed")
    assert header["spec"] == trace.spec


@pytest.fixture
def small(tmp_path):
    """A small trace, its file and the bytes of the file."""
    trace = Trace({"steps": [0, 3], "robust_coef": np.arange(4.0).reshape(2, 1, 2)}, spec={"a": 1})
    path = trace.save(tmp_path / "small.npz")
    return trace, path, path.read_bytes()


def test_every_truncation_is_refused(small):
    _, path, whole = small
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(TraceError, match="damaged or cut off|not a featsim trace"):
            load_trace(path)


def test_half_of_a_large_file_is_called_damaged(tmp_path, rng):
    trace = Trace({"steps": np.arange(1000), "rest_norm": rng.normal(size=(1000, 4, 8))})
    path = trace.save(tmp_path / "t.npz")
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(TraceError, match=r"t\.npz is damaged or cut off .*; restore it"):
        load_trace(path)


def test_a_flipped_bit_is_refused_or_harmless(small, same):
    trace, path, whole = small
    refused = 0
    for position in range(len(whole)):
        for bit in (0, 3, 7):
            changed = bytearray(whole)
            changed[position] ^= 1 << bit
            path.write_bytes(changed)
            try:
                loaded = load_trace(path)
            except TraceError:
                refused += 1
            else:
                same(loaded, trace)  # a date or an attribute inside the zip
    data = whole.index(np.arange(4.0).tobytes())
    assert refused > 0.8 * 3 * len(whole)
    changed = bytearray(whole)
    changed[data + 9] ^= 1
    path.write_bytes(changed)
    with pytest.raises(TraceError, match="CRC"):
        load_trace(path)


@settings(max_examples=150)
@given(st.data())
def test_damaged_spans_are_refused_or_harmless(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("span")
    trace = Trace({"steps": [0, 3], "robust_coef": np.arange(4.0).reshape(2, 1, 2)})
    whole = trace.save(folder / "t.npz").read_bytes()
    start = data.draw(st.integers(0, len(whole) - 1))
    stop = data.draw(st.integers(start, min(len(whole), start + 40)))
    changed = whole[:start] + data.draw(st.binary(max_size=40)) + whole[stop:]
    (folder / "t.npz").write_bytes(changed)
    try:
        loaded = load_trace(folder / "t.npz")
    except TraceError:
        return
    assert {name: loaded[name].tolist() for name in loaded} == {name: trace[name].tolist() for name in trace}


def rewrite(path, change):
    """Write the members of an npz again after `change(members)`, with sums that fit: damage by hand."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def edit_json(**changes):
    def change(members):
        header = json.loads(np.load(io.BytesIO(members[HEADER + ".npy"])).tobytes())
        header.update(changes)
        members[HEADER + ".npy"] = npy(np.frombuffer(json.dumps(header).encode(), np.uint8))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit_json(schema=2), "schema version 2; this featsim reads version 1"),
        (edit_json(schema=None), "schema version None"),
        (edit_json(schema=True), "schema version True"),
        (edit_json(featsim="chunk"), "not a featsim trace: it is a featsim chunk"),
        (edit_json(featsim=3), "does not say what it is"),
        (edit_json(arrays=[]), "does not describe its arrays"),
        (edit_json(axes=None), "no usable 'axes'"),
        (edit_json(axes={"steps": ["step"], "robust_coef": ["step", "class"]}), "robust_coef must have axes"),
        (edit_json(axes={"steps": ["step"], "robust_coef": 5}), "damaged"),
        (edit_json(status="perhaps"), "status must be one of"),
        (lambda m: m.pop(HEADER + ".npy"), f"without the member {HEADER}"),
        (lambda m: m.pop("robust_coef.npy"), "not those that its header lists"),
        (lambda m: m.update({"other.npy": npy(np.zeros(2))}), "not those that its header lists"),
        (lambda m: m.update({"robust_coef.npy": npy(np.zeros((2, 1, 2)))}), "not the array that the header"),
        (lambda m: m.update({"robust_coef.npy": npy(np.zeros((2, 2)))}), "not the array that the header"),
        (lambda m: m.update({"robust_coef.npy": b"\x93NUMPY\x01\x00\xff\xff{"}), "damaged"),
        (lambda m: m.update({"robust_coef.npy": b""}), "damaged"),
        (lambda m: m.update({"robust_coef.npy": npy(np.zeros(1))[:-1]}), "but 7 bytes"),
        (lambda m: m.update({HEADER + ".npy": npy(np.frombuffer(b"{", np.uint8))}), "JSON is unreadable"),
        (lambda m: m.update({HEADER + ".npy": npy(np.frombuffer(b"[" * 9999, np.uint8))}), "unreadable"),
        (lambda m: m.update({HEADER + ".npy": npy(np.frombuffer(b"\xff", np.uint8))}), "unreadable"),
        (lambda m: m.update({HEADER + ".npy": npy(np.frombuffer(b"[]", np.uint8))}), "does not say"),
    ],
)
def test_a_consistent_archive_with_wrong_content_is_refused(small, change, message):
    _, path, _ = small
    rewrite(path, change)
    with pytest.raises(TraceError, match=message):
        load_trace(path)


class Evil:
    """Leaves a mark if it is ever unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("member", ["robust_coef", HEADER])
def test_pickles_are_refused_unread(small, tmp_path, member):
    _, path, _ = small
    array = np.empty(1, object)
    array[0] = Evil(tmp_path / "mark")
    rewrite(path, lambda m: m.update({member + ".npy": npy(array, allow_pickle=True)}))
    with pytest.raises(TraceError, match="dtype object"):
        load_trace(path)
    assert not (tmp_path / "mark").exists()
    path.write_bytes(pickle.dumps(array))
    with pytest.raises(TraceError, match="not an npz file"):
        load_trace(path)
    assert not (tmp_path / "mark").exists()


def test_foreign_files_are_refused(tmp_path):
    np.savez(tmp_path / "foreign.npz", steps=np.arange(3))
    np.savez_compressed(tmp_path / "packed.npz", steps=np.arange(3))
    np.save(tmp_path / "array.npy", np.arange(3))
    (tmp_path / "text.npz").write_text("step,loss\n")
    (tmp_path / "empty.npz").write_bytes(b"")
    for name, message in [
        ("foreign.npz", "foreign.npz is not a featsim trace: it is an archive without"),
        ("packed.npz", "not a featsim trace"),
        ("array.npy", "not a featsim trace: it is not an npz file"),
        ("text.npz", "it is not an npz file"),
        ("empty.npz", "the file is empty"),
        ("absent.npz", "absent.npz does not exist"),
    ]:
        with pytest.raises(TraceError, match=message):
            load_trace(tmp_path / name)


def test_repeated_members_are_refused(small):
    _, path, _ = small
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of the repetition that is wanted here
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("robust_coef.npy", npy(np.ones((2, 1, 2))))
    with pytest.raises(TraceError, match="not those that its header lists"):
        load_trace(path)


def test_a_recompressed_file_is_refused(small):
    _, path, _ = small
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(TraceError, match="compressed"):
        load_trace(path)


def test_a_size_beyond_the_file_is_refused_before_memory_is_taken(small):
    _, path, whole = small
    entry = whole.rindex(b"robust_coef.npy") - 46  # in the directory at the end of the archive
    assert whole[entry : entry + 4] == b"PK\x01\x02"
    size = (2**31).to_bytes(4, "little")
    path.write_bytes(whole[: entry + 20] + size + size + whole[entry + 28 :])
    with pytest.raises(TraceError, match="compressed or larger than the file"):
        load_trace(path)


def test_column_order_is_refused(small):
    _, path, _ = small
    content = npy(np.asfortranarray(np.arange(4.0).reshape(2, 2)))
    described = {"dtype": "<f8", "shape": [2, 2], "crc": zlib.crc32(content)}

    def change(members):
        members["robust_coef.npy"] = content
        steps = {"dtype": "<i8", "shape": [2], "crc": zlib.crc32(members["steps.npy"])}
        edit_json(arrays={"steps": steps, "robust_coef": described}, axes={"robust_coef": ["step", "class"]})(
            members
        )

    rewrite(path, change)
    with pytest.raises(TraceError, match="robust_coef has shape"):
        load_trace(path)


def test_a_full_disk_hidden_by_a_later_error_is_still_said(tmp_path):
    with (
        pytest.raises(OSError, match=r"No space left on device.*file") as caught,
        atomic_write(tmp_path / "file"),
    ):
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            raise ValueError("cannot close the archive")
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(ValueError, match="not a matter of the disk"), atomic_write(tmp_path / "file"):
        raise ValueError("not a matter of the disk")
    assert list(tmp_path.iterdir()) == []


def test_only_the_asked_arrays_are_read(tmp_path):
    path = tmp_path / "c.npz"
    write_npz(path, "chunk", {"b": np.arange(3), "a": np.ones(2)}, {"x": 1})
    header, arrays = read_npz(path, "chunk", ["a"])
    assert header["x"] == 1
    assert list(arrays) == ["a"]
    assert list(read_npz(path, "chunk")[1]) == ["b", "a"]
    with pytest.raises(TraceError, match="must hold numbers"):
        write_npz(path, "chunk", {"a": np.array([None])}, {})
    assert list(read_npz(path, "chunk")[1]) == ["b", "a"]


class FullDisk:
    """A file that takes `room` bytes and then fails as a full disk does."""

    def __init__(self, file, room):
        self._file, self._room = file, room

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()

    def write(self, data):
        self._room -= memoryview(data).nbytes
        if self._room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(data)


@pytest.mark.parametrize("room", [0, 100, 300, 700, 1000])
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, trace, small, same, room):
    old, path, _ = small
    assert room < trace.save(tmp_path / "big.npz").stat().st_size
    (tmp_path / "big.npz").unlink()
    real = open
    monkeypatch.setattr("builtins.open", lambda *a, **k: FullDisk(real(*a, **k), room))
    with pytest.raises(OSError, match=r"No space left on device.*small\.npz") as caught:
        trace.save(path)
    monkeypatch.undo()
    assert caught.value.errno == errno.ENOSPC
    assert [found.name for found in tmp_path.iterdir()] == ["small.npz"]
    same(load_trace(path), old)


def test_an_interrupt_leaves_the_old_file(tmp_path, monkeypatch, trace, small, same):
    old, path, _ = small

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        trace.save(path)
    monkeypatch.undo()
    assert [found.name for found in tmp_path.iterdir()] == ["small.npz"]
    same(load_trace(path), old)


LIMITED = """
import resource, sys, numpy as np
from featsim.traces import Trace, load_trace
path = sys.argv[1]
Trace({"steps": [0]}).save(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    Trace({"steps": np.arange(50_000)}).save(path)
except OSError as error:
    print(error)
print(load_trace(path).n_records)
"""


@pytest.mark.skipif(os.name == "nt", reason="no file size limit on this system")
@pytest.mark.parametrize("limit", [1, 5_000, 399_000])
def test_a_real_write_that_fails(tmp_path, limit):
    path = tmp_path / "t.npz"
    command = [sys.executable, "-W", "error", "-c", LIMITED, str(path), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "could not write the file (File too large)" in done.stdout
    assert str(path) in done.stdout
    assert done.stdout.splitlines()[-1] == "1"
    assert done.stderr == ""
    assert [found.name for found in tmp_path.iterdir()] == ["t.npz"]


def test_check_writable(tmp_path):
    assert check_writable(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match=rf"cannot write in the output folder.*choose another.*{path.name}"):
            check_writable(path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_check_writable_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="Permission denied"):
        check_writable(tmp_path / "results")


def test_check_writable_where_files_cannot_be_made(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("pathlib.Path.write_bytes", refuse)
    with pytest.raises(PermissionError, match=rf"Permission denied.*{tmp_path.name}"):
        check_writable(tmp_path)
