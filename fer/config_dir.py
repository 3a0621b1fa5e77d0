"""The folder of the Hydra config files."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
# A wheel has them inside the package, a checkout beside it.
CONFIG_DIR = _HERE / "conf" if (_HERE / "conf").is_dir() else _HERE.parent / "conf"
