"""A saved view of runs at W&B, and a report, so that nobody has to click them together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prune_cli.errors import UserError
from prune_cli.extras import needed
from prune_cli.tracking.rows import METRIC

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2.interface import Report
    from wandb_workspaces.workspaces import Workspace

NAME = "prune-lm: metric against sparsity"
GROUPS = ("choices.task", "choices.criterion", "sparsity")
"""Keys of a run's configuration that runs are grouped by, so that seeds fall together."""
_SPARSITY = "final/sparsity"


def make(project: str, entity: str | None, *, report: bool) -> list[tuple[str, str]]:
    """Save the view, and the report, at W&B.

    Returns:
        What was made, and where it is.

    Raises:
        UserError: If wandb-workspaces is not installed, nobody is logged in, or W&B refuses.
    """
    needed("prune wandb-workspace", "workspaces", "wandb_workspaces")
    import wandb

    try:
        owner = entity or wandb.Api().default_entity
        if owner is None:
            raise UserError("W&B names no user or team for this login: give --entity")
        view = workspace(owner, project)
        view.save()
        links = [("view", view.url)]
        if report:
            written = written_report(owner, project)
            written.save()
            links.append(("report", written.url))
    except (wandb.Error, ValueError) as error:  # nobody is logged in, or there is no such project
        raise UserError(f"W&B has no view of {project}: {error}. Is somebody logged in (`wandb login`)?") from error
    return links


def workspace(entity: str, project: str) -> Workspace:
    """The view: runs grouped by task, criterion and sparsity; metric against sparsity, and how runs got there."""
    from wandb_workspaces import workspaces as ws
    from wandb_workspaces.reports.v2 import interface as wr

    sections = [
        ws.Section(name="Metric against sparsity", panels=_frontier(), is_open=True),
        ws.Section(
            name="On the way",
            panels=[
                wr.LinePlot(title="metric", x="step", y=[METRIC]),
                wr.LinePlot(title="sparsity", x="step", y=["sparsity", "target_sparsity"]),
                wr.LinePlot(title="training loss", x="step", y=["train/loss"]),
            ],
            is_open=True,
        ),
    ]
    settings = ws.RunsetSettings(groupby=[ws.Config(key) for key in GROUPS])
    return ws.Workspace(entity=entity, project=project, name=NAME, sections=sections, runset_settings=settings)


def written_report(entity: str, project: str) -> Report:
    """The report: the same pictures, for people who were not there."""
    from wandb_workspaces.reports.v2 import interface as wr

    runs = wr.Runset(entity=entity, project=project, groupby=[f"config.{key}" for key in GROUPS])
    return wr.Report(
        entity=entity,
        project=project,
        title=NAME,
        description="Final metric of each run over the fraction of prunable weights that was removed.",
        blocks=[wr.H1("Metric against sparsity"), wr.PanelGrid(runsets=[runs], panels=_frontier())],
    )


def _frontier() -> list[Any]:
    from wandb_workspaces.reports.v2 import interface as wr

    return [
        wr.ScatterPlot(title="final metric against measured sparsity", x=wr.SummaryMetric(_SPARSITY), y=wr.SummaryMetric(METRIC)),
        wr.ParallelCoordinatesPlot(
            title="task, criterion, sparsity, metric",
            columns=[
                *(wr.ParallelCoordinatesPlotColumn(metric=wr.Config(key)) for key in GROUPS),
                wr.ParallelCoordinatesPlotColumn(metric=wr.SummaryMetric(METRIC)),
            ],
        ),
    ]
