"""Memory and disk that are left: limits of containers and batch systems, systems that say little."""

import os
import resource
import sys

import pytest

from featsim.machine import available_memory, free_disk, in_words, in_words_of

MEMINFO = "MemTotal:       24682416 kB\nMemFree: 5 kB\nMemAvailable:   {} kB\n"


@pytest.fixture
def system(tmp_path):
    """Write files of a made-up /proc and /sys; without any, 8 GB are available."""

    def write(**files):
        for path, text in {"proc/meminfo": MEMINFO.format(8_000_000), **files}.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        return tmp_path

    return write


def test_without_limits_it_is_what_the_system_has_available(system):
    assert available_memory(system()) == 8_000_000 * 1024


def test_version_2_limits_of_a_group_and_of_those_around_it(system):
    files = {
        "proc/self/cgroup": "0::/user/job\n",
        "sys/fs/cgroup/user/job/memory.max": "max\n",
        "sys/fs/cgroup/user/job/memory.current": "1000\n",
        "sys/fs/cgroup/user/memory.max": "5000000\n",
        "sys/fs/cgroup/user/memory.current": "4000000\n",
        "sys/fs/cgroup/user/memory.stat": "anon 3000000\ninactive_file 700000\nactive_file 200000\n",
    }
    # Pages of files are dropped when memory is needed.
    assert available_memory(system(**files)) == 5_000_000 - 4_000_000 + 900_000
    files["sys/fs/cgroup/user/job/memory.max"] = "1500\n"
    assert available_memory(system(**files)) == 500
    files["sys/fs/cgroup/user/job/memory.max"] = "900\n"  # lowered while it was used
    assert available_memory(system(**files)) == 0


def test_version_1_limits(system):
    files = {
        "proc/self/cgroup": "4:cpu,cpuacct:/a\n3:memory:/a/b\n0::/\n",
        "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "9223372036854771712\n",  # none
        "sys/fs/cgroup/memory/a/b/memory.usage_in_bytes": "10\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "600000\n",
        "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 50000\ncache 7\n",
    }
    assert available_memory(system(**files)) == 1_000_000 - 600_000 + 50_000


def test_a_path_of_the_host_and_unreadable_numbers_limit_nothing(system):
    files = {
        "proc/self/cgroup": "0::/../../docker/f00\nnonsense\n",
        "sys/fs/cgroup/memory.max": "a lot\n",
        "sys/fs/cgroup/memory.current": "",
    }
    assert available_memory(system(**files)) == 8_000_000 * 1024


def test_where_nothing_is_available_all_physical_memory_counts(tmp_path, monkeypatch):
    """As on macOS, which has no /proc."""
    asked = []

    def sysconf(name):
        asked.append(name)
        return {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}[name]

    monkeypatch.setattr(os, "sysconf", sysconf)
    assert available_memory(tmp_path) == 4_096_000
    monkeypatch.setattr(os, "sysconf", lambda name: (_ for _ in ()).throw(ValueError(name)))
    assert available_memory(tmp_path) is None
    assert "SC_PHYS_PAGES" in asked


def test_the_limit_of_the_address_space(system, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (50_000 * 1024, 0))
    assert available_memory(system(**{"proc/self/status": "VmSize:   20000 kB\n"})) == 30_000 * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_of_this_machine():
    assert 1e6 < available_memory() < 1e14


def test_room_of_a_folder_that_is_not_there_yet(tmp_path):
    assert free_disk(tmp_path / "not" / "yet") == pytest.approx(free_disk(tmp_path), rel=0.1)


@pytest.mark.parametrize(
    "n_bytes, words",
    [
        (0, "0 B"),
        (999, "1.0 kB"),
        (12_345, "12 kB"),
        (9.96e6, "10 MB"),
        (1.26e9, "1.3 GB"),
        (1.2e13, "12,000 GB"),
    ],
)
def test_in_words(n_bytes, words):
    assert in_words(n_bytes) == words


def test_sizes_beside_what_there_is():
    assert in_words_of(2_000, 3_000_000) == "2.0 kB of 3.0 MB"
    assert in_words_of(2_000, None) == "2.0 kB"
