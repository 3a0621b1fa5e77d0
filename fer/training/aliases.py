"""Options of other projects (Lightning's templates, timm, Ultralytics, keras) and what they are called here.

`alias_advice` answers an unknown option with the one to write, `timm_advice` a model that is one of timm's.
"""

from collections.abc import Iterable

from fer.core.errors import did_you_mean
from fer.core.paths import CONFIG_DIR

# What to write -> names that people try. {} is the value on the command line.
_ALIASES: dict[str, str] = {
    "optimizer.lr={}": "lr learning_rate optimizer.learning_rate model.lr model.optimizer.lr optim.lr lr0",
    "optimizer.weight_decay={}": "weight_decay wd decay model.optimizer.weight_decay optim.weight_decay",
    "optimizer=sgd optimizer.momentum={}": "momentum",
    "optimizer={}": "optim opt optimizer_name model.optimizer",
    "scheduler={}": "sched lr_scheduler schedule model.scheduler",
    "scheduler.warmup_share={} (a fraction of all steps)": "warmup warmup_epochs warmup_steps",
    "trainer.max_epochs={}": "epochs max_epochs num_epochs n_epochs trainer.epochs num_train_epochs",
    "trainer.accelerator=gpu trainer.devices={}": "gpus trainer.gpus num_gpus gpu",
    "trainer.accelerator={}": "device",
    "trainer.precision={}": "amp fp16 half mixed_precision dtype",
    "trainer.gradient_clip_val={}": "clip_grad grad_clip max_grad_norm",
    "trainer.profiler={}": "profile",
    "datamodule.batch_size={}": "batch_size batch bs data.batch_size train_batch_size",
    "datamodule={}": "dataset data",
    "datamodule.path={}": "data.path data_dir data_path data.data_dir paths.data_dir dataset_path csv "
    "datamodule.data_dir",
    "model={}": "arch backbone net network model_name architecture",
    "model=timm model.name={}": "model.arch model.backbone model.net model.architecture",
    "model.image_size={}": "imgsz img_size image_size input_size resolution datamodule.image_size",
    "model.dropout={}": "drop drop_rate model.drop_rate",
    "+model.kwargs.drop_path_rate={}": "drop_path drop_path_rate model.drop_path",
    "model.init_from={}": "weights initial_checkpoint finetune checkpoint",
    "ema=true": "model_ema use_ema swa_ema",
    "mix=mixup mix.alpha={}": "mixup mixup_alpha",
    "mix=cutmix mix.alpha={}": "cutmix cutmix_alpha",
    "augmentation={}": "aug augment augmentations transform transforms aa auto_augment",
    "imbalance=class_weights": "class_weights class_weight weighted_loss",
    "imbalance=oversample": "oversample weighted_sampler",
    "early_stopping_patience={}": "patience early_stopping trainer.patience callbacks.early_stopping "
    "callbacks.early_stopping.patience callbacks.early_stopping_patience",
    "monitor={}": "callbacks.model_checkpoint.monitor callbacks.early_stopping.monitor optimized_metric "
    "callbacks.model_checkpoint save_best metric",
    "logger=wandb, with options logger.wandb.NAME": "wandb use_wandb log_wandb report_to",
    "logger=tensorboard": "tensorboard use_tensorboard",
    "logger=wandb logger.wandb.project={}": "project wandb_project logger.project wandb.project",
    "logger=wandb logger.wandb.entity={}": "entity wandb_entity wandb.entity",
    "logger=wandb logger.wandb.group={}": "group wandb_group wandb.group",
    "name={}": "task_name exp_name run_name experiment_name run.name",
    "output_dir={}": "out_dir save_dir log_dir paths.output_dir paths.log_dir work_dir default_root_dir "
    "trainer.default_root_dir outdir",
    "sweep={}": "hparams_search hpo search",
    "seed={}": "random_seed seed_everything random_state",
    "print_config={}": "extras.print_config",
    "lr_find=true": "find_lr auto_lr_find trainer.auto_lr_find tune",
    "batch_size_find=true": "find_batch_size auto_scale_batch_size scale_batch_size autobatch "
    "trainer.auto_scale_batch_size",
    "trainer.enable_checkpointing={}": "checkpointing save_checkpoint save",
    "threads={}": "num_threads cpu_threads",
    # Choices: GROUP.CHOICE.
    "loss=cross_entropy": "loss.ce loss.crossentropy loss.nll",
    "debug=fast": "debug.fdr debug.fast_dev_run",
    "logger=csv (metrics.csv, which every run has)": "logger.none logger.null logger.false",
    "logger=all": "logger.many_loggers",
    "trainer.accelerator=mps": "trainer.mps",
    "trainer=ddp trainer.accelerator=cpu trainer.devices=2": "trainer.ddp_sim",
    "'+logger.comet={_target_: pytorch_lightning.loggers.CometLogger}'": "logger.comet",
    "'+logger.mlflow={_target_: pytorch_lightning.loggers.MLFlowLogger}'": "logger.mlflow",
    "'+logger.neptune={_target_: pytorch_lightning.loggers.NeptuneLogger}'": "logger.neptune",
}
# Names that are no option here -> why, and what to do.
_EXPLAINED: dict[str, str] = {
    "ckpt_path checkpoint_path ckpt resume_from resume_from_checkpoint": (
        "Write resume=RUN to resume a run, model.init_from={} to start from its weights, or use fer-evaluate "
        "RUN to score it."
    ),
    "workers num_workers data.num_workers datamodule.num_workers pin_memory datamodule.pin_memory "
    "persistent_workers": (
        "Write datamodule.workers=N for a data set of image files; one that is kept in memory has no "
        "workers. threads=N limits the CPU threads of a run."
    ),
    "num_classes nc n_classes model.num_classes classes": "It is the number of emotions of the data set.",
    "train": "fer-evaluate RUN scores a run without training it; test=true does so after training.",
    "eval evaluate val predict": "Write fer-evaluate RUN, or fer-predict --model BUNDLE IMAGES.",
    "config cfg conf": "Write experiment=NAME, or --config-dir FOLDER for config files of your own.",
    "callbacks.model_summary callbacks.rich_model_summary callbacks.rich_progress_bar": (
        "Write trainer.enable_model_summary=true, or "
        "+callbacks.bar._target_=pytorch_lightning.callbacks.RichProgressBar (RichModelSummary)."
    ),
    "callbacks.model_checkpoint.save_top_k callbacks.model_checkpoint.save_last "
    "callbacks.model_checkpoint.every_n_epochs save_top_k": (
        "A run keeps best.ckpt and last.ckpt. For others add "
        "+callbacks.more={_target_: pytorch_lightning.callbacks.ModelCheckpoint, save_top_k: 3, monitor: "
        "val/accuracy}."
    ),
    "callbacks.early_stopping.mode callbacks.model_checkpoint.mode": (
        "Losses and ece are minimised, all other metrics maximised."
    ),
}
_BY_NAME = {name: text for text, names in _ALIASES.items() for name in names.split()}
_EXPLAINED_BY_NAME = {name: text for names, text in _EXPLAINED.items() for name in names.split()}


def choice_advice(group: str, choice: str) -> str:
    """Return what to write for a choice of other projects that a group does not have; "" without advice."""
    key = f"{group}.{choice}"
    if key in _EXPLAINED_BY_NAME:
        return f" {_EXPLAINED_BY_NAME[key]}"
    text = _BY_NAME.get(key, "").replace("{}", "…")
    return f" Write {text}." if text else ""


def alias_advice(key: str, value: str, known: Iterable[str]) -> str | None:
    """Return what to write for an option of other projects; None if it is not one that is known.

    Args:
        key: The unknown option.
        value: Its value on the command line; "" if it is not known.
        known: Keys of the config; one whose last part is ``key``, such as ``trainer.precision``, is offered.
    """
    if key in _EXPLAINED_BY_NAME:
        return _EXPLAINED_BY_NAME[key].replace("{}", value or "RUN")
    if key == "data" and "/" in value:
        key = "data_path"
    if key == "device" and value.replace(",", "").isdigit():
        key, value = "gpus", f"[{value}]"
    if _BY_NAME.get(key) == "model={}" and value and not (CONFIG_DIR / "model" / f"{value}.yaml").is_file():
        return f"Write model=timm model.name={value}."
    if text := _BY_NAME.get(key):
        return f"Write {text.replace('{}', value or '…')}." if "{}" in text else f"Write {text}."
    ends = [f"{name}={value or '…'}" for name in known if name.endswith(f".{key}")]
    return f"Write {' or '.join(ends)}." if 0 < len(ends) <= 3 else None


def timm_advice(name: str) -> str:
    """Return what to write if a model is one of timm's, or the nearest of timm's names; "" otherwise.

    Imports timm, and with it torch, which takes seconds.
    """
    try:
        import timm
    except ModuleNotFoundError:
        return ""
    architecture = name.partition(".")[0]
    if name in timm.list_models() or architecture in timm.list_models():
        return f" It is a model of timm: write model=timm model.name={name}."
    near = did_you_mean(name, timm.list_models()).partition("'")[2].rstrip("'?")
    return f" Did you mean model=timm model.name={near}?" if near else ""
