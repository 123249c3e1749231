"""The floor of streams: `python -m benchmarks.streams_floor PORT REDIS_URL`, a server that only hands on.

What is published in Redis is written to everybody who is connected, as it is: no database, no rights, no audience.
"""

import asyncio
import sys

import redis.asyncio

CHANNEL = "floor"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


async def serve(port: int, redis_url: str) -> None:
    """Serve until killed."""
    writers: set[asyncio.StreamWriter] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        writers.add(writer)
        await reader.read()
        writers.discard(writer)

    async with (
        await asyncio.start_server(accept, "127.0.0.1", port, backlog=1000),
        redis.asyncio.Redis.from_url(redis_url) as server,
        server.pubsub() as heard,
    ):
        await heard.subscribe(CHANNEL)
        async for message in heard.listen():
            if message["type"] == "message":
                for writer in writers:
                    writer.write(message["data"])


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
