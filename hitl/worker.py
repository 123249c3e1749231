"""`hitl worker`: background work in a process of its own."""

import os
import signal

import click

from hitl.app import import_parts
from hitl.core.instance import open_ready_instance
from hitl.core.jobs import Worker
from hitl.core.logs import configure_logs

NICENESS = 10  # of 19


def give_way() -> None:
    """Let this process wait where processors are short: somebody waits for a page, and nobody for a freeze."""
    os.nice(NICENESS)


@click.command()
@click.option("--until-idle", is_flag=True, help="Do what is due now, then stop.")
def worker(until_idle: bool) -> None:
    """Do background work: rules, expired leases, dataset versions."""
    import_parts()
    instance = open_ready_instance()
    configure_logs(instance.settings.log_format)
    jobs = Worker(instance.database)
    if until_idle:
        jobs.run_until_idle()
        return
    give_way()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: jobs.stop())
    jobs.run()
