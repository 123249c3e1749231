"""A model that answers at once, and applications that ask it: bare sockets, so that what lies between is what is timed.

`python -m benchmarks.model_server` serves on a free port, which it prints.
"""

import asyncio
import itertools
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import orjson

from benchmarks.timing import Timings

MODEL = "benchmark-model"
CHUNKS = 60
REPLY = "Your parcel is on its way and should be with you on Thursday. " * 6
QUESTION = "Where is my order number 1234, please? " * 8
ANSWER_SECONDS = 120.0


@contextmanager
def model_server() -> Iterator[int]:
    """Run the server in a process of its own and yield its port."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.model_server"], stdout=subprocess.PIPE, text=True)
    if process.stdout is None:
        raise OSError("the server's output cannot be read")
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ask_at_once(
    port: int, path: str, key: str, *, callers: int, requests: int, is_stream: bool, warm_up: int = 2
) -> Timings:
    """Let so many applications ask again and again over a connection each; raise what is not answered with 200.

    requests: of all together; each caller asks `warm_up` times before, untimed.
    """
    return asyncio.run(_ask_at_once(port, path, key, callers, max(1, requests // callers), is_stream, warm_up))


async def _ask_at_once(
    port: int, path: str, key: str, callers: int, each: int, is_stream: bool, warm_up: int
) -> Timings:
    timings, ready = Timings(), asyncio.Barrier(callers + 1)

    async def caller(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        # Each asks something of its own: two that ask the same at once are one conversation for nobody.
        request = _request(path, key, number, is_stream)
        for _ in range(warm_up):
            await _ask(reader, writer, request)
        await ready.wait()
        for _ in range(each):
            began = time.perf_counter()
            await _ask(reader, writer, request)
            timings.seconds.append(time.perf_counter() - began)
        writer.close()

    async with asyncio.TaskGroup() as group:
        for number in range(callers):
            group.create_task(caller(number))
        await ready.wait()
        began = time.perf_counter()
    timings.wall_seconds = time.perf_counter() - began
    return timings


def _request(path: str, key: str, number: int, is_stream: bool) -> bytes:
    body = orjson.dumps(
        {
            "model": MODEL,
            "messages": [{"role": "user", "content": f"Caller {number}: {QUESTION}"}],
            "user": f"user-{number}",
            "stream": is_stream,
        }
    )
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    async with asyncio.timeout(ANSWER_SECONDS):
        writer.write(request)
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head[:16]:
            raise AssertionError(head.decode(errors="replace"))
        if b"chunked" in head.lower():
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readline()
        else:
            await reader.readexactly(_length(head))


def _length(head: bytes) -> int:
    found = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    return int(found[1]) if found else 0


# --- The server -------------------------------------------------------------------------------------------------------


def _whole(name: str) -> bytes:
    message = {"role": "assistant", "content": REPLY}
    body = orjson.dumps(
        {
            "id": name,
            "object": "chat.completion",
            "created": 1,
            "model": MODEL,
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 60, "completion_tokens": 100, "total_tokens": 160},
        }
    )
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _stream(name: str) -> bytes:
    def event(delta: dict[str, str], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        chunk = {"id": name, "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice]}
        data = b"data: " + orjson.dumps(chunk) + b"\n\n"
        return b"%x\r\n%s\r\n" % (len(data), data)

    events = [event({"role": "assistant", "content": ""}), *(event({"content": f"word{n} "}) for n in range(CHUNKS))]
    end = b"data: [DONE]\n\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(events) + event({}, "stop") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(end), end)


async def _serve() -> None:
    placeholder = "chatcmpl-" + "0" * 24
    whole, stream = _whole(placeholder), _stream(placeholder)
    numbers = itertools.count(1)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(_length(head))
                name = b"chatcmpl-%024d" % next(numbers)  # each answer is one of its own
                said = stream if b'"stream":true' in body.replace(b" ", b"") else whole
                writer.write(said.replace(placeholder.encode(), name))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
