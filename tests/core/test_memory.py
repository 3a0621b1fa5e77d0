import subprocess
import sys

import pytest

from fer.core.memory import keep_freed_memory

# The page faults of 100 arrays of 1 MB at a time, allocated for the fourth time.
COUNT = """
import resource
import numpy as np
from fer.core.memory import keep_freed_memory

print(keep_freed_memory())
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(1 << 20, np.uint8) for _ in range(100)]
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc")
def test_freed_memory_is_used_again_without_page_faults():
    result = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    is_set, faults = result.stdout.split()
    assert is_set == "True"
    # 25,600 pages otherwise.
    assert int(faults) < 100


@pytest.mark.parametrize(
    ("name", "value"),
    [("MALLOC_TRIM_THRESHOLD_", "1000"), ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=1")],
)
def test_settings_of_the_user_stay(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert not keep_freed_memory()


def test_other_systems_have_no_setting(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
