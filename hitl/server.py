"""`hitl serve`: the web server, gunicorn.

One process with threads on SQLite; as many processes as wanted, with greenlets, on PostgreSQL. Web processes keep no
state. Background work is done too, unless told that `hitl worker` processes elsewhere do it: by a thread on SQLite, by
a process of its own on PostgreSQL.
"""

import gc
import os
import signal
import sys
import threading
import urllib.request
from collections.abc import Callable
from typing import Any

import click
from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.gthread import ThreadWorker

from hitl.core.errors import AppError
from hitl.core.green import is_green
from hitl.core.instance import Instance, ensure_ready, open_instance
from hitl.core.jobs import Worker
from hitl.core.logs import configure_logs
from hitl.core.settings import Settings
from hitl.gateway.runtime import EXTENSION, Gateway

READY_WAIT_SECONDS = 30.0
IDLE_CONNECTIONS = 1000  # kept open by browsers and programs beside those that are worked on


class OneProcessOnSqlite(AppError):
    """SQLite is served by one process. Set HITL_WEB_PROCESSES=1, or HITL_DATABASE_URL to a PostgreSQL database."""

    code = "one_process_on_sqlite"


class ThreadedProcess(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A web process with threads. One that is told to stop lets its streams end: their readers go elsewhere."""

    def handle_exit(self, sig: Any, frame: Any) -> None:
        # In a thread of its own: the signal may have interrupted whoever holds the bell's lock.
        threading.Thread(target=self.app.end_streams, name="end", daemon=True).start()
        super().handle_exit(sig, frame)


def green_process() -> Any:
    """Return the class of a web process with greenlets."""
    import gevent
    from gunicorn.workers.ggevent import GeventWorker

    class GreenProcess(GeventWorker):  # type: ignore[misc]  # gunicorn has no types
        """A web process with greenlets. One that is told to stop lets its streams end."""

        def handle_exit(self, sig: Any, frame: Any) -> None:
            gevent.spawn(self.app.end_streams)
            super().handle_exit(sig, frame)

    return GreenProcess


class ArbiterWithWorker(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """Looks after the web processes, and after one process for background work."""

    background_pid: int | None = None

    def manage_workers(self) -> None:
        super().manage_workers()
        if self.background_pid is None or not _lives(self.background_pid):
            command = [sys.executable, "-m", "hitl", "worker", "--while-lives", str(os.getpid())]
            self.background_pid = os.posix_spawn(sys.executable, command, os.environ)

    def stop(self, graceful: bool = True) -> None:
        if self.background_pid is not None and _lives(self.background_pid):
            os.kill(self.background_pid, signal.SIGTERM)
        super().stop(graceful)


def _lives(pid: int) -> bool:
    """Whether a child is still there; the arbiter has picked up what ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """Gunicorn, told what to serve by our settings."""

    def __init__(self, settings: Settings, address: str, *, with_worker: bool, when_ready: Callable[[], None]) -> None:
        self.settings = settings
        self.address = address
        self.with_worker = with_worker
        self.when_ready = when_ready
        self.instance: Instance | None = None
        self.worker: Worker | None = None
        self.gateway: Gateway | None = None
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": self.address,
            "workers": self.settings.web_processes,
            **self._kind_of_process(),
            "timeout": 60,
            "graceful_timeout": 20,
            "limit_request_line": 8190,  # filters and cursors with every letter spelled %XX
            "keepalive": 75,  # longer than a proxy's own, so that the proxy never writes into a closed connection
            # Who the proxies are is said by HITL_TRUSTED_PROXIES alone (hitl/app.py); gunicorn would believe 127.0.0.1.
            "forwarded_allow_ips": "",
            "control_socket_disable": True,
            "post_worker_init": self._start_background,
            "worker_exit": self._stop_background,
            "loglevel": "warning",
            "proc_name": "hitl",
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def _kind_of_process(self) -> dict[str, Any]:
        """Return gunicorn's options for a process of greenlets, or of threads of which each open stream keeps one."""
        at_once = self.settings.web_threads + self.settings.web_streams
        connections = at_once + IDLE_CONNECTIONS
        if is_green():
            return {"worker_class": green_process(), "worker_connections": connections}
        return {"worker_class": ThreadedProcess, "threads": at_once, "worker_connections": connections}

    def run(self) -> None:
        """Serve until stopped."""
        if self.with_worker and is_green():
            ArbiterWithWorker(self).run()
        else:
            super().run()

    def end_streams(self) -> None:
        """Let open streams end."""
        if self.instance is not None:
            self.instance.bell.close()

    def load(self) -> Flask:
        """Build the service, in each process after the fork: connections must not be shared."""
        from hitl.app import create_app

        configure_logs(self.settings.log_format)
        self.instance = open_instance(self.settings)
        app = create_app(self.instance)
        self.gateway = app.extensions[EXTENSION]
        # What is loaded stays: the collector need not walk over all of it again with each large batch.
        gc.collect()
        gc.freeze()
        return app

    def _start_background(self, worker: Any) -> None:
        if self.with_worker and not is_green() and self.instance is not None:
            self.worker = Worker(self.instance.database)
            threading.Thread(target=self.worker.run, name="jobs", daemon=True).start()
        if worker.age == 1:
            threading.Thread(target=self._announce, name="announce", daemon=True).start()

    def _stop_background(self, _arbiter: Any, _worker: Any) -> None:
        if self.instance is not None:
            if self.worker is not None:
                self.worker.stop()
            if self.gateway is not None:
                self.gateway.close()
            self.instance.database.close()

    def _announce(self) -> None:
        for _ in range(int(READY_WAIT_SECONDS / 0.1)):
            try:
                with urllib.request.urlopen(f"http://{self.address}/readyz", timeout=5) as answer:
                    if answer.status == 200:
                        self.when_ready()
                        return
            except OSError:
                threading.Event().wait(0.1)


def run_server(
    settings: Settings, address: str, *, with_worker: bool = True, when_ready: Callable[[], None] = lambda: None
) -> None:
    """Serve until stopped.

    Raises OneProcessOnSqlite, SchemaOutOfDate, SecretDiffers and whatever keeps the instance from opening.
    """
    instance = open_instance(settings)
    if instance.database.is_sqlite and settings.web_processes > 1:
        raise OneProcessOnSqlite
    ensure_ready(instance)
    instance.database.close()
    Server(settings, address, with_worker=with_worker, when_ready=when_ready).run()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--worker/--no-worker", default=True, show_default=True, help="Do background work in the same processes.")
def serve(host: str, port: int, worker: bool) -> None:
    """Serve the pages and the API."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"  # an IPv6 address stands in brackets
    run_server(Settings(), address, with_worker=worker, when_ready=lambda: click.echo(f"Serving on http://{address}"))
