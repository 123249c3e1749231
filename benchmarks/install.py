"""What it takes to have it: install, start, first command: `python -m benchmarks.install`.

Installs from the package index into a fresh environment, as somebody does who wants to serve, so it needs the network.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.bench import Bench, main
from benchmarks.machine import ROOT
from benchmarks.serving import own_service
from benchmarks.timing import Timings, time_calls

MOST_MB, MOST_BOOT_SECONDS, MOST_HELP_SECONDS = 330.0, 2.0, 0.5


def measure(bench: Bench) -> None:
    """Install it, start it, ask it for help."""
    bench.table("A fresh environment")
    with tempfile.TemporaryDirectory(prefix="hitl-bench-") as folder:
        program = Path(sys.executable)
        if bench.sized(full=True, quick=True, smoke=False):
            program = _install(bench, Path(folder) / "venv")
        else:
            bench.note("not installed at this size: the commands are those of this environment")
        bench.table("The first commands")
        _help(bench, program)
    for kind in bench.kinds:
        _boot(bench, kind)


def _install(bench: Bench, folder: Path) -> Path:
    """Install what serving needs into a new environment, and return its Python."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    made = time.perf_counter()
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, "--constraint", ROOT / "constraints.txt", ROOT], check=True, cwd=folder)
    installed = time.perf_counter()
    megabytes = _megabytes(folder)
    bench.row(
        **{"environment seconds": made - began, "install seconds": installed - made, "MB": megabytes},
        **{"of which pyarrow MB": sum(map(_megabytes, folder.glob("lib/python*/site-packages/pyarrow*")))},
    )
    bench.goal("installed for serving", megabytes, unit="MB", at_most=MOST_MB)
    return python


def _megabytes(folder: Path) -> float:
    """Return what the files of a folder take on the disk."""
    files = (Path(base) / name for base, _, names in os.walk(folder) for name in names)
    return sum(file.lstat().st_blocks * 512 for file in files) / 1e6


def _help(bench: Bench, python: Path) -> None:
    """Ask for help, as often as a person would to see how quick it is; the first time nothing is cached."""
    with tempfile.TemporaryDirectory(prefix="hitl-bench-") as elsewhere:
        command = [python, "-m", "hitl", "--help"]
        environment = os.environ if python == Path(sys.executable) else {"PATH": os.environ.get("PATH", "")}
        here = ROOT if python == Path(sys.executable) else elsewhere
        timings = time_calls(
            lambda: subprocess.run(command, check=True, capture_output=True, cwd=here, env=dict(environment)),
            bench.sized(full=10, quick=5, smoke=2),
        )
    _seconds(bench, "hitl --help", timings)
    bench.goal("hitl --help", timings.p(50) / 1000, unit="s", at_most=MOST_HELP_SECONDS)


def _boot(bench: Bench, kind: str) -> None:
    """Start the service until it answers /readyz; its database is up to date."""
    with own_service(kind) as service:

        def start() -> None:
            service.start()

        timings = Timings()
        for _ in range(bench.sized(full=5, quick=2, smoke=1)):
            timings.seconds += time_calls(start, 1).seconds
            service.stop()
    _seconds(bench, f"hitl serve, {kind}, until ready", timings)
    bench.goal(f"ready to serve, {kind}", timings.p(50) / 1000, unit="s", at_most=MOST_BOOT_SECONDS)


def _seconds(bench: Bench, what: str, timings: Timings) -> None:
    first = timings.seconds[0]
    bench.row(command=what, **{"first s": first, "p50 s": timings.p(50) / 1000, "max s": timings.p(100) / 1000})


if __name__ == "__main__":
    main("install", "Installing, starting, and the first command", measure)
