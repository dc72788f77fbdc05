"""Two agents want the same hour of a real calendar file, and the person reads who keeps it and why.

Neither agent knows of the other. Each proposes; the coordinator's conflict resolver settles both in the transaction of
the turn. The higher keeps the time (the person, a hard time, the priority, the earlier deadline, in this order); the
other may be moved, so the constraint solver finds it the next free time. The person approves both, and both are in the
calendar. At the end `brody actions show ID` explains the one that had to give way.
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from brody_agents import Brody, BrodyAgent, Context, handles
from brody_agents.communication.payloads import ReviewDay, ScanInbox

EIGHT, NINE, TEN = (datetime(2026, 3, 2, hour, tzinfo=UTC) for hour in (8, 9, 10))
EMPTY = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example//EN\r\nEND:VCALENDAR\r\n"


class GardenAgent(BrodyAgent):
    """Care for the plants, at whatever time; plan when the mail is looked through."""

    @handles
    async def on_mail(self, scan: ScanInbox, ctx: Context) -> None:
        (calendar,) = await ctx.calendar.accounts()
        hour = {"account": calendar, "title": "Water the garden", "start": NINE, "end": TEN, "movable": True}
        ctx.propose("calendar.create", hour, why="It has not rained for a week.")


class HealthAgent(BrodyAgent):
    """Care for the person, at the hour that the dentist has; plan when the day is looked through, a step later."""

    @handles
    async def on_day(self, day: ReviewDay, ctx: Context) -> None:
        (calendar,) = await ctx.calendar.accounts()
        hour = {"account": calendar, "title": "Dentist", "start": NINE, "end": TEN}
        ctx.propose("calendar.create", hour, why="The tooth hurts.", priority="high")


async def work(home: Path, calendar: Path) -> str:
    """Have both agents plan and approve what they propose; return the id of what had to give way."""
    agents = [GardenAgent(), HealthAgent()]
    async with Brody(home=home, accounts={"calendar": f"ics:{calendar}"}, agents=agents) as brody:
        await brody.run("prepare-my-day", now=EIGHT, timezone="UTC")
        for card in await brody.approvals.list():
            await brody.approvals.decide(card.id, "approve", digest=card.digest)
        await brody.drain()
        (gave_way,) = await brody.actions.list(state="superseded")
        return gave_way.id


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        calendar = Path(folder, "home.ics")
        calendar.write_text(EMPTY)
        gave_way = asyncio.run(work(Path(folder, "brody"), calendar))
        print("in home.ics:", *re.findall("^(?:DTSTART|SUMMARY):.*", calendar.read_text(), re.MULTILINE), sep="\n  ")
        print(f"$ brody actions show {gave_way[:8]}", flush=True)
        brody = str(Path(sys.executable).with_name("brody"))
        command = [brody, "actions", "show", gave_way, "--home", f"{folder}/brody"]
        subprocess.run(command, check=True, env=os.environ | {"COLUMNS": "100"})


if __name__ == "__main__":
    main()
