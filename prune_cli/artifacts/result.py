"""What a run came to: the content of result.json."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

FORMAT = 1
"""Version of the layout of result.json."""

COMPUTATION = 3
"""Version of what a run computes, raised by each change after which the same configuration ends with other bits on the same
machine. 3 since a teacher is asked once about a record (2026-11-30), 2 since the evaluations of few steps, new regressions, soft
movement, oBERT and distances of states (2026-11-29)."""

_LARGEST = 2**63
"""Numbers stay below it: those who count cannot hold more."""

Number = Annotated[float, Field(allow_inf_nan=False, gt=-_LARGEST, lt=_LARGEST)]
Whole = Annotated[int, Field(gt=-_LARGEST, lt=_LARGEST)]


def _with(*keys: str) -> AfterValidator:
    """A table with these keys, others or not."""

    def check(table: Mapping[str, Any]) -> Mapping[str, Any]:
        if missing := {*keys} - table.keys():
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        return table

    return AfterValidator(check)


Choices = Annotated[dict[str, str], _with("task", "model", "criterion", "regularization")]


def _is_sample(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """Texts and whether they agree, beside whatever the task reads."""
    texts = all(isinstance(table[name], str) for name in ("expected", "predicted"))
    if not (texts and isinstance(table["right"], bool)):
        raise ValueError("a sample has texts that were expected and predicted, and whether that is right")
    return table


Sample = Annotated[dict[str, Any], _with("expected", "predicted", "right"), AfterValidator(_is_sample)]


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What a file of the run has to be."""

    bytes: Whole
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best evaluation of a model as sparse as the final one, over the same records.

    Attributes:
        metric: The primary one.
        step: After which it was.
        records: That were evaluated.
        metrics: All, by name.
    """

    metric: Number
    step: Whole
    records: Whole
    metrics: Mapping[str, Number | None]


@dataclass(frozen=True, kw_only=True)
class Sparsity:
    """The sparsity that was asked for, and what there is.

    Attributes:
        target: Fraction of the prunable weights, in [0, 1].
        measured: The same, counted in the saved file.
        zeros_by_mask: Weights that the mask removes.
        zeros_in_file: Zeros among the prunable weights that were saved.
        prunable: Weights that may be pruned.
        parameters: Of the whole model.
        of_model: Zeros as a fraction of these.
    """

    target: Number
    measured: Number
    zeros_by_mask: Whole
    zeros_in_file: Whole
    prunable: Annotated[Whole, Field(gt=0)]
    parameters: Whole
    of_model: Number


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A prunable matrix.

    Attributes:
        shape: As it is stored.
        zeros: In the saved file.
        sparsity: The one divided by the other.
    """

    name: str
    shape: list[Whole]
    zeros: Whole
    weights: Whole
    sparsity: Number


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """Multiplications for a token in the Transformer blocks.

    Attributes:
        dense: Of the whole model.
        left: Once what is empty is cut out.
        share: The one divided by the other.
    """

    dense: Whole
    left: Whole
    share: Number


@dataclass(frozen=True, kw_only=True)
class Seconds:
    """Seconds that a run took, over all its parts where it was resumed.

    Attributes:
        total: In all.
        train: Without evaluations.
        evaluate: In evaluations.
    """

    total: Number
    train: Number
    evaluate: Number


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run came to.

    Attributes:
        name: Of the run folder.
        id: Identity of the run: what it computes, in 16 hexadecimal digits.
        config: The resolved configuration, without secrets.
        records: Hash of the records, wherever they lie.
        weights: Of the model that it began with.
        teacher: Of the first teacher; None without one.
        extra: Of the extra records; None without any.
        auto_class: Class of transformers that loads the model.
        metric: Its value at the end.
        metrics: All metrics at the end; None where one is no number.
        signatures: How libraries computed metrics, by metric.
        best_at_target: None where no evaluation was of the final sparsity.
        only_prediction: What the model says of every record; None where it tells them apart.
        taught_steps: Steps in which there was a teacher; None where none is wanted.
        teacher_metric: Primary metric of the first teacher.
        teacher_cached: Share of what was asked of the teacher that it had answered before; None where answers are not kept.
        teacher_records: Records that it was evaluated on.
        layers: Of each prunable matrix.
        arithmetic: None where the architecture has no rules.
        kept_step: The step whose weights are saved.
        epochs: Passes over the training records.
        precision: Of the training, fp32 or bf16.
        steps_per_second: Of training.
        peak_memory_bytes: Of the process that finished it.
        small: "compact" or "plain" where empty units were cut out of the saved model, which then is of that form.
        files: Bytes of the files of weights.
        computation: See `COMPUTATION`.
        versions: Of Python and the packages that matter.
        git_commit: Of the code; None where it is in no repository.
        machine: Where it was finished, and by how many processes.
        finished: When, ISO 8601.
        samples: Some predictions.
        promised: What the run's other files have to be; empty in a result that is kept without them.
        teacher_run: Identity of the run that made the first teacher, in a result that a study keeps.
        format: See `FORMAT`.
    """

    name: str
    id: str
    choices: Choices
    config: dict[str, Any]
    records: str
    weights: str
    teacher: str | None
    extra: str | None
    seed: Whole
    auto_class: str
    primary_metric: str
    metric: Number
    metrics: Mapping[str, Number | None]
    signatures: dict[str, str]
    best_at_target: Best | None
    only_prediction: str | None
    taught_steps: Whole | None
    teacher_metric: Number | None
    teacher_records: Whole
    sparsity: Sparsity
    layers: Annotated[list[Layer], Field(min_length=1)]
    arithmetic: Arithmetic | None
    steps: Whole
    kept_step: Whole
    epochs: Number
    precision: str
    seconds: Seconds
    steps_per_second: Number
    peak_memory_bytes: Whole
    small: str | None
    files: dict[str, Whole]
    computation: Whole
    versions: dict[str, str]
    git_commit: str | None
    machine: dict[str, Any]
    finished: str
    teacher_cached: Number | None = None
    samples: list[Sample] = field(default_factory=list[dict[str, Any]])
    promised: dict[str, Promise] = field(default_factory=dict[str, Promise])
    teacher_run: str | None = None
    format: Whole = FORMAT

    @staticmethod
    def of(values: Any) -> Result:
        """Check what was read.

        Raises:
            ValueError: If they are not what a run writes; the message names the fields.
        """
        try:
            return _adapter().validate_json(json.dumps(values), strict=True)  # as JSON a table is taken for a class
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_context=False, include_input=False)
            missing = [str(each["loc"][0]) for each in wrong if each["type"] == "missing" and len(each["loc"]) == 1]
            if missing:
                raise ValueError(f"it lacks {', '.join(missing)}") from error
            odd = dict.fromkeys(str(each["loc"][0]) for each in wrong if each["loc"])
            raise ValueError(f"it is not what a run writes: {', '.join(odd)}".rstrip(": ")) from error

    def plain(self) -> dict[str, Any]:
        """The same as plain values, `format` first."""
        return {"format": self.format, **asdict(self)}

    def text(self) -> str:
        """The content of result.json."""
        return json.dumps(self.plain(), indent=2) + "\n"


@functools.cache
def _adapter() -> TypeAdapter[Result]:
    return TypeAdapter(Result)
