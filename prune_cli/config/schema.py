"""Every key of the configuration, with its type, unit and range.

Groups whose options differ in kind (task, criterion, schedule, pattern, regularization, data) name a class by `_target_`;
the fields of that class are their schema, documented there. The other groups are typed here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from prune_cli.marks import BY_CONTENT, NO_RESULT


@dataclass
class ModelConfig:
    """A pre-trained model: a folder or an id on the hub, or a random one for tests."""

    name: str | None = field(default=None, metadata=BY_CONTENT)
    """Hub id or local folder with weights, config and tokenizer."""
    architecture: str | None = None
    """Kind of model: encoder, decoder or encoder-decoder. It is checked against the task before anything is downloaded; a
    config.json or GGUF file that is here already decides instead."""
    revision: str | None = field(default=None, metadata=BY_CONTENT)
    """Commit or tag on the hub; null for the newest."""
    package: str | None = field(default=None, metadata=BY_CONTENT)
    """Installed Python package that ships the model; preferred to `name` where it is installed. Never imported."""
    package_folder: str = field(default="model", metadata=BY_CONTENT)
    """Folder inside that package."""
    gguf_file: str | None = field(default=None, metadata=BY_CONTENT)
    """GGUF file with config, tokenizer and weights: inside the package's folder if `package` is set, else inside the folder
    `name`; with neither, the path of a file. Without the package that is named, it does not apply."""
    sha256: str | None = field(default=None, metadata=BY_CONTENT)
    """Expected SHA-256 of the package's model.safetensors or GGUF file, 64 hexadecimal digits."""
    random: dict[str, Any] | None = None
    """Config of a randomly initialized model instead (`model_type` and sizes); its tokenizer is trained on the task's texts."""
    include: str | None = None
    """Regular expression: prune only weights whose name it finds. Null for all in the Transformer blocks."""
    exclude: str | None = None
    """Regular expression: leave weights alone whose name it finds."""
    trust_remote_code: bool = False
    """Run code that comes with a hub model. Only for repositories that you trust."""


@dataclass
class TrainerConfig:
    """How long and how fast to train; the Hugging Face Trainer does it."""

    epochs: float = 10.0
    """Passes over the training records, > 0; ignored where max_steps is set."""
    max_steps: int | None = None
    """Optimizer steps, > 0; null to count by epochs."""
    batch_size: int = 32
    """Training records a step and device, > 0."""
    eval_batch_size: int = 64
    """Validation records a forward pass and device, > 0."""
    gradient_accumulation: int = 1
    """Batches a step, > 0."""
    activation_checkpointing: bool = False
    """Keep few activations and compute the others again in the backward pass: much less memory, slower steps."""
    learning_rate: float = 5e-5
    """Peak learning rate of AdamW, > 0."""
    warmup: float = 0.1
    """Learning-rate warm-up: a fraction of the run below 1, steps from 1 on."""
    weight_decay: float = 0.0
    """Decoupled weight decay, >= 0."""
    max_grad_norm: float = 1.0
    """Gradient norm is clipped at this value before scoring, > 0."""
    eval_steps: int = 50
    """Evaluate every so many steps (at the next step with masked weights), > 0."""
    save_steps: int = field(default=200, metadata=NO_RESULT)
    """Write a checkpoint every so many steps (at the next step with masked weights), > 0."""
    log_steps: int = field(default=10, metadata=NO_RESULT)
    """Log the mean training loss every so many steps, > 0."""
    keep_checkpoints: int = field(default=2, metadata=NO_RESULT)
    """Checkpoints kept while running, > 0; a finished run keeps none."""
    group_by_length: bool = True
    """Batch records of similar length together: less padding."""
    precision: str = "auto"
    """fp32, bf16 (autocast), or auto: bf16 where the hardware has it."""
    device: str = field(default="auto", metadata=NO_RESULT)
    """auto: a GPU where there is one; cpu: never a GPU."""


@dataclass
class TrackingConfig:
    """Where runs are logged beside the run folder."""

    trackers: dict[str, Any] = field(default_factory=dict)
    """A class by `_target_` for each, filled in by the options of the group: tracking=wandb, or tracking=[wandb,tensorboard]."""
    project: str = "prune-lm"
    """What runs are gathered under."""
    entity: str | None = None
    """W&B user or team; null for the default of the login."""
    group: str | None = None
    """Runs that belong together; null for "<task>-<model>"."""
    tags: list[str] = field(default_factory=list)
    """Tags beside task, model, criterion and sparsity."""
    artifacts: bool = False
    """Hand the pruned model and the pictures over at the end, where the tracker takes files."""
    timeout: float = 30.0
    """Seconds that a tracker may take to start, and to finish; then the run goes on without it, > 0."""


@dataclass
class Config:
    """One run."""

    task: Any = MISSING
    """Group: what is learned (`prune list tasks`)."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """Group: what is pruned (`prune list models`)."""
    criterion: Any = MISSING
    """Group: which weights matter (`prune list criteria`)."""
    schedule: Any = MISSING
    """Group: how sparsity grows over the steps (`prune list schedules`)."""
    pattern: Any = MISSING
    """Group: which weights compete with each other (`prune list patterns`)."""
    regularization: Any = MISSING
    """Group: what the student learns from beside the labels (`prune list regularizations`)."""
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    """Group: steps, batches, learning rate."""
    data: Any = MISSING
    """Group: where records come from: hub, local, synthetic."""
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    """Group: where the run is logged beside its folder (`prune list tracking`)."""
    sparsity: float = 0.9
    """Fraction of the prunable weights that is removed, from 0 (plain fine-tuning) to 1."""
    seed: int = 42
    """Seed of everything random, >= 0."""
    output_dir: str = "runs"
    """Folder in which the run makes its own folder."""
    overwrite: bool = False
    """Redo a run that has finished already."""
    fail_fast: bool = False
    """In a multirun, begin no more jobs once one has failed."""
    choices: dict[str, str] = field(default_factory=dict)
    """Which option each group took; filled in by the program."""
