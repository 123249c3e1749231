"""On what a figure was measured: the machine, its load, the commit."""

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Surroundings:
    """What a reader needs to compare two runs."""

    machine: str
    python: str
    commit: str

    @classmethod
    def now(cls) -> "Surroundings":
        """Look around."""
        cores = len(os.sched_getaffinity(0))
        machine = f"{_processor()}, {cores} cores, {_memory_gib():.0f} GiB, {platform.system()}"
        return cls(machine, platform.python_version(), _commit())


def load() -> float:
    """Return how many processes wanted to run, on average over the last minute."""
    return os.getloadavg()[0]


def resident_mib(pid: int | None = None) -> float:
    """Return the memory that a process has in use now."""
    return _status_kib("VmRSS", pid) / 1024


def peak_mib(pid: int | None = None) -> float:
    """Return the most memory that a process ever had in use, since it began or since `forget_peak`."""
    return _status_kib("VmHWM", pid) / 1024


def forget_peak() -> None:
    """Let this process's peak begin again at what it has in use now."""
    Path("/proc/self/clear_refs").write_text("5")


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process and its ended children used: steadier than the clock."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def family_of(pid: int) -> list[int]:
    """Return a process and all that it started, directly or not."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    below = [int(child) for child in children.read_text().split()] if children.exists() else []
    return [pid, *(member for child in below for member in family_of(child))]


def _status_kib(field: str, pid: int | None) -> int:
    status = Path(f"/proc/{pid or 'self'}/status").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) if found else 0


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = " with changes" if git("status", "--porcelain", "--", "hitl", "webui", "exporters") else ""
    return (git("rev-parse", "--short", "HEAD") or "unknown") + changed
