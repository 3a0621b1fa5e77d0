"""Configs of the training recipe: ``loss``, ``imbalance``, ``optimizer``, ``scheduler`` and ``mix``."""

from operator import not_
from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field

from fer.core.config import Choice, Config, Fraction, NotNegative, Number, Open, Positive
from fer.core.paths import expand_user
from fer.core.registry import LOSSES, OPTIMIZERS, SCHEDULERS, Registry


class LossConfig(Choice):
    """A loss; the subclass is chosen by ``name``.

    Attributes:
        label_smoothing: Fraction of the target that is spread over all emotions.
        source_adjustment: How far the frequency of an emotion in a source of ``datamodule=concat`` explains
            the labels of its images; 0: not at all.
    """

    key: ClassVar[str] = "loss"
    label_smoothing: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    source_adjustment: Annotated[Fraction, Field(exclude_if=not_)] = 0.0


class CrossEntropyConfig(LossConfig):
    """Cross-entropy."""

    name: Literal["cross_entropy"] = "cross_entropy"


class BalancedSoftmaxConfig(LossConfig):
    """Balanced softmax: adds the log class frequencies to the logits."""

    name: Literal["balanced_softmax"] = "balanced_softmax"


class LogitAdjustmentConfig(LossConfig):
    """Balanced softmax with a strength ``tau``; 0 is cross-entropy."""

    name: Literal["logit_adjustment"] = "logit_adjustment"
    tau: NotNegative = 1.0


class FocalConfig(LossConfig):
    """Focal loss with its focusing parameter ``gamma``; 0 is cross-entropy."""

    name: Literal["focal"] = "focal"
    gamma: NotNegative = 2.0


class GeneralisedCrossEntropyConfig(LossConfig):
    """Generalised cross-entropy with its robustness to noisy labels ``q``."""

    name: Literal["generalised_cross_entropy"] = "generalised_cross_entropy"
    q: Annotated[Number, Field(gt=0, le=1)] = 0.7


class SymmetricCrossEntropyConfig(LossConfig):
    """Symmetric cross-entropy: weights of both terms, and the value used for log(0) of a label."""

    name: Literal["symmetric_cross_entropy"] = "symmetric_cross_entropy"
    alpha: NotNegative = 0.1
    beta: NotNegative = 1.0
    log_zero: Annotated[Number, Field(lt=0)] = -4.0


class SoftTargetsConfig(LossConfig):
    """KL divergence from the annotators' votes."""

    name: Literal["soft_targets"] = "soft_targets"


class ExpectedLabelsConfig(LossConfig):
    """Cross-entropy with the fraction ``vote_share`` of each label replaced by that expected from votes."""

    name: Literal["expected_labels"] = "expected_labels"
    vote_share: Fraction = 0.5


class ImbalanceConfig(Choice):
    """A correction of class imbalance; the subclass is chosen by ``name``."""

    key: ClassVar[str] = "imbalance"


class SimpleImbalanceConfig(ImbalanceConfig):
    """A correction without options."""

    name: Literal["none", "class_weights", "oversample"] = "none"


class EffectiveNumberConfig(ImbalanceConfig):
    """Weights by the effective number of samples; ``beta`` as in the paper."""

    name: Literal["effective_number"] = "effective_number"
    beta: Annotated[Number, Field(ge=0, lt=1)] = 0.999


class OptimizerConfig(Open):
    """An optimizer; further keys are passed to it.

    Attributes:
        name: A name of ``timm.optim.list_optimizers()``, ``sam``, or a registered optimizer.
        lr: Peak learning rate.
        weight_decay: Not applied to norms and biases.
        layer_decay: A layer ``d`` layers below the head has the learning rate ``lr * layer_decay ** d``.
    """

    model_config = ConfigDict(extra="allow")
    key: ClassVar[str] = "optimizer"
    registry: ClassVar[Registry] = OPTIMIZERS
    name: str
    lr: NotNegative = 1e-3
    weight_decay: NotNegative = 0.0
    layer_decay: Annotated[Number, Field(gt=0, le=1)] | None = None

    def without(self, key: str) -> "OptimizerConfig":
        """Return the config without a key that is passed to the optimizer."""
        return self.from_dict({name: value for name, value in self.to_dict().items() if name != key})


class RegisteredOptimizerConfig(OptimizerConfig):
    """Base of the options of a registered optimizer, whose keys are known."""

    model_config = ConfigDict(extra="forbid")


class SchedulerConfig(Choice):
    """A learning-rate schedule; the subclass is chosen by ``name``."""

    key: ClassVar[str] = "scheduler"


class ConstantConfig(SchedulerConfig):
    """A constant learning rate."""

    name: Literal["constant"] = "constant"


class CosineConfig(SchedulerConfig):
    """Linear warm-up, then a cosine.

    Attributes:
        warmup_share: Fraction of all steps with a linear warm-up.
        final_share: Final learning rate, as a fraction of the peak.
    """

    name: Literal["cosine"] = "cosine"
    warmup_share: Fraction = 0.05
    final_share: Fraction = 0.0


class OneCycleConfig(SchedulerConfig):
    """Warm-up, then decay to almost zero.

    Attributes:
        warmup_share: Fraction of all steps.
        anneal: Shape of both parts.
        div_factor: Peak / first learning rate.
        final_div_factor: First / last learning rate.
    """

    name: Literal["onecycle"] = "onecycle"
    warmup_share: Fraction = 0.3
    anneal: Literal["cos", "linear"] = "cos"
    div_factor: Positive = 25.0
    final_div_factor: Positive = 1e4


class PlateauConfig(SchedulerConfig):
    """Multiply the learning rate by ``factor`` after ``patience`` validated epochs without improvement."""

    name: Literal["plateau"] = "plateau"
    factor: Annotated[Number, Field(gt=0, lt=1)] = 0.3
    patience: Annotated[int, Field(ge=0)] = 3


class StepConfig(SchedulerConfig):
    """Multiply the learning rate by ``gamma`` every ``every_epochs`` epochs."""

    name: Literal["step"] = "step"
    every_epochs: Positive = 10
    gamma: Positive = 0.1


class MixConfig(Choice):
    """Mixing of images; the subclass is chosen by ``name``."""

    key: ClassVar[str] = "mix"


class NoMixConfig(MixConfig):
    """No mixing of images."""

    name: Literal["none"] = "none"


class PairMixConfig(MixConfig):
    """Mixup or CutMix.

    Attributes:
        alpha: Both parameters of the Beta distribution of the mixing ratio.
        probability: Probability that a batch is mixed.
    """

    name: Literal["mixup", "cutmix"]
    alpha: Positive = 1.0
    probability: Fraction = 1.0


class DistillConfig(Config):
    """Knowledge distillation (Hinton et al. 2015, https://arxiv.org/abs/1503.02531).

    Attributes:
        teachers: Run folders, checkpoints, folders of bundles, or names of models; their probabilities are
            averaged.
        weight: Weight of the teachers' loss; the rest is that of the labels.
        temperature: Divides the logits of teachers and student in the teachers' loss.
    """

    key: ClassVar[str] = "distill"
    teachers: Annotated[list[str], Field(min_length=1)]
    weight: Fraction = 0.5
    temperature: Positive = 2.0

    def with_absolute_paths(self) -> Self:
        """Return a copy in which the paths that exist are absolute; the others are names of models."""
        paths = [(name, expand_user(name)) for name in self.teachers]
        return self.replace(
            teachers=[str(path.absolute()) if path.exists() else name for name, path in paths]
        )


LOSSES.add("cross_entropy", "fer.training.losses:CrossEntropy", CrossEntropyConfig)
LOSSES.add("balanced_softmax", "fer.training.losses:balanced_softmax", BalancedSoftmaxConfig)
LOSSES.add("logit_adjustment", "fer.training.losses:LogitAdjusted", LogitAdjustmentConfig)
LOSSES.add("focal", "fer.training.losses:Focal", FocalConfig)
LOSSES.add(
    "generalised_cross_entropy",
    "fer.training.losses:GeneralisedCrossEntropy",
    GeneralisedCrossEntropyConfig,
)
LOSSES.add(
    "symmetric_cross_entropy", "fer.training.losses:SymmetricCrossEntropy", SymmetricCrossEntropyConfig
)
LOSSES.add("soft_targets", "fer.training.losses:SoftTargets", SoftTargetsConfig)
LOSSES.add("expected_labels", "fer.training.losses:ExpectedLabels", ExpectedLabelsConfig)
# Further optimizers are those of timm; these of its names are in ``conf/optimizer``.
OPTIMIZERS.reserve("timm", "adam", "adamw", "sgd")
OPTIMIZERS.add("muon", "fer.training.optim:build_muon")
OPTIMIZERS.add("sam", "fer.training.optim:build_sam")
SCHEDULERS.add("constant", "fer.training.schedules:constant", ConstantConfig)
SCHEDULERS.add("cosine", "fer.training.schedules:cosine", CosineConfig)
SCHEDULERS.add("onecycle", "fer.training.schedules:onecycle", OneCycleConfig)
SCHEDULERS.add("plateau", "fer.training.schedules:plateau", PlateauConfig)
SCHEDULERS.add("step", "fer.training.schedules:step", StepConfig)
