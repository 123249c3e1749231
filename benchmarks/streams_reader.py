"""Readers of many streams of server-sent events, in a process of their own, so that they slow down nobody measured."""

import asyncio
import multiprocessing
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection

Address = tuple[int, str, dict[str, str]]  # port, path, headers
Arrivals = list[dict[int, float]]  # for each stream, when the event with a number came, by the monotonic clock

NUMBER = re.compile(rb"^id: (\d+)", re.MULTILINE)
OPEN_AT_ONCE = 50
OPEN_SECONDS = 60.0


class Readers:
    """Streams that are being read elsewhere."""

    def __init__(self, ends: Connection, count: int) -> None:
        self._ends, self.count = ends, count

    def arrivals(self) -> Arrivals:
        """Return what came so far."""
        self._ends.send("arrivals")
        came: Arrivals = self._ends.recv()
        return came


@contextmanager
def reading(streams: Sequence[Address]) -> Iterator[Readers]:
    """Open all these streams, and read them until the end. Raises what opening them met."""
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=_read_all, args=(theirs, list(streams)), daemon=True)
    process.start()
    theirs.close()
    problem = ours.recv()
    if problem is not None:
        raise AssertionError(problem)
    try:
        yield Readers(ours, len(streams))
    finally:
        ours.send("end")
        process.join(timeout=30)


def _read_all(ends: Connection, streams: list[Address]) -> None:
    asyncio.run(_read(ends, streams))


async def _read(ends: Connection, streams: list[Address]) -> None:
    arrivals: Arrivals = [{} for _ in streams]
    at_once = asyncio.Semaphore(OPEN_AT_ONCE)
    try:
        opened = await asyncio.wait_for(
            asyncio.gather(*(_open(at_once, *stream) for stream in streams)), timeout=OPEN_SECONDS
        )
    except (OSError, AssertionError, TimeoutError) as problem:
        ends.send(repr(problem))
        return
    tasks = [asyncio.create_task(_note(reader, came)) for (reader, _), came in zip(opened, arrivals, strict=True)]
    ends.send(None)
    while await asyncio.to_thread(ends.recv) != "end":
        ends.send(arrivals)
    for task, (_, writer) in zip(tasks, opened, strict=True):
        task.cancel()
        writer.close()


async def _open(at_once: asyncio.Semaphore, port: int, path: str, headers: dict[str, str]):
    async with at_once:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sent = {"Host": "127.0.0.1", "Accept": "text/event-stream", **headers}
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
        writer.write("\r\n".join(lines).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.splitlines()[0], head.decode()
        return reader, writer


async def _note(reader: asyncio.StreamReader, came: dict[int, float]) -> None:
    while piece := await reader.read(65536):
        now = time.monotonic()
        for number in NUMBER.findall(piece):
            came.setdefault(int(number), now)
