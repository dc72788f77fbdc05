"""An agent whose every wish waits for the person, and a desk where the person answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from brody_agents import AgentAction, Brody, BrodyAgent, Context, handles
from brody_agents.communication.message_protocol import AgentMessage, new_context
from brody_agents.communication.payloads import ActionResult, ApprovalResponse, Notification
from brody_agents.ledger.actions import ActionRecord
from brody_agents.policy.cards import Card

SLOT = {"start": "2026-03-02T09:00:00+00:00", "end": "2026-03-02T10:00:00+00:00", "account": "ics:1"}


class Asker(BrodyAgent):
    """Propose what it is told to, and hear the answers."""

    def __init__(self, name: str = "asker") -> None:
        super().__init__(name)
        self.wishes: dict[str, AgentAction] = {}
        self.answers: list[ApprovalResponse] = []
        self.heard: list[AgentMessage] = []
        self.results: list[ActionResult] = []

    @handles
    async def on_notification(self, message: Notification, ctx: Context) -> None:
        """Propose."""
        ctx.propose(self.wishes[message.text])

    @handles
    async def on_answer(self, answer: ApprovalResponse, ctx: Context) -> None:
        """Hear what the person says."""
        self.answers.append(answer)
        self.heard.append(ctx.message)

    @handles
    async def on_result(self, result: ActionResult, ctx: Context) -> None:
        """Hear what became of it."""
        self.results.append(result)


class Desk:
    """A ``Brody`` with shortcuts."""

    def __init__(self, brody: Brody, asker: Asker) -> None:
        self.brody, self.asker = brody, asker

    async def ask(self, kind: str = "task.create", /, user: str = "me", **wish: Any) -> Card:
        """Have an action proposed and return its card."""
        await self.wish(kind, user, **wish)
        newest = (await self.brody.actions.list(user))[0]
        return next(c for c in await self.brody.approvals.list(user) if c.action_id == newest.id)

    async def wish(self, kind: str, user: str = "me", **wish: Any) -> None:
        """Have an action proposed; ``deadline``, ``why`` and ``cause`` are the action's."""
        own = {name: wish.pop(name) for name in ("deadline", "why", "cause") if name in wish}
        name = f"{len(self.asker.wishes)}"
        self.asker.wishes[name] = AgentAction(kind=kind, arguments=wish, **own)
        payload = Notification(text=name)
        await self.brody.send(
            AgentMessage(sender="x", recipient=self.asker.name, payload=payload, context=new_context(user))
        )
        await self.brody.drain()

    async def action(self, card: Card) -> ActionRecord:
        """Return the action of a card."""
        return await self.brody.actions.show(card.action_id)

    async def tasks(self) -> list[str]:
        """Return the titles of all tasks."""
        from sqlalchemy import select

        from brody_agents.ledger.statements import table
        from brody_agents.ledger.tables import Task

        async with self.brody.ledger.read() as tx:
            return list((await tx.execute(select(table(Task).c.title))).scalars())


@asynccontextmanager
async def desk(*, asks: bool = False, **options: Any) -> AsyncIterator[Desk]:
    """Give a desk; ``asks``: where everything is asked for, as for a person who allows nothing without being asked."""
    asker = Asker()
    async with Brody(agents=[asker], **options) as brody:
        if asks:
            await brody.autonomy.set("*", "suggest")
        yield Desk(brody, asker)
