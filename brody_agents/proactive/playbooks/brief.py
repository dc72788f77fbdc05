"""The brief: what a run ends with, as data. Its JSON is stable and has a schema in ``protocols/``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Urgency = Literal["high", "medium", "low"]
ConflictKind = Literal[
    "slot", "thread", "task", "label", "due_vs_block", "move_vs_share", "stale", "duplicate", "contradiction"
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class Counts(_Part):
    """Items of mail: all in the source, what became of them in the ledger, and those first seen in this run."""

    messages_read: int = 0
    handled: int = 0
    dead_letters: int = 0
    new_messages: int = 0


class BriefMail(_Part):
    """A mail and what the email agent says of it."""

    id: str
    message_id: str
    subject: str
    sender: str = Field(alias="from")
    received_at: datetime
    thread_id: str
    category: str
    urgency: Urgency
    needs_reply: bool
    reasons: list[str]
    reply_state: Literal["none", "owed", "answered", "waiting"] = "none"
    waiting_on: list[str] = []


class BriefDocument(_Part):
    """A document that belongs to a meeting."""

    id: str
    name: str
    reasons: list[str] = []


class BriefEvent(_Part):
    """An event of today."""

    id: str
    title: str
    start: datetime
    end: datetime
    all_day: bool
    calendar: str
    location: str = ""
    attendees: list[str]
    documents: list[BriefDocument]


class BriefConflict(_Part):
    """Two things that cannot both hold, with the verdict and why."""

    kind: ConflictKind
    resource: str
    parties: list[dict[str, Any]]
    verdict: str
    rule: str
    why: str
    otherwise: str = ""
    options: list[str]


class BriefTask(_Part):
    """An open task with its sources and the reasons of its priority and due date."""

    id: str
    title: str
    due: datetime | None
    priority: Literal["urgent", "high", "normal", "low"]
    sources: list[dict[str, str]]
    reasons: list[str]


class BriefProposal(_Part):
    """An action that is not final."""

    id: str
    kind: str
    arguments: dict[str, Any]
    state: str
    proposed_by: str
    because: str
    reason: str = ""
    """Why it stands where it stands."""


class BriefProblem(_Part):
    """An account that could not be read."""

    account: str
    code: str
    what: str
    remedy: str


class BriefNotice(_Part):
    """A word from an agent."""

    text: str
    level: Literal["info", "warning", "urgent"]


class Timing(_Part):
    """How long the run took in this process."""

    seconds: float = 0.0


class Brief(_Part):
    """A prepared day, or a scanned inbox. Times carry the offset of ``timezone``."""

    run_id: str
    playbook: str
    user_id: str
    now: datetime
    timezone: str
    complete: bool
    counts: Counts
    mail: list[BriefMail]
    agenda: list[BriefEvent]
    conflicts: list[BriefConflict]
    tasks: list[BriefTask]
    proposals: list[BriefProposal]
    analytics: dict[str, Any]
    notices: list[BriefNotice] = []
    problems: list[BriefProblem] = []
    timing: Timing = Timing()

    def as_json(self) -> str:
        """Return the JSON that ``brody run --json`` prints."""
        return self.model_dump_json(by_alias=True, indent=2)
