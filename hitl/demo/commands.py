"""`hitl demo`: the product on one's own machine, with real data, in a folder of its own."""

import contextlib
import os
import socket
import sys
import threading
from pathlib import Path

import click

from hitl.core.settings import Settings
from hitl.demo import writing_desk
from hitl.demo.application import Application, have_texts_written, replay, serve
from hitl.demo.companions import companions
from hitl.demo.desk import SLUG, Demo, prepare
from hitl.demo.upstream import listen
from hitl.server import run_server

# Environment variables with the applications' keys: others on the machine may list a process's arguments.
CHAT_KEY, WRITING_KEY = "HITL_CHAT_KEY", "HITL_WRITING_KEY"


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
    chat_port, upstream_port = free_ports(2)
    settings = Settings(
        database_url=f"sqlite:///{folder / 'hitl.sqlite3'}",
        storage_url=str(folder / "storage"),
        secret=None,
        public_url=f"http://127.0.0.1:{port}",  # type: ignore[arg-type]  # pydantic reads it
        private_hosts=f"127.0.0.1:{upstream_port}",
        web_processes=1,
    )
    made = prepare(settings, folder, upstream=f"http://127.0.0.1:{upstream_port}/v1", say=click.echo)
    service = f"http://127.0.0.1:{port}"
    keys = {CHAT_KEY: made.chat_key, WRITING_KEY: made.writing_key}
    beside = companions(service, keys, chat_port=chat_port, upstream_port=upstream_port)
    with beside as start:

        def begin() -> None:
            start()
            _introduce(port, chat_port, made)

        run_server(settings, f"127.0.0.1:{port}", when_ready=begin)


@demo.command()
@click.option("--port", default=8001, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
def upstream(port: int) -> None:
    """Serve a bot that looks up real dialogues, in OpenAI's shape, to this machine only: to try the gateway with."""
    server = listen(port)
    click.echo(f"OpenAI-compatible, this machine only, any key: http://127.0.0.1:{server.server_port}/v1")
    server.serve_forever()


@demo.command(hidden=True)
@click.option("--service", required=True)
@click.option("--chat-port", required=True, type=int)
@click.option("--upstream-port", required=True, type=int)
def applications(service: str, chat_port: int, upstream_port: int) -> None:
    """Serve the customer's chat and the bot, let customers talk and texts be written, until standard input ends."""
    talks = Application(service, SLUG, os.environ[CHAT_KEY])
    for server in (listen(upstream_port), serve(chat_port, talks)):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    replay(talks)
    have_texts_written(Application(service, writing_desk.SLUG, os.environ[WRITING_KEY]))
    sys.stdin.read()  # whoever started this holds the other end, and lets go of it when they end, however they end


def free_ports(number: int) -> list[int]:
    """Return ports of this machine that nobody listens on."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _introduce(port: int, chat_port: int, made: Demo) -> None:
    click.echo(f"\nReady on http://127.0.0.1:{port} (this machine only; Ctrl-C ends it, the next start goes on).\n")
    for person in made.sign_ins:
        click.echo(f"  {person.role:<10}  {person.email:<24}  {person.password}")
    click.echo(
        "\nIn the Support desk, begin as the annotator: Review. Then as the lead: Queue; the engineer: Datasets."
    )
    click.echo("As the supervisor, Live: customers of the STAR dialogues talk to a bot; one answer waits for you soon.")
    click.echo("In the Writing desk, Live: texts wait, and go out once you have edited them or let them pass.")
    click.echo(f"Be a customer yourself: http://127.0.0.1:{chat_port}")
