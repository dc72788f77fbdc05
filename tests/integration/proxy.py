"""A faulty road between a client and an HTTP server: it forwards whole requests, and fails where a test says so."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

Fault = Literal["drop before", "drop after"] | bytes | None
"""Cut off before the server is asked, or after it has answered; bytes are answered instead of asking it."""


@dataclass
class Proxy:
    """Forward to ``upstream``; ``fault`` is asked about the head and the body of each request."""

    upstream: int
    fault: Callable[[str, bytes], Fault] = lambda head, body: None
    change: Callable[[bytes], bytes] = lambda data: data
    """Applied to what the server answers; the length must stay."""
    seen: list[str] = field(default_factory=list)
    """The request lines, in order."""
    heads: list[str] = field(default_factory=list)
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()
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
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            body = await reader.readexactly(int(length[1])) if length else b""
            self.seen.append(head.partition(b"\r\n")[0].decode())
            self.heads.append(head.decode())
            answer = await self._answer(head, body)
            writer.write(answer)
            await writer.drain()

    async def _answer(self, head: bytes, body: bytes) -> bytes:
        fault = self.fault(head.decode(), body)
        if isinstance(fault, bytes):
            return fault
        if fault == "drop before":
            return b""
        answer = await self._forwarded(head, body)
        return b"" if fault == "drop after" else answer

    async def _forwarded(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        head = re.sub(rb"(?im)^(connection|accept-encoding):.*\r\n", b"", head)
        try:
            writer.write(head[:-2] + b"Connection: close\r\n\r\n" + body)
            answer = await reader.read()
        finally:  # a client that has given up may end the loop before the server has answered
            writer.transport.abort()
        return self.change(answer).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    """Return an HTTP answer."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body
