"""A PostgreSQL server, if it is installed: two launchers at once, and a password that is never written."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from optuna.trial import TrialState
from small_sweeps import RATES, finish, launch, plan_for, wait_for

from fer.sweep.create import create_or_open
from fer.sweep.study import SweepStudy

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
PASSWORD = "s3cret-pass"
pytestmark = pytest.mark.skipif(
    not PROGRAMS, reason="PostgreSQL is not installed: apt-get install postgresql"
)


@pytest.fixture(scope="module")
def server():
    """Start a server on loopback; return its address without the password."""
    pytest.importorskip("psycopg")
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path(
        subprocess.run([*as_user, "mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip()
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def call(program, *arguments):
        command = [*as_user, str(PROGRAMS[0] / program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=60)

    subprocess.run(
        [*as_user, "tee", f"{folder}/pw"], input=PASSWORD, text=True, check=True, stdout=subprocess.DEVNULL
    )
    call("initdb", "-D", f"{folder}/data", "-U", "me", "-A", "scram-sha-256", f"--pwfile={folder}/pw")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    call("pg_ctl", "-D", f"{folder}/data", "-o", options, "-l", f"{folder}/log", "-w", "start")
    yield f"me@127.0.0.1:{port}/postgres"
    call("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.mark.slow
def test_two_launchers_at_once(server, tmp_path, monkeypatch):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    address = server.replace("me@", f"me:{PASSWORD}@")
    overrides = (
        "sweep=custom", "sweep.name=both", RATES, "sweep.n_trials=6", "trainer.max_epochs=1", "logger=wandb",
        f"sweep.storage=postgresql://{address}",
    )  # fmt: skip
    first = launch(tmp_path, *overrides, "hydra/launcher=submitit_local", "sweep.jobs=1")
    # Its worker starts in seconds; the second launcher at once.
    wait_for(lambda: (tmp_path / "multirun" / "both" / "0").is_dir(), 120)
    outputs = [finish(process) for process in (first, launch(tmp_path, *overrides))]
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    sweep_study = SweepStudy(plan_for(tmp_path, f"postgresql://{server}", name="both"))
    trials = sweep_study.trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 6
    assert len({trial.system_attrs["fer:owner"]["pid"] for trial in trials}) == 2
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in written)
    assert any(path.suffix == ".pkl" for path in written)  # of submitit
    assert not [path for path in written if PASSWORD.encode() in path.read_bytes()]
    assert PASSWORD not in "".join(outputs)


def test_trial_is_claimed_once_and_requeued(server, tmp_path, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    plan = plan_for(tmp_path, f"postgresql://{server}")
    sweep_study, exists = create_or_open(plan, {}, {}, may_exist=True)
    assert not exists
    trial, parameters = sweep_study.claim()
    other = SweepStudy(plan)
    assert other.claim()[0].number == 1
    sweep_study.storage.set_trial_system_attr(
        trial._trial_id, "fer:owner", {"place": "x", "pid": 1, "start": 1}
    )
    sweep_study.storage.set_trial_system_attr(trial._trial_id, "fer:pulse", 0.0)
    monkeypatch.setattr("fer.sweep.study.GRACE_SECONDS", -1.0)
    again, same_parameters = other.claim()
    assert (again.number, same_parameters) == (0, parameters)
