"""What a handler holds while it works: the time, read-only views, shared context, and what it puts out.

Nothing that is put out here has happened yet: the turn commits the whole :class:`Outcome`, or none of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Protocol, TypeVar, overload
from zoneinfo import ZoneInfo

import orjson
from pydantic import BaseModel, ConfigDict

from brody_agents.action import AgentAction
from brody_agents.communication.message_protocol import (
    AgentMessage,
    MessageContext,
    Origin,
    Payload,
    Priority,
    Provenance,
    encode,
    new_context,
    stable_id,
)
from brody_agents.errors import TooManyOutputs
from brody_agents.integrations.calendar.base import Event
from brody_agents.items import ContactItem, DocumentItem, MailHead, MailItem, TaskItem
from brody_agents.outcome import ContextUpdate, Outcome, Proposal, Withdrawal

R = TypeVar("R")
A = TypeVar("A", bound=Payload)
Because = Payload | AgentMessage | None
"""The payload or message, of those that a handler was given, that an output comes from."""


class MailView(Protocol):
    """Read the user's mail."""

    async def own_addresses(self) -> frozenset[str]:
        """Return the user's own addresses in lower case, configured or read off sent and delivered mail."""

    async def heads(self, since: datetime | None = None) -> list[MailHead]:
        """Return all mails without their bodies, oldest first."""

    async def get(self, ids: Sequence[str]) -> list[MailItem]:
        """Return the mails with these ids, in that order; unknown ids are left out."""


class CalendarView(Protocol):
    """Read the user's calendars."""

    async def accounts(self) -> list[str]:
        """Return the account keys of the user's calendars; the first is the default one."""

    async def events(self, start: datetime, end: datetime) -> list[Event]:
        """Return the occurrences that overlap [start, end), of all calendars, by start, in the user's zone."""

    async def find(self, uid: str) -> list[Event]:
        """Return the single event or the master and the exceptions with a UID; none if no calendar has it."""


class TaskView(Protocol):
    """Read the user's tasks."""

    async def open(self) -> list[TaskItem]:
        """Return the tasks that are pending or in progress."""

    async def completed(self, since: datetime) -> list[TaskItem]:
        """Return the tasks completed since then."""


class FileView(Protocol):
    """Read the index of the user's files."""

    async def accounts(self) -> list[str]:
        """Return the account keys of the user's folders."""

    async def all(self) -> list[DocumentItem]:
        """Return all documents without their text."""

    async def get(self, ids: Sequence[str]) -> list[DocumentItem]:
        """Return the documents with these ids and their text, in that order."""


class ContactView(Protocol):
    """Read the user's address book."""

    async def all(self) -> list[ContactItem]:
        """Return all cards."""

    async def find(self, address: str) -> ContactItem | None:
        """Return the card with this mail address."""


class SharedContext(Protocol):
    """Read a user's shared values, with the versions that the turn compares at commit."""

    async def read(self, key: str) -> tuple[Any, int, Provenance]:
        """Return value, version (0: there is none) and provenance."""

    async def all(self) -> dict[str, Any]:
        """Return all values that have not expired."""


class Questions(Protocol):
    """Have an agent handle a question of another's within the same turn."""

    async def ask(
        self, asker: Context, recipient: str, question: Payload, answer: type[A] | None, because: Because
    ) -> A | None:
        """Return the answer, if one is wanted; raise ``NoAnswer`` where there is none, and what the handler raises."""

    def reply(self, context: Context, answer: Payload) -> None:
        """Tell the sender of a message the answer to it."""


Compute = Callable[..., Awaitable[Any]]


class UserContext(BaseModel):
    """What all agents know of a user: the time, the zone and the shared values."""

    model_config = ConfigDict(frozen=True)

    user_id: str
    workspace_id: str = "default"
    now: datetime
    timezone: str = "UTC"
    values: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        """Return a shared value."""
        return self.values.get(key, default)


@dataclass(frozen=True, slots=True)
class Views:
    """The read-only views of one user."""

    mail: MailView
    calendar: CalendarView
    tasks: TaskView
    files: FileView
    contacts: ContactView


class Context:
    """Be the second argument of every handler."""

    depth = 0
    """How many agents have asked each other, to come here."""

    def __init__(
        self,
        *,
        agent: str,
        messages: Sequence[AgentMessage],
        now: datetime,
        timezone: ZoneInfo,
        views: Views,
        shared: SharedContext,
        compute: Compute,
        questions: Questions,
        read: list[Provenance] | None = None,
        output_limit: int = 1_000,
    ) -> None:
        self.agent = agent
        self._messages = tuple(messages)
        self.now = now.astimezone(timezone)
        """The time that agents reason with: the run's ``now``, aware, in the user's zone."""
        self.timezone = timezone
        self.mail, self.calendar, self.tasks = views.mail, views.calendar, views.tasks
        self.files, self.contacts = views.files, views.contacts
        self.outcome = Outcome()
        self._ended = False
        self._room = output_limit * len(self._messages)
        self._shared = shared
        self._compute = compute
        self._questions = questions
        self._read: list[Provenance] = [] if read is None else read
        """What the handler has read; the views add to it."""
        self._flooded: TooManyOutputs | None = None
        self._versions: dict[str, int] = {}
        self._ordinals: dict[tuple[str, str], int] = {}
        self._written: MessageContext | None = None

    def begin(self) -> None:
        """Forget what an earlier attempt put out."""
        self.outcome = Outcome()
        self._flooded = None
        self._read.clear()
        self.__dict__.pop("_reading", None)
        self._versions.clear()
        self._ordinals.clear()

    def end(self) -> None:
        """Take nothing more in: the handler has ended, and its outcome is on its way."""
        self._ended = True

    def _put_out(self, count: int = 1) -> Outcome:
        if self._ended:
            raise RuntimeError(f"{self.agent} has ended; what it puts out now would be lost")
        out = self.outcome
        if len(out) + count > self._room:
            self._flooded = TooManyOutputs(f"{self.agent} put out more than {self._room} things.")
            raise self._flooded
        return out

    def take_in(self, outcome: Outcome) -> None:
        """Put out what an agent has put out that this handler has asked."""
        if outcome:
            self._put_out(len(outcome)).add(outcome)

    def check(self) -> None:
        """Raise ``TooManyOutputs`` if the handler met its limit, whatever it made of the error."""
        if self._flooded:
            raise self._flooded

    @property
    def messages(self) -> tuple[AgentMessage, ...]:
        """Return the messages handled; one, but for a batch."""
        return self._messages

    @property
    def message(self) -> AgentMessage:
        """Return the message handled; the first one of a batch."""
        return self.messages[0]

    @property
    def payload(self) -> Payload:
        """Return the payload handled; the first one of a batch."""
        return self.messages[0].payload

    @property
    def user_id(self) -> str:
        """Return the user for whom the handler works."""
        return self.message.context.user_id

    @property
    def workspace_id(self) -> str:
        """Return the user's workspace."""
        return self.message.context.workspace_id

    @property
    def run_id(self) -> str | None:
        """Return the run that the message belongs to."""
        return self.message.run_id

    def tell(
        self,
        recipient: str,
        payload: Payload,
        *,
        because: Because = None,
        priority: Priority | None = None,
        deadline: datetime | None = None,
        not_before: datetime | None = None,
    ) -> str:
        """Send ``payload`` to an agent, to ``coordinator`` or to ``*`` when the turn commits; return the message's id.

        In a batch ``because`` names the payload (or message) that it comes from; the id is derived from that one,
        so that the same cause gives the same message. Without it the message carries the provenance of all.
        Raises ``ProtocolError`` for what cannot be sent.
        """
        cause = self._cause(because)
        optional: dict[str, Any] = {"deadline": deadline, "not_before": not_before, "run_id": cause.run_id}
        optional = {name: value for name, value in optional.items() if value is not None}  # no nulls on the wire
        message = AgentMessage(
            id=self._derived(cause, f"{payload.message_type}>{recipient}"),
            sender=self.agent,
            recipient=recipient,
            payload=payload,
            context=self._written_now(),
            correlation_id=cause.correlation_id or cause.id,
            causation_id=cause.id,
            priority=priority or cause.priority,
            provenance={"": self._provenance(because)},
            **optional,
        )
        outcome, data = self._put_out(), encode(message)
        outcome.messages.append(message)
        outcome.encoded.setdefault(message.id, data)
        return message.id

    @overload
    async def ask(self, recipient: str, question: Payload, *, because: Because = None) -> None: ...
    @overload
    async def ask(self, recipient: str, question: Payload, answer: type[A], *, because: Because = None) -> A: ...
    async def ask(
        self,
        recipient: str,
        question: Payload,
        answer: type[A] | None = None,
        *,
        because: Because = None,
    ) -> A | None:
        """Have an agent handle ``question`` now, and return the payload that its handler returns.

        It works within this handler's time and on its behalf: what it puts out is committed with what this handler
        puts out, or not at all; what it has read counts as read here. It does not wait for the agent's own messages.
        Raises what its handler raises, of which nothing is kept then; ``NoAnswer`` where the agent has no handler for
        the question, returns no ``answer``, or asks on and on.
        """
        return await self._questions.ask(self, recipient, question, answer, because)

    def propose(
        self,
        action: AgentAction | str,
        arguments: dict[str, Any] | None = None,
        *,
        why: str = "",
        because: Because = None,
        cause: str | None = None,
        **options: Any,
    ) -> AgentAction:
        """Propose an action; the coordinator decides what becomes of it.

        ``why`` is a sentence for the person. ``cause`` is the id and version of what the action answers: the same
        user, kind, target and cause are the same action, however often it is proposed. Wrong arguments raise here.
        """
        if isinstance(action, str):
            action = AgentAction(kind=action, arguments=arguments or {}, why=why, cause=cause, **options)
        action.checked()
        self._put_out().proposals.append(Proposal(self.agent, action, self._cause(because), self._provenance(because)))
        return action

    def withdraw(self, kind: str, matching: dict[str, Any], *, why: str, because: Because = None) -> None:
        """Take back this agent's own proposals of a kind that still wait and have all of these arguments.

        ``why`` says what happened in the world since, in a sentence for the person.
        """
        orjson.dumps([kind, why])  # raises here, not in the turn's transaction
        self._put_out().withdrawals.append(Withdrawal(self.agent, kind, matching, why, self._cause(because)))

    def reply(self, answer: Payload) -> None:
        """Tell the sender of the message ``answer``, if it is an agent that handles such."""
        self._questions.reply(self, answer)

    async def recall(self, key: str, default: Any = None) -> Any:
        """Return a shared value of this user, or ``default``; what was remembered in this handler is seen."""
        updates = self._updates()
        if key in updates:
            value = updates[key].value
        else:
            value, version, provenance = await self._shared.read(key)
            if value is not None:
                self._read.append(provenance)
            self._versions.setdefault(key, version)
        return default if value is None else value

    async def remember(self, key: str, value: Any, *, ttl: timedelta | None = None) -> None:
        """Share a JSON value with the user's other agents when the turn commits.

        It is compared and set: if somebody changed the key after this handler read it, the handler runs again.
        Raises ``TypeError`` for a value that has no JSON form, ``ValueError`` for a ``ttl`` that is not positive.
        """
        if ttl is not None and ttl <= timedelta():
            raise ValueError(f"ttl={ttl} is no time to live")
        value = orjson.loads(orjson.dumps({key: value}))[key]
        if key not in self._versions:
            self._versions[key] = (await self._shared.read(key))[1]
        expected = self._versions[key]  # the version first read: what changed since then is a lost race
        self._put_out().updates[key] = ContextUpdate(key, value, expected, ttl, self._provenance(None))

    async def forget(self, key: str) -> None:
        """Remove a shared value when the turn commits."""
        await self.remember(key, None)

    async def user_context(self) -> UserContext:
        """Return all that is shared about the user."""
        values = await self._shared.all() | {k: u.value for k, u in self._updates().items()}
        self._read.append(Provenance())
        return UserContext(
            user_id=self.user_id,
            workspace_id=self.workspace_id,
            now=self.now,
            timezone=self.timezone.key,
            values={key: value for key, value in sorted(values.items()) if value is not None},
        )

    async def compute(self, function: Callable[..., R], *arguments: Any) -> R:
        """Run a pure module-level function in the process pool, so that it does not hold up the event loop."""
        result: R = await self._compute(function, *arguments)
        return result

    def has_read(self, provenance: Provenance) -> None:
        """Add to what the handler has read; its outputs carry the union."""
        self._read.append(provenance)

    def _updates(self) -> dict[str, ContextUpdate]:
        """Return the shared values as this handler leaves them, so far."""
        return self.outcome.updates

    def _cause(self, because: Because) -> AgentMessage:
        if because is None:
            return self.message
        found = self._causes.get(id(because))
        if found is None:
            raise ValueError("because= names no message that this handler was given")
        return found

    @cached_property
    def _causes(self) -> dict[int, AgentMessage]:
        """Return the messages of the batch by what ``because=`` may be."""
        return {id(thing): message for message in reversed(self.messages) for thing in (message, message.payload)}

    def _provenance(self, because: Because) -> Provenance:
        if because is None:
            return Provenance.joined([*(label for m in self.messages for label in _labels(m)), *self._read])
        cause = self._cause(because)
        if not self._read and cause.provenance.keys() <= _WHOLE:
            return cause.label()  # there is nothing to join it with
        return Provenance.joined([*_labels(cause), *self._reading.of(cause, self._read)])

    @cached_property
    def _reading(self) -> _Reading:
        return _Reading(self.messages)

    def _derived(self, cause: AgentMessage, what: str) -> str:
        ordinal = self._ordinals[cause.id, what] = self._ordinals.get((cause.id, what), 0) + 1
        return stable_id("message", cause.id, self.agent, what, str(ordinal))

    def _written_now(self) -> MessageContext:
        """Return the context of a message written now; what is written within a millisecond shares one."""
        now = datetime.now(UTC)
        if self._written is None or not _NO_TIME <= now - self._written.timestamp < _SAME_TIME:
            self._written = new_context(self.user_id, self.workspace_id, now)
        return self._written


_WHOLE = {""}
"""The pointers of a provenance that says where the payload comes from, and no more."""
_NO_TIME, _SAME_TIME = timedelta(), timedelta(milliseconds=1)


def _labels(message: AgentMessage) -> tuple[Provenance, ...]:
    return (message.label(), *message.provenance.values())


class _Reading:
    """What a handler has read, sorted by the message of its batch that it was read for."""

    def __init__(self, messages: Sequence[AgentMessage]) -> None:
        self._owners: defaultdict[str, set[str]] = defaultdict(set)
        for message in messages:
            for label in message.provenance.values():
                for source in label.sources:
                    self._owners[source].add(message.id)
        self._sorted = 0
        self._of: defaultdict[str, list[Provenance]] = defaultdict(list)
        self._of_all = Provenance(origin=Origin.USER)  # the most trusted: whatever is joined with it stands

    def of(self, message: AgentMessage, read: Sequence[Provenance]) -> list[Provenance]:
        """Return the labels of ``read`` but for what was read for other messages of the batch only."""
        for label in read[self._sorted :]:
            self._sort(label)
        self._sorted = len(read)
        return [*self._of[message.id], self._of_all]

    def _sort(self, label: Provenance) -> None:
        sources: defaultdict[str, list[str]] = defaultdict(list)
        for source in label.sources:
            for owner in self._owners.get(source, ("",)):
                sources[owner].append(source)
        if not label.sources:
            sources[""] = []
        for owner, own in sources.items():
            part = label.model_copy(update={"sources": tuple(own)})
            if owner:
                self._of[owner].append(part)
            else:
                self._of_all = Provenance.joined([self._of_all, part])


current: ContextVar[Context | None] = ContextVar("brody_context", default=None)
"""The context of the handler that runs; the turn sets it."""
