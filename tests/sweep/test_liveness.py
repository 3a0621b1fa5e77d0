"""Dead processes are told from live ones, here and on other machines."""

import json
import subprocess
import sys
import time

from fer.sweep import liveness
from fer.sweep.liveness import Pulse, is_gone, this_process

SAY = """
import json, time
from fer.sweep.liveness import this_process
print(json.dumps(this_process()), flush=True)
time.sleep(60)
"""


def test_a_process_here_is_gone_when_it_is_dead():
    child = subprocess.Popen([sys.executable, "-c", SAY], stdout=subprocess.PIPE, text=True)
    owner = json.loads(child.stdout.readline())
    assert not is_gone(owner, pulse=0.0)  # it is seen: its pulse does not matter
    child.kill()
    time.sleep(0.2)
    assert is_gone(owner, pulse=time.time())  # a zombie still
    child.wait()
    assert is_gone(owner, pulse=time.time())


def test_another_process_with_the_same_number_is_not_it():
    assert is_gone(this_process() | {"start": 1}, pulse=time.time())
    assert not is_gone(this_process(), pulse=0.0)


def test_elsewhere_the_pulse_tells():
    elsewhere = this_process() | {"place": "another machine"}
    assert not is_gone(elsewhere, time.time() - liveness.GRACE_SECONDS + 5)
    assert is_gone(elsewhere, time.time() - liveness.GRACE_SECONDS - 5)
    assert is_gone(None, time.time() - liveness.GRACE_SECONDS - 5)


def test_a_pulse_beats_and_outlives_a_missed_beat(monkeypatch):
    monkeypatch.setattr(liveness, "PULSE_SECONDS", 0.01)
    beats = []

    def beat():
        beats.append(len(beats))
        raise OSError("the storage is away")

    with Pulse(beat):
        deadline = time.monotonic() + 10
        while len(beats) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(beats) >= 3
    count = len(beats)
    time.sleep(0.05)
    assert len(beats) == count
