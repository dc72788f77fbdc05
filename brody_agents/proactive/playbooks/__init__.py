"""Playbooks: typed lists of steps; each step begins when nothing of the run is open any more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from brody_agents.communication.message_protocol import BROADCAST, COORDINATOR, Payload
from brody_agents.communication.payloads import AnalyseWorkload, PrepareBrief, ReviewDay, ScanInbox
from brody_agents.errors import UnknownPlaybook
from brody_agents.ledger.runs import RunRecord

Domain = Literal["contacts", "calendar", "files", "tasks", "mail"]


@dataclass(frozen=True, slots=True)
class Step:
    """One message that a playbook sends when all before it has closed."""

    payload: Callable[[RunRecord], Payload]
    recipient: str = BROADCAST


@dataclass(frozen=True, slots=True)
class Playbook:
    """What to read first, in this order, and what to ask for then."""

    name: str
    reads: tuple[Domain, ...]
    steps: tuple[Step, ...]
    recent_mail_only: bool
    """Whether its brief lists the mail of the last days and open threads, or all mail."""


def _scan(run: RunRecord) -> Payload:
    return ScanInbox()


def _review(run: RunRecord) -> Payload:
    return ReviewDay(day=run.now.astimezone(run.zone).date())


def _analyse(run: RunRecord) -> Payload:
    return AnalyseWorkload(day=run.now.astimezone(run.zone).date())


def _brief(run: RunRecord) -> Payload:
    return PrepareBrief(run_id=run.id, playbook=run.playbook)


PREPARE_MY_DAY = Playbook(
    name="prepare-my-day",
    reads=("contacts", "calendar", "files", "tasks", "mail"),
    steps=(Step(_scan), Step(_review), Step(_analyse), Step(_brief, COORDINATOR)),
    recent_mail_only=True,
)
INBOX_SCAN = Playbook(
    name="inbox-scan",
    reads=("contacts", "calendar", "mail"),
    steps=(Step(_scan), Step(_brief, COORDINATOR)),
    recent_mail_only=False,
)

PLAYBOOKS: Mapping[str, Playbook] = {p.name: p for p in (PREPARE_MY_DAY, INBOX_SCAN)}


def playbook(name: str) -> Playbook:
    """Return a playbook by name, or raise ``UnknownPlaybook``."""
    if name not in PLAYBOOKS:
        raise UnknownPlaybook(f"There is no playbook {name!r}.", f"Use one of: {', '.join(PLAYBOOKS)}.")
    return PLAYBOOKS[name]
