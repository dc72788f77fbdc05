"""A faulty road between a client and a server: the server does what it is asked, and its answer goes astray."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, Self

MESSAGE = rb"\r\n\.\r\n$"
"""What ends a message that is handed to an SMTP server (RFC 5321, 4.1.1.4)."""


@dataclass
class Road:
    """Listen on ``port`` of the loopback interface and forward to ``upstream``; use it as ``async with Road(…)``.

    The answer to what matches the pattern ``after`` (``MESSAGE``, or ``rb"^PUT "``) is ``cut`` off with the connection,
    comes ``late`` by ``seconds``, or comes ``twice``; the first ``times`` times, then all is well.
    """

    upstream: int
    after: bytes
    fault: Literal["cut", "late", "twice"] = "cut"
    times: int = 1
    seconds: float = 5.0
    port: int = 0
    struck: int = field(default=0, init=False)
    """How often the fault has happened."""

    async def __aenter__(self) -> Self:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop, and cut what is open."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports are closed in the loop's next round

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: writer.close())  # no finally: it may be cancelled before it has begun
        if not self._server.is_serving():
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await self._forward(reader, writer)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.upstream)
        asked = bytearray()
        ways = [asyncio.ensure_future(way) for way in (_out(reader, back, asked), self._in(there, writer, asked))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            back.transport.abort()  # closing would wait for a server that reads no more

    async def _in(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: bytearray) -> None:
        while data := await there.read(65536):
            strikes = self.struck < self.times and re.search(self.after, asked) is not None
            asked.clear()
            if strikes:
                self.struck += 1
                if self.fault == "cut":
                    return
                if self.fault == "late":
                    await asyncio.sleep(self.seconds)
                data *= 1 + (self.fault == "twice")
            writer.write(data)
            await writer.drain()


async def _out(reader: asyncio.StreamReader, back: asyncio.StreamWriter, asked: bytearray) -> None:
    while data := await reader.read(65536):
        asked += data
        back.write(data)
        await back.drain()
