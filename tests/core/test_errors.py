"""`FerError` and the hints for misspelt names."""

import pytest

from fer.core.errors import FerError, did_you_mean


def test_fer_error_is_a_value_error():
    with pytest.raises(ValueError, match="expected"):
        raise FerError("expected a file")


@pytest.mark.parametrize(
    ("word", "hint"),
    [("adamv", " Did you mean 'AdamW'?"), ("ADAMW", " Did you mean 'AdamW'?"), ("zzz", ""), ("", "")],
)
def test_did_you_mean_suggests_the_nearest_option_or_nothing(word, hint):
    assert did_you_mean(word, ["sgd", "AdamW", "lion"]) == hint


def test_did_you_mean_without_options_is_empty():
    assert did_you_mean("adamw", []) == ""
