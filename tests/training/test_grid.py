"""Overrides with several values: their combinations, the arguments for Hydra, and mistakes."""

import shlex

import pytest
import yaml

from fer.core.errors import FerError
from fer.training.grid import common_error, override_values, parse_grid, short_words
from fer.training.multirun import rewritten
from fer.training.overrides import choices


def test_the_last_key_varies_fastest():
    grid = parse_grid(["seed=0,1", "trainer.max_epochs=3", "optimizer=adam,sgd"])
    assert grid.fixed == ["trainer.max_epochs=3"]
    assert grid.trials() == [
        ["seed=0", "optimizer=adam"], ["seed=0", "optimizer=sgd"],
        ["seed=1", "optimizer=adam"], ["seed=1", "optimizer=sgd"],
    ]  # fmt: skip
    assert grid.size() == "2 seed x 2 optimizer"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("seed=range(3)", ["seed=0", "seed=1", "seed=2"]),
        ("seed=choice(4,5)", ["seed=4", "seed=5"]),
        ("seed=1,1,2", ["seed=1", "seed=2"]),
        ("optimizer=glob(adam*)", ["optimizer=adam", "optimizer=adamw"]),
        ("+optimizer.amsgrad=true,false", ["+optimizer.amsgrad=True", "+optimizer.amsgrad=False"]),
        ("progressive=[],[[0,32]]", ["progressive=[]", "progressive=[[0,32]]"]),
        ("name='a,b',c", ["name='a,b'", "name=c"]),
    ],
)
def test_values_are_those_of_hydra(override, words):
    assert parse_grid([override]).trials() == [[word] for word in words]


def test_the_later_override_of_a_key_counts():
    assert parse_grid(["seed=0,1", "seed=3"]).trials() == [[]]
    assert parse_grid(["seed=3", "seed=0,1"]).trials() == [["seed=0"], ["seed=1"]]


def test_names_of_trials_are_short_where_they_stay_distinct():
    assert short_words(["optimizer.lr=1e-3", "+model.kwargs.depth=2"]) == ["lr=1e-3", "depth=2"]
    assert short_words(["optimizer.name=a", "loss.name=b"]) == ["optimizer.name=a", "loss.name=b"]
    assert override_values(["optimizer.lr=1e-3", "seed=2"]) == {"optimizer.lr": 0.001, "seed": 2}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lr=interval(0,1)", "got an interval. To search an interval, use sweep=custom"),
        ("optimizer=glob(x*)", "matches one of adam, adamw"),
        ("sweep=smoke,optimizers", "all trials share it"),
        ("hydra/launcher=basic,joblib", "all trials share it"),
    ],
)
def test_mistakes_in_values(override, message):
    with pytest.raises(FerError, match=message.replace(".", r"\.").replace("(", r"\(")):
        parse_grid([override])


def test_arguments_of_a_single_run_are_unchanged():
    for line in (
        "seed=1",
        "--help",
        "--cfg job seed=1",
        "seed=0,1",
        "-m hydra/sweeper=basic seed=0,1",
        "-m a",
    ):
        assert rewritten(shlex.split(line)) == shlex.split(line)


def test_arguments_of_a_grid_get_their_first_values():
    first = ["-m", "model=resnet18", "seed=0", '++sweep.grid=["seed=0,1"]', "sweep=grid"]
    assert rewritten(["-m", "seed=0,1", "model=resnet18"]) == first
    # Hydra itself does not accept overrides on both sides of an option.
    assert rewritten(["seed=0,1", "-m", "model=resnet18"]) == first
    assert "sweep=grid" in rewritten(["-m", "sweep.jobs=2"])
    assert "sweep=grid" not in rewritten(["-m", "sweep=smoke", "seed=0,1"])


def test_arguments_of_a_sweep_to_resume_are_those_of_its_start(tmp_path):
    stored = ["hydra/launcher=joblib", "trainer.max_epochs=2", "seed=0,1", "sweep.name=some"]
    (tmp_path / "overrides.yaml").write_text(yaml.safe_dump(stored))
    arguments = rewritten([f"sweep.resume={tmp_path}", "hydra/launcher=basic"])
    assert arguments[-1] == "-m" or arguments[0] == "-m"
    assert {"hydra/launcher=basic", "trainer.max_epochs=2", "sweep.name=some", "sweep.resume=true"} <= {
        *arguments
    }
    assert "hydra/launcher=joblib" not in arguments
    assert f'hydra.sweep.dir="{tmp_path}"' in arguments
    with pytest.raises(FerError, match=r"no overrides\.yaml"):
        rewritten([f"sweep.resume={tmp_path}/none"])


def test_an_error_of_all_trials_is_given_once():
    trials = [["seed=0"], ["seed=1"], ["seed=2"]]
    same = {number: FerError("Wrong.") for number in range(3)}
    assert str(common_error(same, trials)) == "Wrong."
    assert common_error({}, trials) is None
    assert str(common_error({1: FerError("Wrong.")}, trials)) == "trial 1 of 3 (seed=1): Wrong."
    two = common_error({1: FerError("Wrong."), 2: FerError("Wrong.")}, trials)
    assert str(two) == "trial 1 of 3 (seed=1) is wrong, and so is trial 2: Wrong."


SEARCH = "for a search write sweep=architecture"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("optimizer=adam,sgd", "fer-train -m optimizer=adam,sgd. For a list write 'optimizer=[adam,sgd]'"),
        ("seed=range(3)", "expected one value, got several. To train every combination: fer-train -m"),
        (
            "-m hydra/sweeper=optuna seed=0,1",
            f"expected fer (the default) or basic, got 'optuna'. {'Optuna'}",
        ),
        ("-m hydra/sweeper=optuna seed=0,1", SEARCH),
        ("-m hydra.sweeper.n_jobs=2 seed=0,1", "hydra/launcher=joblib sweep.jobs=2"),
        ("-m hydra.sweeper.n_trials=2 seed=0,1", "write sweep.n_trials=…"),
        ("-m seed=0,1 sweep.pruner.name=asha", "a grid has no such option"),
        (
            "-m loss=focal,cross_entropy loss.gamma=1",
            "trial 1 of 2 (loss=cross_entropy): Unknown option 'loss.gamma'",
        ),
        (
            "-m loss=cross_entropy,focal loss.gamma=1",
            "trial 0 of 2 (loss=cross_entropy): Unknown option 'loss.gamma'",
        ),
        (
            "-m seed=0,1 optimizer.lrr=1",
            "error: Unknown option 'optimizer.lrr'. Did you mean 'optimizer.lr'?",
        ),
        (
            "-m optimizer.lr=0.1,-1",
            "trial 1 of 2 (optimizer.lr=-1): optimizer.lr: expected a number of at least 0",
        ),
        (
            "-m loss=focal,cross_entropy +loss.gamma=1",
            "trial 0 of 2 (loss=focal): +loss.gamma: expected a key that the config lacks, got one",
        ),
        ("-m optimizer=adam,adem", "trial 1 of 2 (optimizer=adem): optimizer: expected one of adam"),
        ("-m seed=0,1 sweep.resume=true", "expected the folder of a grid, got true"),
        ("-m seed=0,1 trainer.devices=2", "a sweep trains each trial on one device"),
        ("-m seed=0,1 sweep.objective=test/accuracy", "expected a validation metric"),
    ],
)
def test_mistakes_are_reported_before_the_first_trial(line, message, fer_train, capsys, tmp_path):
    assert fer_train(*shlex.split(line)).status == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("outputs/multirun/*"))


def test_each_experiment_is_checked_as_what_it_composes_to(fer_train, capsys, fer2013_csv):
    names = [name for name in choices("experiment") if name.startswith("fer2013_")]
    for value in ("glob(fer2013_*)", ",".join(names)):
        # The path exists in all of them, and the last check, that of the data, fails for all.
        assert fer_train("-m", f"experiment={value}", "datamodule.path=/no/such.csv").status == 2
        error = capsys.readouterr().err
        assert error.startswith("error: /no/such.csv: expected a FER2013 CSV file")
