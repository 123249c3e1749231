"""`hitl demo`: the product on one's own machine, with real data, in a folder of its own."""

from pathlib import Path

import click

from hitl.core.settings import Settings
from hitl.demo.desk import SignIn, prepare
from hitl.demo.upstream import listen
from hitl.server import run_server


@click.group(invoke_without_command=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port on this machine.")
@click.option(
    "--folder",
    default=Path("demo"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the database, the storage and the passwords are kept. Delete it to begin anew.",
)
@click.pass_context
def demo(context: click.Context, port: int, folder: Path) -> None:
    """Try the product with real data: made once, kept for the next start, served to this machine only."""
    if context.invoked_subcommand is not None:
        return
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(
        database_url=f"sqlite:///{folder / 'hitl.sqlite3'}",
        storage_url=str(folder / "storage"),
        secret=None,
        public_url=f"http://127.0.0.1:{port}",  # type: ignore[arg-type]  # pydantic reads it
        web_processes=1,
    )
    sign_ins = prepare(settings, folder, say=click.echo)
    run_server(settings, f"127.0.0.1:{port}", when_ready=lambda: _introduce(port, sign_ins))


@demo.command()
@click.option("--port", default=8001, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
def upstream(port: int) -> None:
    """Serve a bot that looks up real dialogues, in OpenAI's shape, to this machine only: to try the gateway with."""
    server = listen(port)
    click.echo(f"OpenAI-compatible, this machine only, any key: http://127.0.0.1:{server.server_port}/v1")
    server.serve_forever()


def _introduce(port: int, sign_ins: list[SignIn]) -> None:
    click.echo(f"\nReady on http://127.0.0.1:{port} (this machine only; Ctrl-C ends it, the next start goes on).\n")
    for person in sign_ins:
        click.echo(f"  {person.role:<10}  {person.email:<24}  {person.password}")
    click.echo("\nBegin as the annotator: Review. Then as the lead: Queue. Then as the engineer: Datasets.")
