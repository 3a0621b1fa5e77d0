"""The pages of results show what their data files say, and a run is added with one command."""

import json
import shutil
from pathlib import Path

import add_result
import pytest
import result_tables as tables
from scipy.stats import ttest_1samp

from fer.training.run_record import RunRecord

ROOT = Path(__file__).resolve().parents[2]
RUNS = tables.read("results.jsonl")
CONFIRMED = {entry["title"]: entry for entry in tables.read("optimizers.jsonl") if "estimate" in entry}
SEEDS = (0.568, 0.572, 0.58)
# Recipe and machine, and a file with what it says of these runs.
SENTENCES = [
    ("fer2013_fast", "Zen 4", "conf/experiment/fer2013_fast.yaml",
     "{mean} % on PublicTest (three seeds) in {fit}"),
    ("fer2013_fast", "Zen 4", "docs/optimizers.md", "{mean} % ({seeds} over three seeds)"),
    ("fer2013_fast", "Zen 4", "docs/decisions/0003-recipes-for-two-cores.md", "{seeds} %"),
    ("fer2013_fast", "Zen 4", "docs/training.md",
     "fer2013_fast datamodule.path=$HOME/data/fer2013.csv # {fit}"),
    ("fer2013_fast", "Zen 4", ".github/ISSUE_TEMPLATE/number.yml", "experiment=fer2013_fast, {mean} %"),
    ("fer2013_10min", "Zen 4", "conf/experiment/fer2013_10min.yaml",
     "{mean} % on PublicTest (three seeds)"),
    ("fer2013_10min", "Zen 4", "docs/start/report.md", "accuracy of {mean} %"),
    ("fer2013_10min", "Zen 4", "docs/concepts/intervals.md", "An accuracy of {mean} % on 3,589 images"),
    ("fer2013_gpu", "H100", "conf/experiment/fer2013_gpu.yaml",
     "{mean} % on PublicTest (seed 0, stopped after {epochs} of the {max_epochs} epochs)"),
    ("fer2013_gpu", "H100", "docs/predict.md", "({mean} % in fp32, 72.3 % in int8"),
    ("fer2013_long", "Zen 4", "conf/experiment/fer2013_long.yaml",
     "{mean} % on PublicTest in {minutes} minutes"),
    ("fer2013_long", "Zen 4", "docs/training.md", "# {minutes} minutes of one core"),
    ("fer2013_long model=fast_cnn_wide trainer.max_epochs=50", "Zen 4", "conf/experiment/fer2013_long.yaml",
     "trainer.max_epochs=50 {mean} % in {minutes} minutes"),
    ("fer2013_quick", "Zen 4", "conf/experiment/fer2013_quick.yaml",
     "{mean} % on PublicTest (seed 0) in {fit}"),
    ("fer2013_quick", "AVX2", "conf/experiment/fer2013_quick.yaml", "{mean} % (three seeds) in {fit}"),
    ("transfer_resnet50 model.init_from=RUN", "Zen 4", "conf/experiment/transfer_resnet50.yaml",
     "{mean} % on PublicTest (seed 0) in {minutes} min"),
]  # fmt: skip


def plain(path):
    """Return the text of a file in one line, without the marks of comments."""
    return " ".join((ROOT / path).read_text().replace("\n#", "\n").split())


def row_of(recipe, machine):
    rows = tables.recipes(RUNS)
    return next(
        row for row in rows if row[0]["recipe"] == f"experiment={recipe}" and machine in row[0]["machine"]
    )


@pytest.mark.parametrize("page", sorted({page for page, _ in tables.TABLES.values()}))
def test_a_page_has_the_tables_of_the_files(page):
    text = (ROOT / page).read_text()
    assert tables.filled(page, text) == text, "Run scripts/result_tables.py."


@pytest.mark.parametrize(("recipe", "machine", "path", "sentence"), SENTENCES)
def test_a_sentence_has_the_figures_of_the_runs(recipe, machine, path, sentence):
    row = row_of(recipe, machine)
    runs = tables.runs_of(row)
    seconds = next(entry["fit_seconds"] for entry in row if entry["fit_seconds"])
    sentence = sentence.format(
        **{key: runs[0][key] for key in ("epochs", "max_epochs")},
        mean=tables.mean_and_deviation(row, "accuracy").split(" %")[0],
        seeds=", ".join(tables.percent(run["accuracy"]) for run in runs),
        fit=tables.fit(row),
        minutes=f"{seconds / 60:.0f}",
    )
    assert sentence in plain(path)


def test_the_swept_recipe_has_the_figures_of_its_confirmation():
    (swept,) = (entry for title, entry in CONFIRMED.items() if "fer2013_swept" in title)
    mean, searched = tables.percent(swept["estimate"][0]), tables.percent(swept["search"])
    assert f"{mean} % on PublicTest" in plain("conf/experiment/fer2013_swept.yaml")
    assert f"{searched} % in the search" in plain("conf/experiment/fer2013_swept.yaml")
    page = plain("docs/concepts/selection-bias.md")
    assert f"had {searched} % on PublicTest. Trained again with three new seeds it had {mean} %" in page
    bias = tables.percent(swept["search"] - swept["estimate"][0])
    assert f"The {bias} points between are selection bias" in page
    assert f"selection bias of the best recipes was {bias} points" in plain("docs/optimizers.md")


@pytest.mark.parametrize("name", ["fer2013", "fer2013_48px"])
def test_the_models_of_the_package_have_the_figures_of_their_cards(name):
    card = json.loads((ROOT / "fer" / "zoo" / name / "card.json").read_text())
    scores = [card["metrics"]["val"]["figures"][metric] for metric in tables.METRICS]
    accuracy, macro_f1, uar = (tables.percent(score["value"]) for score in scores)
    bounds = tables.interval(scores[0]["low"], scores[0]["high"])
    assert f"int8 | {accuracy} % {bounds} | {macro_f1} % | {uar} % |" in plain("docs/predict.md")
    if name == "fer2013":
        assert f"package has {accuracy} % on PublicTest" in plain("docs/concepts/duplicates.md")


def test_the_examples_of_robustness_are_those_of_the_evaluations():
    page = plain("docs/robustness.md")
    faces, photographs = (tables.evaluation(name) for name in ("fer2013", "fer2013_photographs"))
    accuracy, ece = tables.estimate(faces["accuracy"]), tables.estimate(faces["clean"]["ece"])
    assert f"without corruption it is {accuracy}, and the ECE {ece}" in page
    assert f"Without corruption it is {tables.estimate(photographs['accuracy'])}" in page


@pytest.mark.parametrize("entry", RUNS, ids=lambda entry: f"{entry['recipe']} {entry.get('seed', 'all')}")
def test_a_line_says_where_its_figures_are_from(entry):
    assert entry["source"]
    assert entry["machine"]
    assert "seeds" in entry or 0.5 < entry["accuracy"] < 0.8


def test_the_interval_is_that_of_students_t():
    low, high = ttest_1samp(SEEDS, 0).confidence_interval(0.95)
    assert tables.t_interval(SEEDS) == f"[{100 * low:.1f}, {100 * high:.1f}]"


def line(seed, **others):
    known = {
        "recipe": "r",
        "machine": "m",
        "precision": "32-true",
        "seed": seed,
        "accuracy": 0.6,
        "uar": None,
    }
    return known | {"fit_seconds": None} | others


def test_mean_and_deviation_kept_of_other_seeds_are_not_shown():
    kept = {"recipe": "r", "machine": "m", "precision": "32-true", "seeds": [0, 1], "uar": [0.5, 0.01]}
    assert tables.mean_and_deviation([line(0), line(1), kept], "uar") == "50.0 % ± 1.0"
    assert tables.mean_and_deviation([line(0), line(1), line(2), kept], "uar") == ""
    assert tables.mean_and_deviation([line(0), line(1, accuracy=0.62)], "accuracy") == "61.0 % ± 1.4"
    assert tables.fit([line(0), line(1, fit_seconds=90.4)]) == "90 s"


def write_run(folder, seed, split="PublicTest", **others):
    """Write a run folder as `fer-train` does, without weights."""
    folder.mkdir()
    best = {"epoch": 2, "val/accuracy": SEEDS[seed], "val/macro_f1": 0.5, "val/uar": 0.5}
    path = "datamodule.path=/srv/me/fer2013.csv hydra.run.dir=/srv/me/runs/1"
    command = f"fer-train {path} model.init_from=/srv/me/r experiment=fer2013_fast seed={seed}"
    record = {"id": f"id{seed}", "status": "finished", "seed": seed, "command": command, "device": "cuda:0"}
    record |= {"best": best, "validation_images": 3589, "fit_seconds": 50.0 + seed, "epochs": 2}
    record |= {"precision": "bf16-mixed", "manifest": {"splits": {"val": {"split": split, "count": 3589}}}}
    RunRecord(**record | others).write(folder)
    (folder / "config.yaml").write_text("trainer: {max_epochs: 4}\n")
    return folder


@pytest.fixture
def docs(tmp_path, monkeypatch):
    """Copy the pages and their data, so that the script writes there."""
    files = {page for page, _ in tables.TABLES.values()}
    files |= {
        f"docs/{name}" for name in ("speed.json", *(path.name for path in (ROOT / "docs").glob("*.jsonl")))
    }
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    return tmp_path / "docs"


def test_runs_of_several_seeds_become_one_row(docs, tmp_path, monkeypatch):
    folders = [write_run(tmp_path / str(seed), seed) for seed in range(3)]
    # The first run is named again, as when a command is repeated, and another one has its seed.
    folders += [folders[0], write_run(tmp_path / "again", 1, id="other")]
    arguments = [*map(str, folders), "--note", "on an idle GPU"]
    monkeypatch.setattr("sys.argv", ["add_result.py", *arguments])
    add_result.main()
    new = [json.loads(text) for text in (docs / "results.jsonl").read_text().splitlines()][len(RUNS) :]
    assert sorted(entry["seed"] for entry in new) == [0, 1, 2]
    assert {entry["recipe"] for entry in new} == {"experiment=fer2013_fast model.init_from=RUN"}
    assert "/srv/me" not in (docs / "results.jsonl").read_text()
    page = (docs / "results.md").read_text().replace("&nbsp;", " ")
    (row,) = (text for text in page.splitlines() if "on an idle GPU" in text)
    assert "`, stopped after 2 of 4 epochs, on an idle GPU | **57.3 % ± 0.6** " in row
    assert row.endswith("51 s<br>cuda:0, bf16 | 3,589 |")


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(SystemExit, match="validated on PublicTest, got validation on test"):
        add_result.run_entry(write_run(tmp_path / "a", 0, split="test"))
    with pytest.raises(SystemExit, match="got no run with metrics"):
        add_result.run_entry(tmp_path)
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(SystemExit, match="fer-evaluate --corruptions, got one without"):
        add_result.report_entry(tmp_path, "mine")


def test_a_folder_with_neither_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["add_result.py", str(tmp_path)])
    with pytest.raises(SystemExit, match="got neither"):
        add_result.main()


def test_a_report_keeps_its_estimates(tmp_path):
    estimate = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 70, "note": ""}
    about = {"model_sha256": "abc", "faces": {"detector": "yunet"}}
    report = {"title": "a: all", "about": about, "scores": {"accuracy": estimate}}
    report["robustness"] = {"images": 70, "clean": {"ece": estimate}}
    (tmp_path / "metrics.json").write_text(json.dumps(report))
    assert add_result.report_entry(tmp_path, "mine") == {
        "name": "mine", "on": "photographs, yunet", "model_sha256": "abc", "accuracy": [0.5, 0.4, 0.6],
        "images": 70, "clean": {"ece": [0.5, 0.4, 0.6]},
    }  # fmt: skip
