"""Keys that stood elsewhere in earlier versions, so that runs of then and now can be compared and repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

MOVED: Mapping[tuple[str, str], tuple[str, str, Callable[[Any], Any]]] = {
    ("criterion", "delta_t"): ("schedule", "delta_t", lambda value: value),
    ("pattern", "regrow"): ("schedule", "regrow", lambda value: value),
    ("schedule", "initial_keep_ratio"): ("schedule", "first", lambda value: 1 - value),
}
"""Group and field; group and field now, and the value now."""


def moved(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A configuration as some version wrote it down, with every key where it stands now.

    Args:
        config: Plain values, whatever they are.

    >>> moved({"criterion": {"delta_t": 5, "signed": True}, "schedule": {"initial": 0.1}})
    {'criterion': {'signed': True}, 'schedule': {'initial': 0.1, 'delta_t': 5}}
    """
    for (group, field), (new_group, new_field, now) in MOVED.items():
        node = config.get(group)
        if isinstance(node, Mapping) and field in node and isinstance(config.get(new_group), Mapping):
            config = {**config, group: {name: value for name, value in node.items() if name != field}}
            config = {**config, new_group: {**config[new_group], new_field: now(node[field])}}
    return config
