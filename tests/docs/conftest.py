import sys
from pathlib import Path

# The generators of the site are scripts that import each other.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "site"))
