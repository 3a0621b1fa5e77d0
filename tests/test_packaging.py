import subprocess
import zipfile
from pathlib import Path

from fer.core.paths import CONFIG_DIR

ROOT = Path(__file__).resolve().parent.parent


def test_wheel_contains_the_configs(tmp_path):
    command = ["uv", "build", "--wheel", "--quiet", "--out-dir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, timeout=120)
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    assert {f"fer/conf/{path.relative_to(CONFIG_DIR)}" for path in CONFIG_DIR.rglob("*.yaml")} <= names
    assert "fer/training/hydra_app.py" in names
    page = ROOT / "fer" / "web" / "page"
    assert {f"fer/web/page/{path.name}" for path in page.iterdir()} <= names
    assert not any(name.startswith(("tests/", "outputs/")) for name in names)
