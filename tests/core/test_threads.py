"""Cores that a process may use, and the environment of torch's threads."""

import os
import subprocess
import sys
import threading
import time

import pytest

from fer.core import threads
from fer.core.threads import CoreWait, available_cores, cpu_quota


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        # the smallest of a group and its parents
        ("0::/a/b\n", {"a/cpu.max": "100000 100000\n", "a/b/cpu.max": "400000 100000\n"}, 1.0),
        # the name is that of the host, the files are those of the container
        ("0::/docker/123\n", {"cpu.max": "200000 100000\n"}, 2.0),
        (
            "4:memory:/x\n3:cpu,cpuacct:/x\n0::/\n",
            {"cpu/x/cpu.cfs_quota_us": "50000\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
            0.5,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ("0::/\n", {}, None),
    ],
)
def test_the_quota_of_the_container_is_read(tmp_path, groups, files, quota):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cgroup").write_text(groups)
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text)
    assert cpu_quota(tmp_path / "proc", tmp_path / "groups") == quota


def test_without_control_groups_there_is_no_quota(tmp_path):
    assert cpu_quota(tmp_path, tmp_path) is None


@pytest.mark.parametrize(
    ("quota", "limit", "cores"),
    [(None, None, 4), (0.5, None, 1), (1.5, None, 2), (16.0, None, 4), (None, 3, 3), (1.5, 3, 2)],
)
def test_cores_are_bounded_by_affinity_quota_and_option(monkeypatch, quota, limit, cores):
    monkeypatch.setattr(threads, "_limit", limit)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(threads, "cpu_quota", lambda: quota)
    assert available_cores() == cores


@pytest.mark.parametrize(
    ("busy", "variables", "expected"),
    [
        (True, {}, "PASSIVE None 3"),
        (False, {}, "None None 3"),
        (True, {"OMP_WAIT_POLICY": "ACTIVE", "OMP_NUM_THREADS": "5"}, "ACTIVE 5 3"),
    ],
)
def test_threads_sleep_on_a_busy_machine_unless_the_user_says_otherwise(busy, variables, expected):
    code = (
        f"import os; from fer.core import threads; threads.is_busy = lambda: {busy}; threads.share_cores();"
        "print(os.environ.get('OMP_WAIT_POLICY'), os.environ.get('OMP_NUM_THREADS'), end=' ');"
        "threads.share_cores(3); print(os.environ['OMP_NUM_THREADS'])"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP_")}
    command = [sys.executable, "-c", code]
    output = subprocess.run(command, env=environment | variables, capture_output=True, text=True, check=True)
    assert output.stdout.strip() == expected


@pytest.mark.parametrize(
    ("load", "running", "busy"), [(0.2, 3, False), (1.2, 1, False), (1.2, 2, True), (5.0, 9, True)]
)
def test_a_machine_is_busy_while_others_run(monkeypatch, tmp_path, load, running, busy):
    (tmp_path / "loadavg").write_text(f"{load} 0.80 1.54 {running}/91 27700\n")
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.8, 1.54), raising=False)
    monkeypatch.setattr(threads, "_PROCESS", tmp_path / "self")
    assert threads.is_busy() == busy


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux counts the waiting")
def test_waiting_for_a_busy_core_is_measured():
    core = {min(os.sched_getaffinity(0))}
    allowed = os.sched_getaffinity(0)
    busy = f"import os; os.sched_setaffinity(0, {core});\nwhile True: pass"
    others = [subprocess.Popen([sys.executable, "-c", busy]) for _ in range(2)]
    shares = []

    def work() -> None:
        os.sched_setaffinity(0, core)
        wait = CoreWait()
        end = time.perf_counter() + 0.6
        while time.perf_counter() < end:
            pass
        shares.append(wait.share())

    try:
        time.sleep(0.2)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        for other in others:
            other.kill()
            other.wait()
        os.sched_setaffinity(0, allowed)
    # Two of three parts of the time belong to the other processes.
    assert 0.4 < shares[0] < 0.95
