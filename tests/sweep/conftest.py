"""Garbage collection in tests of sweeps."""

import gc

import pytest


@pytest.fixture(autouse=True)
def _frozen_imports_after_a_sweep():
    """Leave the imported libraries out of garbage collections again: a sweep has ended that."""
    gc.freeze()
