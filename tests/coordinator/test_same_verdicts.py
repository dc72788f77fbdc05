"""A verdict says the same whether the executor has been faster than the next proposal, or not."""

from __future__ import annotations

from typing import Any

from brody_agents import AgentMessage, Brody, BrodyAgent, Context, handles
from brody_agents.communication.message_protocol import new_context
from brody_agents.communication.payloads import Notification
from brody_agents.settings import Settings

TITLES = ("Send the contract to Tomas", "Send Tomas the contract")


class Wisher(BrodyAgent):
    """Propose a task for every line of a notification."""

    name = "wisher"

    @handles
    async def on_notification(self, message: Notification, ctx: Context) -> None:
        """Propose them all at once."""
        for title in message.text.splitlines():
            ctx.propose("task.create", {"title": title}, cause=title)


async def parties(settings: Settings, *texts: str) -> list[list[dict[str, Any]]]:
    """Return the parties of all verdicts when these texts are sent, each once the one before is carried out."""
    async with Brody(agents=[Wisher()], settings=settings) as brody:
        for text in texts:
            message = AgentMessage(
                sender="x", recipient="wisher", payload=Notification(text=text), context=new_context("me")
            )
            await brody.send(message)
            await brody.drain()
        actions = await brody.actions.list("me")
        return [v.parties for action in actions for v in await brody.actions.verdicts(action.id)]


async def test_a_merged_task_names_the_task_that_it_was_merged_into(settings: Settings) -> None:
    """Also while that one has only been decided upon: what a run shows does not depend on how fast it was."""
    together = await parties(settings, "\n".join(TITLES))
    assert len(together) == 1
    assert together == await parties(settings, *TITLES)
