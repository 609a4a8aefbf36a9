"""Which difference is more than noise: paired tests over shared seeds, said in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from prune_cli.comparison.groups import Comparison, Group
from prune_cli.plain import shortened
from prune_cli.report.names import metric_label
from prune_cli.report.numbers import percent

LEVEL = 0.05
"""Probability of a difference as large by chance below which it is called more than noise."""
FEWEST = 3
"""Shared seeds from which on a test is made: with two, a difference would have to be absurd."""
FEW = 8
"""Sentences that a screen takes."""
COMPARED = 5
"""How many of the next best are compared with the best of a panel."""


@final
@dataclass(frozen=True, kw_only=True)
class Difference:
    """The best group of a panel beside another one.

    Attributes:
        best: The better one.
        other: Of the same task, model and sparsity.
        seeds: How many they share.
        difference: Mean of the metric's differences over shared seeds; over all runs where they share none.
        p: Probability of one at least as large if there were none, two-sided paired t-test, times the number of
            comparisons left (Holm 1979); None with fewer than FEWEST shared seeds, or where it is the same at each.
    """

    best: Group
    other: Group
    seeds: int
    difference: float
    p: float | None

    @property
    def real(self) -> bool:
        """Whether it is more than noise."""
        return self.p is not None and self.p < LEVEL


def differences(comparison: Comparison) -> list[Difference]:
    """Compare the best group of each panel with the others; one of too few seeds is the best only of others like it."""
    pairs = []
    for panel in comparison.panels():
        best, *others = sorted(panel, key=lambda group: (len(group.metric_of_seed) < FEWEST, -group.mean))
        pairs += _holm([_difference(best, other) for other in others[:COMPARED]])
    return pairs


def in_words(comparison: Comparison) -> list[str]:
    """Say which differences are more than noise, a sentence each."""
    return [*_tested(comparison), *saying_the_same(comparison)]


def _tested(comparison: Comparison) -> list[str]:
    tested = differences(comparison)
    enough = [each for each in tested if each.seeds >= FEWEST]
    if tested and not enough:
        return [
            f"No two rows of one task and sparsity share {FEWEST} seeds, so nothing says which difference is more than"
            " noise: add seed=1,2,3 to the runs."
        ]
    return [_sentence(each, comparison) for each in enough]


def saying_the_same(comparison: Comparison) -> list[str]:
    """Name the rows with a model that says the same of all records, whose metric is that of no skill."""
    sentences = []
    for group in comparison.groups:
        if alike := [run for run in group.runs if run.get("only_prediction") is not None]:
            values = " ".join(f"{key}={group.values[key]}" for key in comparison.by if group.values[key] is not None)
            count = f"{len(alike)} of {len(group.runs)} runs" if len(group.runs) > 1 else "the run"
            sentences.append(
                f"{values or 'All'}: the model of {count} says the same of all records"
                f" ({shortened(str(alike[0]['only_prediction']), 40)}): its metric is that of no skill."
            )
    return sentences


def summed_up(comparison: Comparison) -> list[str]:
    """The same for a screen: a few of the differences that are more than noise, and how many others there are."""
    alike = saying_the_same(comparison)
    if len(alike) > FEW:
        alike = [*alike[:FEW], f"So it is in {len(alike) - FEW} more rows."]
    tested = [each for each in differences(comparison) if each.seeds >= FEWEST]
    if len(tested) <= FEW:
        return [*_tested(comparison), *alike]
    real = [each for each in tested if each.real]
    sentences = [_sentence(each, comparison) for each in real[:FEW]]
    more = [f"So are {len(real) - FEW} more."] if len(real) > FEW else []
    noise = len(tested) - len(real)
    more += [f"{noise} of {len(tested)} differences may well be noise."] if noise else []
    return [*sentences, *more, *alike]


def _difference(best: Group, other: Group) -> Difference:
    shared = sorted(best.metric_of_seed.keys() & other.metric_of_seed.keys())
    pairs = [best.metric_of_seed[seed] - other.metric_of_seed[seed] for seed in shared]
    difference = math.fsum(pairs) / len(pairs) if pairs else best.mean - other.mean
    p = paired_t(pairs) if len(pairs) >= FEWEST else None
    return Difference(best=best, other=other, seeds=len(shared), difference=difference, p=p)


def paired_t(pairs: Sequence[float]) -> float | None:
    """Two-sided p-value of Student's paired t-test.

    Args:
        pairs: Differences, at least two.

    Returns:
        From 0 to 1; None where all are the same, so that there is no deviation to measure them by.

    >>> round(paired_t([0.01, 0.02, 0.03]), 4)
    0.0742
    """
    from scipy.stats import t

    count = len(pairs)
    mean = math.fsum(pairs) / count
    error = math.sqrt(math.fsum((pair - mean) ** 2 for pair in pairs) / (count - 1) / count)
    if error < 1e-12:
        return None
    return float(2 * t.sf(abs(mean) / error, count - 1))


def _holm(differences: Sequence[Difference]) -> list[Difference]:
    """Holm's correction for several comparisons with one and the same group."""
    order = sorted((each for each in differences if each.p is not None), key=lambda each: each.p or 0)
    corrected: dict[int, float] = {}
    highest = 0.0
    for number, each in enumerate(order):
        highest = max(highest, min(1.0, (each.p or 0) * (len(order) - number)))
        corrected[id(each)] = highest
    return [
        each
        if each.p is None
        else Difference(best=each.best, other=each.other, seeds=each.seeds, difference=each.difference, p=corrected[id(each)])
        for each in differences
    ]


def _sentence(each: Difference, comparison: Comparison) -> str:
    telling = [key for key in comparison.by if each.best.values[key] != each.other.values[key]]
    setting = ", ".join(str(each.best.values[key]) for key in comparison.by if key in ("task", "model"))
    removed = each.best.runs[0]["sparsity"]
    where = ", ".join(part for part in (setting, f"{percent(removed, 0)}% removed" if removed else "dense") if part)
    ours, theirs = (" ".join(f"{key}={group.values[key]}" for key in telling) for group in (each.best, each.other))
    verdict = "more than noise" if each.real else "may well be noise"
    if each.p is None:
        verdict, chance = "nothing says whether it is noise", "which cannot be made: it is the same at each"
    else:
        chance = "p < 0.0001" if each.p < 0.0001 else f"p = {each.p:.2g}"
    amount = f"{each.difference:.4f}"
    sentence = f"{ours} beats {theirs} by {amount}" if float(amount) else f"{ours} and {theirs} differ by less than 0.0001"
    return (
        f"{where}: {sentence} {metric_label(each.best.metric)} ({each.seeds} shared seeds, paired t-test, {chance}): {verdict}."
    )
