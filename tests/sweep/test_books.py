"""The books of a sweep: begun once, each trial done once, whatever dies."""

import multiprocessing
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState
from small_sweeps import plan_for

from fer.errors import FerError
from fer.sweep.address import noted_address
from fer.sweep.beginning import begin
from fer.sweep.books import DEATHS, MAX_DEATHS, OWNER, PULSE, Books
from fer.sweep.liveness import GRACE_SECONDS, this_process
from fer.sweep.storage import open_storage
from fer.sweep_reporting.found import find_sweep


@pytest.fixture(params=["sqlite:///{}/s.db", "journal:{}/s.log"])
def plan(request, tmp_path):
    return plan_for(tmp_path, request.param.format(tmp_path))


def start(plan, base=None, may_exist=True):
    return begin(plan, base or {"trainer.max_epochs": 3}, {}, "max", may_exist)[0]


def dead():
    child = subprocess.Popen(["true"])
    child.wait()
    return this_process() | {"pid": child.pid, "start": 1}


def give_to(books, trial, owner):
    books.storage.set_trial_system_attr(trial._trial_id, OWNER, owner)


def test_several_that_start_at_once_make_one_study(plan):
    with ThreadPoolExecutor(4) as pool:
        all_books = list(pool.map(lambda _: start(plan), range(4)))
    assert {len(books.trials()) for books in all_books} == {4}
    assert all(trial.state == TrialState.WAITING for trial in all_books[0].trials())


def take_all(plan, queue):
    books, taken = Books(plan), []
    while (found := books.take()) is not None:
        trial, chosen = found
        taken.append((trial.number, chosen["optimizer.lr"]))
        books.tell(trial, TrialState.COMPLETE, 0.5)
    queue.put(taken)


def test_each_trial_is_taken_once_by_several_processes(tmp_path):
    plan = plan_for(tmp_path, f"journal:{tmp_path}/s.log", n_trials=12)
    start(plan)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=take_all, args=(plan, queue)) for _ in range(3)]
    for worker in workers:
        worker.start()
    taken = [entry for _ in workers for entry in queue.get(timeout=120)]
    assert sorted(number for number, _ in taken) == list(range(12))
    assert len({rate for _, rate in taken}) == 12


def test_a_dead_process_s_trial_is_done_again_with_its_values(plan):
    books = start(plan)
    trial, chosen = books.take()
    trial.report(0.3, 334)
    give_to(books, trial, dead())
    other = Books(plan)
    again, the_same = other.take()
    assert (again.number, the_same) == (trial.number, chosen)
    assert other.storage.get_trial(again._trial_id).intermediate_values == {334: 0.3}
    assert other.trials()[trial.number].system_attrs[DEATHS] == 1


def test_who_lost_a_trial_has_no_more_say(plan):
    books = start(plan)
    trial, _ = books.take()
    give_to(books, trial, this_process() | {"pid": 1})
    assert not books.owns(trial)
    assert not books.tell(trial, TrialState.COMPLETE, 0.1)
    assert books.trials()[trial.number].state == TrialState.RUNNING


def test_a_live_process_keeps_its_trial(plan):
    books = start(plan)
    trial, _ = books.take()
    assert Books(plan).take()[0].number != trial.number


def test_a_machine_of_another_time_zone_counts_by_its_pulse(plan):
    """The trial has only just begun by the clock on the wall, which tells nothing from elsewhere."""
    books = start(plan)
    trial, _ = books.take()
    give_to(books, trial, this_process() | {"place": "elsewhere"})
    assert Books(plan).take()[0].number != trial.number
    books.storage.set_trial_system_attr(trial._trial_id, PULSE, time.time() - 2 * GRACE_SECONDS)
    assert Books(plan).take()[0].number == trial.number


def test_a_trial_that_was_being_taken_when_the_storage_went_away_is_taken_again(plan, monkeypatch):
    books = start(plan)

    def away(trial):
        raise OSError("Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(books, "beat", away)
        for _ in range(MAX_DEATHS + 1):
            with pytest.raises(OSError, match="Stale"):
                books.take(idle=True)
    assert books.take(idle=True)[0].number == 0
    states = [trial.state for trial in books.trials()]
    assert states == [TrialState.RUNNING, *[TrialState.WAITING] * 3]


def test_a_trial_whose_process_dies_each_time_has_failed(plan):
    books = start(plan)
    for _ in range(MAX_DEATHS):
        trial, _ = books.take()
        assert trial.number == 0
        give_to(books, trial, dead())
    assert books.take()[0].number == 1
    failed = books.trials()[0]
    assert failed.state == TrialState.FAIL
    assert "died 3 times" in failed.user_attrs["error"]


def test_a_trial_that_comes_further_each_time_has_not_failed(plan):
    """Killed with the neighbour that took all memory, or preempted: it is not the reason."""
    books = start(plan)
    for number in range(2 * MAX_DEATHS):
        trial, _ = books.take()
        assert trial.number == 0
        trial.report(0.1, number + 1)
        give_to(books, trial, dead())
    assert books.take()[0].number == 0


def test_a_study_that_was_left_half_made_is_made_anew(plan):
    books = start(plan)
    for key in ("search", "key"):
        assert key in books.study.user_attrs
    books.storage.delete_study(books.study._study_id)
    study_id = books.storage.create_new_study([StudyDirection.MAXIMIZE], plan.name)
    books.storage.set_study_user_attr(study_id, "base", {"trainer.max_epochs": 3})
    assert len(start(plan, may_exist=False).trials()) == 4


def test_a_study_of_somebody_else_is_left_alone(plan):
    optuna.create_study(study_name=plan.name, storage=open_storage(plan.address))
    with pytest.raises(FerError, match="no sweep of ours"):
        start(plan)


def test_the_folder_tells_where_the_study_lies(plan, tmp_path):
    """In the folder itself, unless it is noted: that may be moved."""
    start(plan)
    assert noted_address(plan.folder) is None
    elsewhere = replace(plan, folder=tmp_path / "runs", name="other")
    elsewhere.folder.mkdir()
    start(elsewhere)
    assert noted_address(elsewhere.folder) == plan.address
    assert find_sweep(elsewhere.folder, None, "other").name == "other"


def test_a_grid_gets_its_missing_points(tmp_path):
    space = {"optimizer.lr": [1e-3, 1e-2, 1e-1]}
    plans = [
        plan_for(tmp_path, f"sqlite:///{tmp_path}/s.db", number, space, sampler="grid")
        for number in (1, None)
    ]
    start(plans[0])
    books = start(plans[1])
    rates = [trial.system_attrs["fixed_params"]["optimizer.lr"] for trial in books.trials()]
    assert sorted(rates) == [1e-3, 1e-2, 1e-1]
    with pytest.raises(FerError, match="sampler"):
        start(plan_for(tmp_path, plans[0].address, 5, space))


def test_of_a_large_grid_points_are_taken_by_chance(tmp_path):
    space = {"optimizer": ["adamw", "sgd", "muon"], "optimizer.lr": [1e-3, 1e-2, 1e-1, 1.0]}
    books = start(plan_for(tmp_path, f"sqlite:///{tmp_path}/s.db", 6, space, sampler="grid"))
    points = [tuple(trial.system_attrs["fixed_params"].values()) for trial in books.trials()]
    assert len(set(points)) == 6
    assert {optimizer for optimizer, _ in points} == {"adamw", "sgd", "muon"}
    books = start(plan_for(tmp_path, f"sqlite:///{tmp_path}/s.db", None, space, sampler="grid"))
    assert len({tuple(trial.system_attrs["fixed_params"].values()) for trial in books.trials()}) == 12


def test_a_trial_put_back_waits(plan):
    books = start(plan)
    trial, chosen = books.take()
    assert books.tell(trial, TrialState.WAITING)
    assert books.take()[1] == chosen


def test_more_trials_may_be_asked_for_later(plan, tmp_path):
    start(plan)
    more = start(plan_for(tmp_path, plan.address, n_trials=6))
    assert len(more.trials()) == 6
    assert len(start(plan).trials()) == 6


def test_it_stops_when_too_many_failed(tmp_path):
    books = start(plan_for(tmp_path, f"sqlite:///{tmp_path}/s.db", max_failed_share=0.25))
    for _ in range(2):
        books.tell(books.take()[0], TrialState.FAIL)
    assert books.take() is None
    assert (books.tally().failed, books.tally().waiting) == (2, 2)


def test_another_search_under_that_name_is_refused(plan, tmp_path):
    start(plan)
    other = plan_for(tmp_path, plan.address, space={"optimizer.lr": {"low": 1e-4, "high": 1e-1, "log": True}})
    with pytest.raises(FerError, match=r"optimizer\.lr"):
        start(other)
    with pytest.raises(FerError, match=r"trainer\.max_epochs 3, now 5"):
        start(plan, {"trainer.max_epochs": 5})
    with pytest.raises(FerError, match="0 of its 4 trials done"):
        start(plan, may_exist=False)


def test_runs_of_an_earlier_sweep_are_not_taken_over(plan, tmp_path):
    run = tmp_path / "3"
    run.mkdir()
    for _ in range(2):  # the second time there is a file, though no study in it
        with pytest.raises(FerError, match=r"holds runs of an earlier sweep that is not in .*Choose another"):
            start(plan)
    run.rename(tmp_path / "kept")
    start(plan)
    run.mkdir()  # begun by a worker of this sweep
    assert len(start(plan).trials()) == 4


def test_several_launchers_join_while_workers_have_begun(plan, tmp_path):
    start(plan)

    def join(number):
        (tmp_path / str(number)).mkdir()
        return len(start(plan).trials())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(join, range(4))) == [4] * 4


def test_a_file_that_is_no_study_is_refused(tmp_path):
    (tmp_path / "s.db").write_bytes(b"this is no database, whatever its name says" * 30)
    begun = time.monotonic()
    with pytest.raises(FerError, match="cannot be opened"):
        start(plan_for(tmp_path, f"sqlite:///{tmp_path}/s.db"))
    assert time.monotonic() - begun < 10


def test_a_machine_that_joins_has_no_runs_of_its_own_under_that_name(tmp_path):
    address = f"journal:{tmp_path}/shared.log"
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        (folder / "3").mkdir(parents=True)
    (here / "3").rmdir()
    start(plan_for(here, address))
    with pytest.raises(FerError, match=r"there holds runs of an earlier sweep, not of the one in"):
        start(plan_for(there, address))
    (there / "3").rmdir()
    start(plan_for(there, address))
    (there / "3").mkdir()  # now it is a run of this sweep
    assert len(start(plan_for(there, address)).trials()) == 4
