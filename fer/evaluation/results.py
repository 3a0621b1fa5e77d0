"""The results of an evaluation and of a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fer.analysis.metrics.comparison import Candidate, Pair, RankedCandidates
from fer.analysis.metrics.estimate import Estimate, format_with_interval
from fer.analysis.predictions import Predictions
from fer.analysis.report.document import Section


@dataclass(frozen=True)
class Result:
    """Predictions of a run or an ensemble, with and without test-time augmentation, and their estimates."""

    predictions: Predictions
    without_tta: Predictions
    estimates: Mapping[str, Estimate]
    estimates_without_tta: Mapping[str, Estimate]


@dataclass(frozen=True, repr=False)
class Report:
    """The result of `fer.evaluate`.

    Attributes:
        metrics: Name -> estimate: ``value``, ``low`` and ``high`` of its 95 % interval, ``n`` images. For
            several seeds, the headline metrics are means with intervals over seeds and images, and the others
            are those of the run with the median accuracy.
        predictions: Predictions of the run; for several seeds, those of the run with the median accuracy.
        page: Path of the report, ``index.html``.
        results: Predictions and estimates of each seed; otherwise a single item.
        sections: Content of the page.
    """

    metrics: Mapping[str, Estimate]
    predictions: Predictions
    page: Path
    results: Sequence[Result]
    sections: Sequence[Section]

    @property
    def folder(self) -> Path:
        """Folder with the page, ``report.md``, ``metrics.json`` and ``predictions.npz``."""
        return self.page.parent

    @property
    def warnings(self) -> list[str]:
        """What makes the metrics less trustworthy, such as data that changed since training."""
        return [text for section in self.sections if section.warning for text in section.paragraphs]

    def __repr__(self) -> str:
        """Return one line with the accuracy in percent and the path of the page."""
        accuracy = format_with_interval(self.metrics["accuracy"])
        return f"<accuracy {accuracy} %, n = {len(self.predictions):,}, {self.page}>"


@dataclass(frozen=True, repr=False)
class Comparison:
    """The result of `fer.compare`.

    Attributes:
        rankings: The candidates under each set of labels. There are several only for runs that were trained
            on different labels of the same images, such as FER2013 and FER+.
        conclusions: Sentences on the best candidate against each other one, under the first set of labels.
        page: Path of the report, ``index.html``.
        sections: Content of the page: one section for each ranking, then the others.
    """

    rankings: Sequence[RankedCandidates]
    conclusions: Sequence[str]
    page: Path
    sections: Sequence[Section]

    @property
    def folder(self) -> Path:
        """Folder with the page, ``report.md`` and ``metrics.json``."""
        return self.page.parent

    @property
    def conclusion(self) -> str:
        """The conclusions as one text."""
        return " ".join(self.conclusions)

    @property
    def candidates(self) -> Sequence[Candidate]:
        """Recipes or runs under the first set of labels, best first, with their size and speed."""
        return self.rankings[0].candidates

    @property
    def table(self) -> dict[str, Mapping[str, Estimate]]:
        """Name of each candidate, best first -> metric -> estimate, under the first set of labels."""
        names = (candidate.name for candidate in self.candidates)
        return dict(zip(names, self.rankings[0].estimates, strict=True))

    @property
    def pairs(self) -> Sequence[Pair]:
        """All pairs of candidates under the first set of labels: differences, intervals and p-values."""
        return self.rankings[0].pairs

    def __repr__(self) -> str:
        """Return one line with the conclusion and the path of the page."""
        return f"<{self.conclusion} {self.page}>"
