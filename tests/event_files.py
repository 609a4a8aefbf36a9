"""What TensorBoard reads of its event files."""

from __future__ import annotations

from pathlib import Path


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values of each tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}  # pyright: ignore


def texts(folder: Path) -> dict[str, str]:
    """The last text of each tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    tags = events.Tags()["tensors"]  # pyright: ignore
    found = {str(tag): events.Tensors(tag)[-1].tensor_proto.string_val[0].decode() for tag in tags}  # pyright: ignore
    return {tag.removesuffix("/text_summary"): text for tag, text in found.items()}
