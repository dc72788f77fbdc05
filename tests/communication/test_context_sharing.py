"""Shared context and its live copies: the ledger has the truth, whatever a killed worker left in Redis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from redis.asyncio import Redis

from brody_agents import AgentMessage, Brody, BrodyAgent, Context, handles
from brody_agents.communication.message_protocol import new_context
from brody_agents.communication.payloads import Notification
from brody_agents.settings import Settings


class Notebook(BrodyAgent):
    """Remember a text, or recall what was remembered."""

    def __init__(self) -> None:
        super().__init__("notebook")
        self.recalled: list[object] = []

    @handles
    async def on_note(self, note: Notification, ctx: Context) -> None:
        """Keep the text, or read it back for an empty one."""
        if note.text:
            await ctx.remember("note", note.text)
        else:
            self.recalled.append(await ctx.recall("note"))


def note(text: str) -> AgentMessage:
    """Return a note to the notebook."""
    payload = Notification(text=text)
    return AgentMessage(sender="x", recipient="notebook", payload=payload, context=new_context("me"))


async def copies(client: Redis) -> dict[Any, Any]:
    """Return the live copies that the server holds."""
    return {key: await client.get(key) async for key in client.scan_iter("brody:*:context:*")}


async def test_a_stale_live_copy_is_replaced_at_the_start(home: Path, redis_server: Path) -> None:
    """A worker killed between its commit and Redis leaves an older value there; the next one does not believe it."""
    settings = Settings(redis_url=f"unix://{redis_server}", cpu_workers=0, timezone="UTC")
    async with Brody(home=home, agents=[Notebook()], settings=settings) as brody:
        await brody.send(note("new"))
        await brody.drain()
    client = Redis(unix_socket_path=str(redis_server))
    for key, copy in (await copies(client)).items():
        _, version, provenance = orjson.loads(copy)
        await client.set(key, orjson.dumps(["old", version - 1, provenance]))
    notebook = Notebook()
    async with Brody(home=home, agents=[notebook], settings=settings) as brody:
        await brody.send(note(""))
        await brody.drain()
    await client.aclose()
    assert notebook.recalled == ["new"]
