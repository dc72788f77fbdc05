"""What agents may want done: the catalogue of action kinds, their arguments, claims, risk and inverse.

An agent only *proposes* an :class:`AgentAction`; the coordinator judges it and the executor carries it out.
Names and arguments of the kinds are a public contract.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from brody_agents.arguments import (
    Arguments,
    CalendarCreate,
    CalendarInvite,
    CalendarRespond,
    CalendarTarget,
    CalendarUpdate,
    ChatPost,
    FileAppend,
    FileCreate,
    FileMove,
    FileShare,
    FileTarget,
    MailCompose,
    MailForward,
    MailLabel,
    MailReply,
    MailTarget,
    Notify,
    TaskCreate,
    TaskMerge,
    TaskTarget,
    TaskUpdate,
)
from brody_agents.communication.message_protocol import AnyPriority, Priority, Time, stable_id
from brody_agents.errors import InvalidArguments, UnknownAction


class ActionState(StrEnum):
    """Where an action stands; from ``done`` on it is final."""

    PROPOSED = "proposed"
    AWAITING_APPROVAL = "awaiting_approval"
    APPROVED = "approved"
    EXECUTING = "executing"
    UNKNOWN = "unknown"
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"
    REJECTED = "rejected"
    MERGED = "merged"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    OBSERVED = "observed"

    @property
    def final(self) -> bool:
        """Say whether nothing more happens to the action by itself."""
        return self not in OPEN_STATES

    @property
    def holds_claims(self) -> bool:
        """Say whether the action's resources are taken."""
        return self in OPEN_STATES


OPEN_STATES = frozenset(
    {
        ActionState.PROPOSED,
        ActionState.AWAITING_APPROVAL,
        ActionState.APPROVED,
        ActionState.EXECUTING,
        ActionState.UNKNOWN,
    }
)


class Risk(StrEnum):
    """What an action can do to the world: nothing outside, reach others, destroy, widen access."""

    INTERNAL = "internal"
    OUTBOUND = "outbound"
    DESTROY = "destroy"
    WIDEN = "widen"


ClaimMode = Literal["read", "add", "exclusive", "interval"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A hold on a resource; the key starts with its owning account.

    ``add`` goes with ``add``, ``read`` with ``read``; ``exclusive`` with nothing; an ``interval`` (of a calendar)
    with every interval that does not overlap it.
    """

    resource: str
    mode: ClaimMode
    start: datetime | None = None
    end: datetime | None = None

    def clashes(self, other: Claim) -> bool:
        """Say whether the two cannot hold together."""
        if self.resource != other.resource:
            return False
        if self.mode == other.mode == "interval":
            if self.start is None or self.end is None or other.start is None or other.end is None:
                return True
            return self.start < other.end and other.start < self.end
        return not (self.mode == other.mode and self.mode in ("read", "add"))


Text = Annotated[str, StringConstraints(min_length=0)]
"""A text without lone surrogates, which nothing can store; a plain ``str`` may have them."""
Key = Annotated[str, StringConstraints(pattern="^[^\\x00]*$")]
"""A text that every database takes as it is: PostgreSQL stores no NUL."""


class AgentAction(BaseModel):
    """An action as an agent proposes it: a kind of the catalogue, its arguments, and why."""

    model_config = ConfigDict(frozen=True)

    kind: Text
    arguments: dict[str, Any] = Field(default_factory=dict)
    why: Text = ""
    """One sentence that a person reads."""
    cause: Key | None = None
    """Id and version of the source item, the firing or the request; by default the id of the message handled."""
    priority: AnyPriority = Priority.NORMAL
    deadline: Time | None = None
    confidence: Annotated[float, Field(ge=0, le=1)] = 1.0
    redo_of: Key | None = None
    """The id of an earlier action that the person wants repeated."""

    def checked(self) -> tuple[ActionKind, Arguments]:
        """Return the kind and the typed arguments; raise ``UnknownAction`` or ``InvalidArguments``."""
        kind = CATALOGUE.get(self.kind)
        if kind is None:
            raise UnknownAction(f"There is no action {self.kind!r}.", f"Use one of: {', '.join(CATALOGUE)}.")
        try:
            return kind, kind.model.model_validate(self.arguments)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = [self.kind, ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")]
            raise InvalidArguments(f"{': '.join(filter(None, where))}.", f"See {kind.model.__name__}.") from error

    def key_for(self, user_id: str, cause: str) -> str:
        """Return the idempotency key of the action for a user; ``cause`` stands in where the action has none."""
        kind, arguments = self.checked()
        return idempotency_key(user_id, self.kind, kind.target(arguments), self.cause or cause, self.redo_of)

    def id_for(self, user_id: str, cause: str) -> str:
        """Return the id that the action has for a user."""
        return action_id(self.key_for(user_id, cause))


class ActionResult(BaseModel):
    """What became of an action when ``ActionExecutor.execute`` returned."""

    model_config = ConfigDict(frozen=True)

    action_id: str
    kind: str
    state: ActionState
    reason: str = ""
    result: dict[str, Any] = Field(default_factory=dict)


def idempotency_key(user_id: str, kind: str, target: str, cause: str, redo_of: str | None = None) -> str:
    """Return the SHA-256 (hex) of (user, kind, target, cause); the same wish always has the same key."""
    parts = [user_id, kind, target, cause, *([redo_of] if redo_of else [])]
    text = "".join(f"{len(part)}:{part}" for part in parts)  # with lengths, so that no two lists read the same
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def action_id(key: str) -> str:
    """Return the id of the action with an idempotency key."""
    return stable_id("action", key)


# -- the catalogue -----------------------------------------------------------------------------------

Claims = Callable[[str, Any], list[Claim]]


@dataclass(frozen=True, slots=True)
class ActionKind:
    """One row of the catalogue."""

    name: str
    model: type[Arguments]
    risk: Risk
    claims: Claims
    target: Callable[[Any], str]
    """What the action is about; part of the idempotency key."""
    inverse: str
    """The kind that undoes it, or why nothing does."""
    words: str = field(default="")
    """How a person names it."""


def _mail(part: str, mode: ClaimMode) -> Claims:
    return lambda user_id, a: [Claim(f"{a.account or user_id}/{part}/{a.email_id}", mode)]


def _answer(user_id: str, a: Any) -> list[Claim]:
    """Claim the thread and the mail that is answered: two drafts meet although one knows only the mail."""
    parts = (("thread", a.thread_id), ("answer", a.email_id))
    return [Claim(f"{a.account or user_id}/{part}/{item}", "exclusive") for part, item in parts if item]


def _slot(user_id: str, a: Any) -> list[Claim]:
    if getattr(a, "answer", "accepted") == "declined" or a.start is None or a.end is None or getattr(a, "all_day", 0):
        return _event(user_id, a)
    return [Claim(f"{a.account}/slots", "interval", a.start, a.end), *_event(user_id, a)]


def _event(user_id: str, a: Any) -> list[Claim]:
    item = getattr(a, "event_id", None) or getattr(a, "uid", None)
    if not item:
        return []
    recurrence = getattr(a, "recurrence_id", None)
    return [Claim(f"{a.account}/event/{item}" + (f"/{recurrence}" if recurrence else ""), "exclusive")]


def _task(user_id: str, a: Any) -> list[Claim]:
    if isinstance(a, TaskCreate):
        return [Claim(f"{user_id}/task-key/{a.task_key}", "exclusive")]
    ids = [a.task_id, *([a.into] if isinstance(a, TaskMerge) else [])]
    return [Claim(f"{user_id}/task/{i}", "exclusive") for i in ids]


def _file(mode: ClaimMode) -> Claims:
    return lambda user_id, a: [Claim(f"{a.account}/file/{getattr(a, 'document_id', None) or a.path}", mode)]


def _path(user_id: str, a: Any) -> list[Claim]:
    claims = [Claim(f"{a.account}/path/{a.path}", "exclusive")]
    return claims + ([Claim(f"{a.account}/file/{a.document_id}", "exclusive")] if isinstance(a, FileMove) else [])


def _none(user_id: str, a: Any) -> list[Claim]:
    return []


def _by(*names: str) -> Callable[[Any], str]:
    def target(a: Any) -> str:
        return "\x1e".join(str(getattr(a, name)) for name in names)

    return target


def _event_target(a: Any) -> str:
    """Return the event, and the occurrence where one is named beside it."""
    return "\x1e".join([a.event_id, *([a.recurrence_id] if a.recurrence_id else [])])


def _guests(a: Any) -> str:
    return f"{_event_target(a)}\x1e{a.attendees}"


def _reply_target(a: Any) -> str:
    return str(a.thread_id or a.email_id or "\x1e".join([*a.to, a.subject]))


_M, _C, _T, _F = Risk.OUTBOUND, Risk.OUTBOUND, Risk.INTERNAL, Risk.INTERNAL
_SENT = "A mail that has left cannot be called back; it can be recalled only while it is held."
_GONE = "What was deleted for good cannot be restored."

_ROWS = (
    ActionKind("mail.draft", MailCompose, _M, _answer, _reply_target, "mail.delete"),
    ActionKind("mail.send", MailCompose, _M, _answer, _reply_target, _SENT),
    ActionKind("mail.reply", MailReply, _M, _answer, _reply_target, _SENT),
    ActionKind("mail.forward", MailForward, _M, _mail("mail", "read"), _by("email_id", "to"), _SENT),
    ActionKind("mail.label", MailLabel, _M, _mail("mail", "add"), _by("email_id", "label"), "mail.unlabel"),
    ActionKind("mail.unlabel", MailLabel, _M, _mail("mail", "add"), _by("email_id", "label"), "mail.label"),
    ActionKind(
        "mail.archive",
        MailTarget,
        _M,
        _mail("place", "exclusive"),
        _by("email_id"),
        "It is moved back to the folder it came from.",
    ),
    ActionKind("mail.delete", MailTarget, Risk.DESTROY, _mail("place", "exclusive"), _by("email_id"), _GONE),
    ActionKind("calendar.create", CalendarCreate, _C, _slot, _by("account", "title", "start"), "calendar.cancel"),
    ActionKind("calendar.update", CalendarUpdate, _C, _slot, _event_target, "calendar.update"),
    ActionKind("calendar.cancel", CalendarTarget, Risk.DESTROY, _event, _event_target, "calendar.create"),
    ActionKind("calendar.respond", CalendarRespond, _C, _slot, _by("uid", "recurrence_id"), "calendar.respond"),
    ActionKind("calendar.invite", CalendarInvite, _C, _event, _guests, "calendar.update"),
    ActionKind("task.create", TaskCreate, _T, _task, _by("task_key"), "task.delete"),
    ActionKind("task.update", TaskUpdate, _T, _task, _by("task_id"), "task.update"),
    ActionKind("task.complete", TaskTarget, _T, _task, _by("task_id"), "task.update"),
    ActionKind("task.merge", TaskMerge, _T, _task, _by("task_id", "into"), "task.create"),
    ActionKind("task.delete", TaskTarget, _T, _task, _by("task_id"), "task.create"),
    ActionKind("file.create", FileCreate, _C, _path, _by("account", "path"), "file.delete"),
    ActionKind(
        "file.append", FileAppend, _C, _file("exclusive"), _by("document_id"), "The earlier revision is written back."
    ),
    ActionKind("file.move", FileMove, _C, _path, _by("document_id"), "file.move"),
    ActionKind("file.share", FileShare, Risk.WIDEN, _file("add"), _by("document_id", "person"), "file.unshare"),
    ActionKind("file.unshare", FileShare, _C, _file("add"), _by("document_id", "person"), "file.share"),
    ActionKind("file.delete", FileTarget, Risk.DESTROY, _file("exclusive"), _by("document_id"), _GONE),
    ActionKind("chat.post", ChatPost, _M, _none, _by("channel", "text"), "A post may have been read."),
    ActionKind("notify", Notify, _T, _none, _by("text"), "A notification may have been read."),
)

CATALOGUE: Mapping[str, ActionKind] = {row.name: row for row in _ROWS}
"""Every kind of action by its name."""
