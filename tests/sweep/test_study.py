"""The study of a sweep: created once, each trial done once, also when processes die."""

import multiprocessing
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState
from small_sweeps import plan_for

from fer.core.errors import FerError
from fer.sweep import study
from fer.sweep.create import create_or_open
from fer.sweep.outcome import describe_running
from fer.sweep.report.results import load_sweep
from fer.sweep.storage import open_storage, saved_address
from fer.sweep.study import (
    GRACE_SECONDS,
    HEARTBEAT,
    MAX_PROCESS_DEATHS,
    OWNER,
    PROCESS_DEATHS,
    SweepStudy,
    this_process,
)


@pytest.fixture(params=["sqlite:///{}/s.db", "journal:{}/s.log"])
def plan(request, tmp_path):
    return plan_for(tmp_path, request.param.format(tmp_path))


def start(plan, base=None, may_exist=True):
    return create_or_open(plan, base or {"trainer.max_epochs": 3}, {}, may_exist)[0]


def dead_process():
    child = subprocess.Popen(["true"])
    child.wait()
    return this_process() | {"pid": child.pid, "start": 1}


def give_to(sweep_study, trial, owner):
    sweep_study.storage.set_trial_system_attr(trial._trial_id, OWNER, owner)


def test_concurrent_starts_create_one_study(plan):
    with ThreadPoolExecutor(4) as pool:
        studies = list(pool.map(lambda _: start(plan), range(4)))
    assert {len(sweep_study.trials()) for sweep_study in studies} == {4}
    assert all(trial.state == TrialState.WAITING for trial in studies[0].trials())


def claim_all(plan, queue):
    sweep_study, claimed = SweepStudy(plan), []
    while (claim := sweep_study.claim()) is not None:
        trial, parameters = claim
        claimed.append((trial.number, parameters["optimizer.lr"]))
        sweep_study.tell(trial, TrialState.COMPLETE, 0.5)
    queue.put(claimed)


def test_each_trial_is_claimed_once_by_several_processes(tmp_path):
    plan = plan_for(tmp_path, f"journal:{tmp_path}/s.log", n_trials=12)
    start(plan)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=claim_all, args=(plan, queue)) for _ in range(3)]
    for worker in workers:
        worker.start()
    claimed = [entry for _ in workers for entry in queue.get(timeout=120)]
    assert sorted(number for number, _ in claimed) == list(range(12))
    assert len({rate for _, rate in claimed}) == 12


def test_trial_of_a_dead_process_is_requeued_with_its_values(plan):
    sweep_study = start(plan)
    trial, parameters = sweep_study.claim()
    trial.report(0.3, 334)
    give_to(sweep_study, trial, dead_process())
    other = SweepStudy(plan)
    again, same_parameters = other.claim()
    assert (again.number, same_parameters) == (trial.number, parameters)
    assert other.storage.get_trial(again._trial_id).intermediate_values == {334: 0.3}
    assert other.trials()[trial.number].system_attrs[PROCESS_DEATHS] == 1


def test_process_that_lost_a_trial_cannot_change_it(plan):
    sweep_study = start(plan)
    trial, _ = sweep_study.claim()
    give_to(sweep_study, trial, this_process() | {"pid": 1})
    assert not sweep_study.owns(trial)
    assert not sweep_study.tell(trial, TrialState.COMPLETE, 0.1)
    assert sweep_study.trials()[trial.number].state == TrialState.RUNNING


def test_live_process_keeps_its_trial(plan):
    sweep_study = start(plan)
    trial, _ = sweep_study.claim()
    assert SweepStudy(plan).claim()[0].number != trial.number


@pytest.mark.parametrize("difference", [-86400.0, 0.0, 86400.0], ids="clock of the other machine {}".format)
def test_process_of_another_machine_is_judged_by_its_heartbeat(plan, monkeypatch, difference):
    """Only changes of its heartbeat count, not the time in it, so the clocks may differ."""
    sweep_study, now = start(plan), [1000.0]
    monkeypatch.setattr(study.time, "monotonic", lambda: now[0])
    trial, _ = sweep_study.claim()
    give_to(sweep_study, trial, this_process() | {"place": "elsewhere"})
    other = SweepStudy(plan)

    def beat():
        sweep_study._set_attribute(trial._trial_id, HEARTBEAT, difference + now[0])

    def is_waiting():
        other.requeue_abandoned()
        return other.trials()[trial.number].state == TrialState.WAITING

    for _ in range(20):
        beat()
        now[0] += GRACE_SECONDS - 1
        assert not is_waiting()
        assert not is_waiting()
    now[0] += GRACE_SECONDS + 1
    # A process that starts now has to wait for a heartbeat first.
    late = SweepStudy(plan)
    late.requeue_abandoned()
    assert late.trials()[trial.number].state == TrialState.RUNNING
    assert is_waiting()


def test_trial_is_claimed_again_after_the_storage_failed_during_the_claim(plan, monkeypatch):
    sweep_study = start(plan)

    def unreachable(trial):
        raise OSError("Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(sweep_study, "send_heartbeat", unreachable)
        for _ in range(MAX_PROCESS_DEATHS + 1):
            with pytest.raises(OSError, match="Stale"):
                sweep_study.claim(idle=True)
    assert sweep_study.claim(idle=True)[0].number == 0
    states = [trial.state for trial in sweep_study.trials()]
    assert states == [TrialState.RUNNING, *[TrialState.WAITING] * 3]


def test_trial_whose_process_dies_every_time_fails(plan):
    sweep_study = start(plan)
    for _ in range(MAX_PROCESS_DEATHS):
        trial, _ = sweep_study.claim()
        assert trial.number == 0
        give_to(sweep_study, trial, dead_process())
    assert sweep_study.claim()[0].number == 1
    failed = sweep_study.trials()[0]
    assert failed.state == TrialState.FAIL
    assert "died 3 times" in failed.user_attrs["error"]


def test_trial_that_makes_progress_every_time_does_not_fail(plan):
    """It was preempted, or killed because of another process: it is not the cause."""
    sweep_study = start(plan)
    for number in range(2 * MAX_PROCESS_DEATHS):
        trial, _ = sweep_study.claim()
        assert trial.number == 0
        trial.report(0.1, number + 1)
        give_to(sweep_study, trial, dead_process())
    assert sweep_study.claim()[0].number == 0


def test_incomplete_study_is_created_again(plan):
    sweep_study = start(plan)
    for key in ("search", "key"):
        assert key in sweep_study.study.user_attrs
    sweep_study.storage.delete_study(sweep_study.study._study_id)
    study_id = sweep_study.storage.create_new_study([StudyDirection.MAXIMIZE], plan.name)
    sweep_study.storage.set_study_user_attr(study_id, "base", {"trainer.max_epochs": 3})
    assert len(start(plan, may_exist=False).trials()) == 4


def test_other_optuna_study_is_not_changed(plan):
    optuna.create_study(study_name=plan.name, storage=open_storage(plan.address))
    with pytest.raises(
        FerError, match="expected a sweep of fer-train, but the storage holds another Optuna study"
    ):
        start(plan)


def test_folder_has_the_address_of_a_study_stored_elsewhere(plan, tmp_path):
    """A study in the folder itself has no saved address, so the folder may be moved."""
    start(plan)
    assert saved_address(plan.folder) is None
    elsewhere = plan.replace(folder=tmp_path / "runs", name="other")
    elsewhere.folder.mkdir()
    start(elsewhere)
    assert saved_address(elsewhere.folder) == plan.address
    assert load_sweep(elsewhere.folder, None, "other").name == "other"


def test_missing_points_of_a_grid_are_added(tmp_path):
    space = {"optimizer.lr": [1e-3, 1e-2, 1e-1]}
    plans = [
        plan_for(tmp_path, f"sqlite:///{tmp_path}/s.db", number, space, sampler="grid")
        for number in (1, None)
    ]
    start(plans[0])
    sweep_study = start(plans[1])
    rates = [trial.system_attrs["fixed_params"]["optimizer.lr"] for trial in sweep_study.trials()]
    assert sorted(rates) == [1e-3, 1e-2, 1e-1]
    with pytest.raises(FerError, match="sampler"):
        start(plan_for(tmp_path, plans[0].address, 5, space))


def test_points_of_a_large_grid_are_sampled(tmp_path):
    space = {"optimizer": ["adamw", "sgd", "muon"], "optimizer.lr": [1e-3, 1e-2, 1e-1, 1.0]}
    sweep_study = start(plan_for(tmp_path, f"sqlite:///{tmp_path}/s.db", 6, space, sampler="grid"))
    points = [tuple(trial.system_attrs["fixed_params"].values()) for trial in sweep_study.trials()]
    assert len(set(points)) == 6
    assert {optimizer for optimizer, _ in points} == {"adamw", "sgd", "muon"}
    sweep_study = start(plan_for(tmp_path, f"sqlite:///{tmp_path}/s.db", None, space, sampler="grid"))
    assert len({tuple(trial.system_attrs["fixed_params"].values()) for trial in sweep_study.trials()}) == 12


def test_requeued_trial_waits(plan):
    sweep_study = start(plan)
    trial, parameters = sweep_study.claim()
    assert sweep_study.tell(trial, TrialState.WAITING)
    assert sweep_study.claim()[1] == parameters


def test_trials_can_be_added_later(plan, tmp_path):
    start(plan)
    more = start(plan_for(tmp_path, plan.address, n_trials=6))
    assert len(more.trials()) == 6
    assert len(start(plan).trials()) == 6


def test_no_trial_is_claimed_after_too_many_failures(tmp_path):
    sweep_study = start(plan_for(tmp_path, f"sqlite:///{tmp_path}/s.db", max_failed_share=0.25))
    for _ in range(3):
        sweep_study.tell(sweep_study.claim()[0], TrialState.FAIL)
    assert sweep_study.claim() is None
    assert (sweep_study.counts().failed, sweep_study.counts().waiting) == (3, 1)


def test_a_small_sweep_continues_after_one_failure(tmp_path):
    sweep_study = start(plan_for(tmp_path, f"sqlite:///{tmp_path}/s.db", n_trials=3, max_failed_share=0.25))
    sweep_study.tell(sweep_study.claim()[0], TrialState.FAIL)
    assert sweep_study.claim() is not None
    eager = SweepStudy(sweep_study.plan.replace(min_failed=1))
    assert eager.claim() is None


def test_another_search_of_the_same_name_is_rejected(plan, tmp_path):
    start(plan)
    other = plan_for(tmp_path, plan.address, space={"optimizer.lr": {"low": 1e-4, "high": 1e-1, "log": True}})
    with pytest.raises(FerError, match=r"optimizer\.lr"):
        start(other)
    with pytest.raises(FerError, match=r"trainer\.max_epochs 3, as in .*, got 5"):
        start(plan, {"trainer.max_epochs": 5})
    with pytest.raises(FerError, match="with 0 of 4 trials done"):
        start(plan, may_exist=False)


def test_runs_of_an_earlier_sweep_are_not_reused(plan, tmp_path):
    run = tmp_path / "3"
    run.mkdir()
    for _ in range(2):  # the second time there is a storage file, but no study in it
        with pytest.raises(FerError, match=r"holds runs of an earlier sweep that is not in .*Choose another"):
            start(plan)
    run.rename(tmp_path / "moved")
    start(plan)
    run.mkdir()  # created by a worker of this sweep
    assert len(start(plan).trials()) == 4


def test_launchers_join_while_workers_are_running(plan, tmp_path):
    start(plan)

    def join(number):
        (tmp_path / str(number)).mkdir()
        return len(start(plan).trials())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(join, range(4))) == [4] * 4


def test_file_that_is_not_a_storage_is_rejected(tmp_path):
    (tmp_path / "s.db").write_bytes(b"not a database, although its name says so" * 30)
    start_time = time.monotonic()
    with pytest.raises(FerError, match="cannot be opened"):
        start(plan_for(tmp_path, f"sqlite:///{tmp_path}/s.db"))
    assert time.monotonic() - start_time < 10


def test_machine_that_joins_must_have_no_runs_of_that_name(tmp_path):
    address = f"journal:{tmp_path}/shared.log"
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        (folder / "3").mkdir(parents=True)
    (here / "3").rmdir()
    start(plan_for(here, address))
    with pytest.raises(FerError, match=r"there: expected runs of the sweep in .*holds runs of another"):
        start(plan_for(there, address))
    (there / "3").rmdir()
    start(plan_for(there, address))
    (there / "3").mkdir()  # now it is a run of this sweep
    assert len(start(plan_for(there, address)).trials()) == 4


def test_running_trials_are_described_with_their_progress(plan):
    sweep_study = start(plan)
    first, second = (sweep_study.claim()[0] for _ in range(2))
    first.report(0.25, 334)
    line = describe_running(sweep_study.trials(), "val/accuracy")
    assert line == "val/accuracy: trial 0 at 33% 0.2500, trial 1 at 0%"
    for trial in (first, second):
        sweep_study.tell(trial, TrialState.FAIL)
    assert describe_running(sweep_study.trials(), "val/accuracy") == ""
