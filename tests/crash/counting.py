"""An installed agent whose work can be counted from outside, and messages for it from many users."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from textwrap import dedent

from brody_agents import AgentMessage, Payload
from brody_agents.communication.message_protocol import Origin, Provenance, new_context

AGENT = """
from brody_agents import BrodyAgent, Context, Payload, handles

class Step(Payload, message_type="step"):
    n: int
    account: str = ""

class Counter(BrodyAgent):
    name = "counter"

    @handles
    async def on_step(self, step: Step, ctx: Context) -> None:
        last = await ctx.recall("last") or 0
        if step.n != last + 1:
            ctx.propose("notify", {"text": f"{step.n} after {last}"}, why="The order is lost.")
        await ctx.remember("last", step.n)
        if step.account:
            draft = {"account": step.account, "to": ["ada@lovelace.example"], "text": "A step."}
            ctx.propose("mail.draft", draft | {"subject": f"{ctx.user_id} {step.n}"}, why="A step.", cause=f"{step.n}")
"""


class Step(Payload, message_type="step"):
    """As the agent has it."""

    n: int
    account: str = ""


def install(folder: Path) -> None:
    """Install the agent in a folder that processes are to look for plug-ins in."""
    info = folder / "counter-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: counter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[brody_agents.agents]\ncounter = counter_agent:Counter\n")
    (folder / "counter_agent.py").write_text(dedent(AGENT))


def steps(users: Iterable[str], numbers: range, account: str, every: int) -> list[AgentMessage]:
    """Return a step of each number for each user; every so many leads to a draft in the account.

    The steps are the users' own words, so that their drafts are written unasked where users let drafts act.
    """
    return [
        AgentMessage(
            sender="x",
            recipient="counter",
            payload=Step(n=n, account="" if n % every else account),
            context=new_context(user),
            provenance={"": Provenance(origin=Origin.USER)},
        )
        for n in numbers
        for user in users
    ]
