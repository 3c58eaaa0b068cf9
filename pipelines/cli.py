"""The commands. Imports nothing heavy until one is run, so that `--help` answers at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.run import Stages
    from pipelines.settings import Settings

DONE, UNDONE, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="populace",
    help="Personas from your documents, and the data they would ask for: documents → personas → conversations.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Config = Annotated[Path, typer.Argument(help="The run's settings (YAML).", show_default=False)]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, e.g. conversations.count=50."),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start over: remove what this run has made so far.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before --fresh.")]


def _place(text: str) -> Path:
    """A folder, or s3://BUCKET/NAME."""
    from cluster.errors import UserError
    from cluster.object_path import path_of

    try:
        return path_of(text)
    except UserError as error:
        _leave(str(error), WRONG_USE)


def _here(text: str) -> Path:
    """A path of this machine."""
    if "://" in text:
        _leave(f"{text}: the output has to be of this machine; name a file or a folder", WRONG_USE)
    return Path(text)


RunDir = Annotated[
    Path,
    typer.Argument(help="The run's folder, or s3://BUCKET/NAME.", show_default=False, parser=_place, metavar="RUN_DIR"),
]


@app.command()
def demo(
    run_dir: Annotated[Path, typer.Option(help="Where the run goes.", parser=_place)] = Path("runs/demo"),
    set_: Sets = None,
    fresh: Fresh = False,
    yes: Yes = False,
) -> None:
    """The whole pipeline on the documents that come with populace, on an embedded model: no key, no network."""
    with _errors("populace demo"):
        from pipelines.demo import settings

        _run(settings(run_dir, set_ or []), "populace demo", None, fresh, yes)


@app.command()
def init(
    documents: Annotated[
        list[str], typer.Argument(help="Files, globs, folders or URLs of documents.", show_default=False)
    ],
    endpoint: Annotated[
        str, typer.Option(metavar="URL", help="An OpenAI-compatible endpoint, or 'embedded'.")
    ] = "https://api.openai.com/v1",
    model: Annotated[str, typer.Option(help="Its name there; else chosen of those that the endpoint has.")] = "",
    key: Annotated[str, typer.Option(metavar="env:NAME", help="Where the key is: env:NAME or file:PATH.")] = "",
    count: Annotated[int, typer.Option(min=1, help="Conversations.")] = 1000,
    run_dir: Annotated[str, typer.Option(help="Where the run goes.")] = "runs/first",
    to: Annotated[Path, typer.Option(help="The config to write.")] = Path("populace.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace it where it is there already.")] = False,
) -> None:
    """A config for your documents and endpoint, after a look at both; every setting is in it, with what it does."""
    with _errors("populace init"):
        from pipelines.beginning import Wish, begin

        begin(Wish(documents, endpoint, model, key, count, run_dir), to, force, _console())


@app.command()
def schema() -> None:
    """The JSON schema of a config, for editors that complete and check YAML."""
    with _errors("populace schema"):
        from pipelines.beginning import schema_text

        typer.echo(schema_text(), nl=False)


@app.command()
def run(config: Config, set_: Sets = None, fresh: Fresh = False, yes: Yes = False) -> None:
    """Documents → personas → conversations → dataset. Run again, it goes on where it stopped."""
    with _errors(f"populace run {config}"):
        _run(_load(config, set_), "populace run", None, fresh, yes)


@app.command()
def personas(config: Config, set_: Sets = None, fresh: Fresh = False, yes: Yes = False) -> None:
    """The first half alone: documents → personas."""
    with _errors(f"populace personas {config}"):
        from pipelines.run import Stages

        _run(_load(config, set_), "populace personas", Stages(conversations=False), fresh, yes)


@app.command()
def converse(config: Config, set_: Sets = None) -> None:
    """The second half alone: personas → conversations."""
    with _errors(f"populace converse {config}"):
        from pipelines.run import Stages

        _run(_load(config, set_), "populace converse", Stages(personas=False), fresh=False, yes=False)


@app.command()
def plan(
    config: Config,
    set_: Sets = None,
    pilot: Annotated[
        int | None, typer.Option(min=1, help="Price it from this many real documents (calls the model).")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """What a run would take: documents, personas, calls, tokens, cost, time. Calls no model."""
    with _errors(f"populace plan {config}"):
        from pipelines.plan import show

        show(_load(config, set_), _console(), pilot, json_)


@app.command()
def preview(
    config: Config,
    set_: Sets = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Documents to show.")] = 3,
) -> None:
    """A few documents all the way through, shown here; writes nothing."""
    with _errors(f"populace preview {config}"):
        from pipelines.preview import show

        show(_load(config, set_), _console(), n)


@app.command()
def status(
    run_dir: RunDir,
    document_id: Annotated[
        str | None, typer.Argument(help="With --tree: the document; else a few of them.", show_default=False)
    ] = None,
    tree: Annotated[bool, typer.Option("--tree", help="The personas of documents, as they were grown.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Follow a running job until it ends.")] = False,
) -> None:
    """How far a run is, what it has spent, what failed and why. Works beside a running job."""
    with _errors(f"populace status {run_dir}"):
        from cluster.errors import UserError
        from pipelines import status
        from pipelines import tree as trees

        if document_id is not None and not tree:
            raise UserError(f"what is to be shown of {document_id}? Add --tree for its personas")
        if tree:
            trees.show(run_dir, _console(), document_id)
            return
        console = _console()
        if watch:
            from pipelines.live.watch import watch as follow

            follow(run_dir, console)
        status.show(run_dir, console)


@app.command()
def report(run_dir: RunDir) -> None:
    """The report and the dataset card again, as far as the run is made. Works beside a running job."""
    with _errors(f"populace report {run_dir}"):
        from pipelines.outputs import write_again

        write_again(run_dir, _console())


@app.command()
def serve(
    run_dir: RunDir,
    host: Annotated[
        str, typer.Option(help="Where to listen; beyond this machine (0.0.0.0), a token is asked for.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8470,
) -> None:
    """The run in a browser: a page that follows it while it goes on, and its report."""
    with _errors(f"populace serve {run_dir}"):
        from pipelines.live.serving import Server

        with Server(run_dir, host, port) as server:
            typer.echo(f"{server.address}  (Ctrl-C ends it)")
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                return


@app.command()
def export(
    run_dir: RunDir,
    format_: Annotated[
        str, typer.Option("--format", metavar="F", help="messages, sharegpt, alpaca, dpo or tools.", show_default=False)
    ],
    as_: Annotated[
        str | None, typer.Option("--as", metavar="KIND", help="jsonl or parquet; else by the ending of --to, or jsonl.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(help="A folder, or a .jsonl or .parquet file; else RUN_DIR/exports/FORMAT.", parser=_place),
    ] = None,
    split: Annotated[
        str, typer.Option(help="Shares of train,validation,test; a document is in one of them alone.")
    ] = "1",
    push: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Also to a dataset repository of the Hugging Face hub.")
    ] = None,
) -> None:
    """The conversations in a format to train from, as far as they are made. Works beside a running job."""
    with _errors(f"populace export {run_dir}"):
        from pipelines import export as exports

        job = exports.asked(run_dir, format_, as_, to, split, push)
        exports.show(job, _console())


@app.command()
def dedup(
    input_: Annotated[
        str, typer.Argument(metavar="INPUT", help="A .jsonl or .parquet, a folder or glob of them.", show_default=False)
    ],
    output: Annotated[
        Path,
        typer.Argument(
            help="The file to write, of the same kind, or a folder for parts.", show_default=False, parser=_here
        ),
    ],
    threshold: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Cosine from which two texts are too close.")
    ] = 0.9,
    text_field: Annotated[str, typer.Option(help="The field or column with the text.")] = "text",
    against: Annotated[
        str | None, typer.Option(metavar="OTHER", help="Keep out what is near a text in there, too.")
    ] = None,
    keep_rejected: Annotated[bool, typer.Option("--keep-rejected", help="Write what was refused, and why.")] = False,
    minhash: Annotated[
        float | None,
        typer.Option(min=0.7, max=1.0, metavar="0.7…1", help="Also refuse texts that share so much of their words."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="A sentence-transformers model: a folder or hub name.")] = None,
    address: Annotated[str | None, typer.Option(help="A Ray cluster, instead of this machine.")] = None,
    fresh: Fresh = False,
) -> None:
    """Near-duplicates out of any JSONL or Parquet of texts; the first of each group stays, with all its columns."""
    with _errors(f"populace dedup {input_} {output}"):
        from pipelines.dedup import Job, dedup, summary

        job = Job(input_, output, threshold, text_field, against, keep_rejected, model, address, minhash)
        console = _console()
        counts = dedup(job, console, "populace dedup", fresh)
        console.print(f"{summary(counts)}\n{output}", highlight=False, soft_wrap=True)


@app.command()
def bios(config: Config, set_: Sets = None, fresh: Fresh = False, yes: Yes = False) -> None:
    """A simulation's people: description → random variables → traits → bios or backstories."""
    with _errors(f"populace bios {config}"):
        from pipelines.bios import bios
        from pipelines.closing import show
        from pipelines.outputs import written_at_the_end

        settings, console = _load(config, set_), _console()
        _confirm(settings, fresh, yes)
        with written_at_the_end(settings, console):
            bios(settings, console, "populace bios", fresh)
        show(console, settings.folder, settings.run_dir)


def _load(config: Path, overrides: list[str] | None) -> Settings:
    from pipelines.settings import load

    return load(config, overrides or [])


def _run(settings: Settings, command: str, stages: Stages | None, fresh: bool, yes: bool) -> None:
    from pipelines.closing import show
    from pipelines.outputs import written_at_the_end
    from pipelines.run import run

    console = _console()
    _confirm(settings, fresh, yes)
    with written_at_the_end(settings, console):
        run(settings, console, command, stages, fresh)
    show(console, settings.folder, settings.run_dir)


def _confirm(settings: Settings, fresh: bool, yes: bool) -> None:
    if fresh and not yes and sys.stdin.isatty() and any(settings.folder.glob("*")):
        typer.confirm(f"remove everything that was made in {settings.run_dir}?", abort=True)


def _console() -> Console:
    from rich.console import Console

    return Console()


@contextmanager
def _errors(command: str) -> Iterator[None]:
    """The one boundary where errors become lines and exit codes; a traceback that passes is a bug of ours."""
    from cluster.errors import Halt, UserError

    try:
        yield
    except UserError as error:
        _leave(str(error), WRONG_USE)
    except Halt as halt:
        _leave(f"stopped: {halt}\nWhat is done is kept; `{command}` goes on from there.", UNDONE)
    except KeyboardInterrupt:
        _leave(f"interrupted. What is done is kept; `{command}` goes on from there.", INTERRUPTED)


def _leave(text: str, code: int) -> NoReturn:
    typer.echo(f"populace: {text}", err=True)
    raise typer.Exit(code)


def main() -> None:
    """The console script."""
    import signal

    signal.signal(signal.SIGTERM, _as_interrupt)
    app()


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt
