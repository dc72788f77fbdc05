"""A person with a Maildir and a sending account on a real server, whose proposals are approved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from brody_agents import ActionState, AgentAction, Brody
from brody_agents.ledger.actions import ActionRecord
from brody_agents.settings import Settings
from tests.coordinator.accounts_kit import World, approve
from tests.coordinator.kit import until

MIRA = "Mira Example <mira@home.example>"
QUICK = Settings(cpu_workers=0, redis_url="memory:", timezone="UTC", lock_timeout=20, recall_seconds=0)


def word(port: int, sent: Path | None = None, options: str = "") -> str:
    """Return the word of the sending account."""
    where = f"sent=maildir:{sent}&" if sent else ""
    return f"smtp://127.0.0.1:{port}?{where}from=Mira%20Example%20%3Cmira%40home.example%3E&timeout=5{options}"


@dataclass
class Person:
    """Whose mail it is."""

    world: World
    home: Path
    send: list[str]

    def brody(self, **changes: Any) -> Brody:
        """Return a ``Brody`` over the accounts."""
        settings = QUICK.model_copy(update=changes)
        accounts: dict[str, Any] = {**self.world.accounts, "send": self.send}
        return Brody(home=self.home, accounts=accounts, agents=[], settings=settings)

    def silent(self) -> Person:
        """Return the same person where no sending account is given."""
        return replace(self, send=[])


def mail(kind: str, to: str | list[str] | None = None, **arguments: Any) -> AgentAction:
    """Return a proposal of a mail."""
    values: dict[str, Any] = {"text": "Grüße from us."} | arguments
    if to is not None:
        values["to"] = [to] if isinstance(to, str) else to
    if kind == "mail.send":
        values = {"subject": "Plants"} | values
    return AgentAction(kind=kind, arguments=values, cause="test")


async def approved(brody: Brody, action: AgentAction) -> str:
    """Propose an action, say yes, and return its id."""
    proposed = await brody.execute(action)
    await approve(brody, proposed.action_id)
    return proposed.action_id


async def became(brody: Brody, action_id: str, *states: ActionState, attempts: int = 0) -> ActionRecord:
    """Wait until an action is in one of these states, after so many attempts."""

    async def look() -> ActionRecord | None:
        found = await brody.actions.show(action_id)
        return found if found.state in states and found.fence >= attempts else None

    found: ActionRecord = await until(look, f"{action_id} is {' or '.join(states)}")
    return found


async def sent(brody: Brody, action: AgentAction) -> ActionRecord:
    """Have an action approved and return it when it has ended, or when nobody can tell."""
    action_id = await approved(brody, action)
    return await became(brody, action_id, ActionState.DONE, ActionState.FAILED, ActionState.UNKNOWN)
