"""Two agents want the same hour, and the person reads who keeps it, why, and what would have happened otherwise.

Neither agent knows of the other. Each proposes; the coordinator's conflict resolver settles both in the transaction of
the turn. The higher keeps the time (the person, a hard time, the priority, the earlier deadline, in this order); the
other waits for the person, with options. `brody actions show ID` prints the same on a home.
"""

import asyncio
from datetime import UTC, datetime

from brody_agents import AgentMessage, Brody, BrodyAgent, Context, Payload, handles
from brody_agents.communication.message_protocol import new_context

NINE, TEN = datetime(2026, 3, 2, 9, tzinfo=UTC), datetime(2026, 3, 2, 10, tzinfo=UTC)


class WeekBegins(Payload, message_type="week_begins"):
    """Have everybody plan."""


class GardenAgent(BrodyAgent):
    """Care for the plants."""

    @handles
    async def on_week(self, week: WeekBegins, ctx: Context) -> None:
        hour = {"account": "home", "title": "Water the garden", "start": NINE, "end": TEN}
        ctx.propose("calendar.create", hour, why="It has not rained for a week.")


class HealthAgent(BrodyAgent):
    """Care for the person."""

    @handles
    async def on_week(self, week: WeekBegins, ctx: Context) -> None:
        hour = {"account": "home", "title": "Dentist", "start": NINE, "end": TEN}
        ctx.propose("calendar.create", hour, why="The tooth hurts.", priority="high")


async def main() -> None:
    async with Brody(agents=[GardenAgent(), HealthAgent()]) as brody:
        for agent in (
            "garden_agent",
            "health_agent",
        ):  # one after the other: the first has the hour, the second wants it
            await brody.send(
                AgentMessage(sender="you", recipient=agent, payload=WeekBegins(), context=new_context("me"))
            )
            await brody.drain()
        for action in sorted(await brody.actions.list("me"), key=lambda a: a.priority):
            print(f"{action.arguments['title']}, 9 to 10, is {action.state}")
            for verdict in await brody.actions.verdicts(action.id):
                print(f"  verdict:   {verdict.verdict}")
                print(f"  because:   {verdict.why}")
                print(f"  otherwise: {verdict.otherwise}")
                print(f"  options:   {'; '.join(verdict.options)}")


if __name__ == "__main__":
    asyncio.run(main())
