"""A faulty road leaves no connection behind, whenever it ends."""

from __future__ import annotations

import asyncio
import socket

import pytest

from brody_agents.testing.road import MESSAGE, Road


@pytest.mark.parametrize("rounds", range(3, 9))
async def test_a_connection_that_comes_last_ends_with_the_road(rounds: int) -> None:
    """In whatever round of the loop its forwarding was: not yet begun, on its way, or waiting for the server."""
    with socket.create_server(("127.0.0.1", 0)) as server:  # it takes connections and never answers
        async with Road(server.getsockname()[1], after=MESSAGE) as road:
            client = socket.create_connection(("127.0.0.1", road.port), timeout=5)
            for _ in range(rounds):
                await asyncio.sleep(0)
        with client:
            assert await asyncio.to_thread(client.recv, 1) == b""
