"""`hitl worker`: background work in a process of its own."""

import os
import signal
import threading
import time

import click

from hitl.app import import_parts
from hitl.core.instance import open_ready_instance
from hitl.core.jobs import Worker
from hitl.core.logs import configure_logs

NICENESS = 10  # of 19
PARENT_SEEN_SECONDS = 1.0  # between looks whether whoever started it is still there


def give_way() -> None:
    """Let this process wait where processors are short: somebody waits for a page, and nobody for a freeze."""
    os.nice(NICENESS)


@click.command()
@click.option("--until-idle", is_flag=True, help="Do what is due now, then stop.")
@click.option("--while-lives", "parent", type=int, hidden=True, help="Stop once the process that started this is gone.")
def worker(until_idle: bool, parent: int | None) -> None:
    """Do background work: rules, expired leases, dataset versions."""
    import_parts()
    instance = open_ready_instance()
    configure_logs(instance.settings.log_format)
    jobs = Worker(instance.database)
    if until_idle:
        jobs.run_until_idle()
        return
    if parent is not None:
        threading.Thread(target=_stop_with, args=(jobs, parent), name="parent", daemon=True).start()
    give_way()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: jobs.stop())
    jobs.run()


def _stop_with(jobs: Worker, parent: int) -> None:
    """Stop once the process that started this one is gone, even if it was killed."""
    while os.getppid() == parent:
        time.sleep(PARENT_SEEN_SECONDS)
    jobs.stop()
