"""Where the config files lie."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
# In a wheel they lie inside the package, in a checkout beside it.
CONFIG_DIR = _HERE / "conf" if (_HERE / "conf").is_dir() else _HERE.parent / "conf"
