"""Questions: an agent asks another within a turn. The answer is a value; all else that comes of it is the asker's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TypeVar

from brody_agents.agent import BrodyAgent, Handler, trigger_of
from brody_agents.communication.message_protocol import COORDINATOR, AgentMessage, Payload, Provenance
from brody_agents.context import Because, Context, current
from brody_agents.errors import HandlerTimeout, NoAnswer, ProtocolError
from brody_agents.outcome import ContextUpdate, Outcome

A = TypeVar("A", bound=Payload)
DEPTH = 16
"""Agents that may have asked each other in a chain; more is a circle."""


class Questions:
    """Have agents answer each other."""

    def __init__(self, agents: Mapping[str, BrodyAgent]) -> None:
        self._agents = agents

    async def ask(
        self, asker: Context, recipient: str, question: Payload, answer: type[A] | None, because: Because
    ) -> A | None:
        """Run the handler that a message to ``recipient`` would reach, and return what it answers.

        Question and answer are read from their JSON, as those of a message are: nobody holds a part of another's.
        """
        agent = self._agents.get(recipient) if recipient != COORDINATOR else None
        handler = agent.handlers.get(type(question)) if agent else None
        if agent is None or (handler is None and not agent.takes_triggers):
            raise NoAnswer(f"{recipient} does not handle {question.message_type!r}.")
        asked = Asked(asker, recipient, as_read(question), because)
        if asked.depth > DEPTH:
            raise NoAnswer(f"{asker.agent} asks {recipient}, the last of {DEPTH} that have asked each other.")
        given = await _answer(agent, handler, asked)
        read = as_read(_wanted(recipient, question, answer, given)) if answer else None
        asker.take_in(asked.outcome)
        return read

    def reply(self, context: Context, answer: Payload) -> None:
        """Tell the sender of a message the answer to it, if it is an agent that handles such."""
        sender = self._agents.get(context.message.sender)
        if sender is not None and type(answer) in sender.handlers:
            context.tell(sender.name, answer)


def _wanted(recipient: str, question: Payload, answer: type[A], given: Payload | None) -> A:
    """Return what an agent has given if it is the answer that is wanted; else it has done something else than asked."""
    if isinstance(given, answer):
        return given
    got = type(given).__name__ if given else "nothing"
    raise NoAnswer(f"{recipient} answered {got} to {type(question).__name__}, not {answer.__name__}.")


class Asked(Context):
    """Be the context of a handler that another handler has asked.

    It reads what the asker reads, and puts out by itself; the asker takes that in when the handler has ended well.
    """

    def __init__(self, asker: Context, agent: str, question: Payload, because: Because) -> None:
        self._asker, self._question, self._because = asker, question, because
        self.depth = asker.depth + 1
        self._root = asker._cause(because)
        self.agent = agent
        self.outcome = Outcome()
        self.now, self.timezone = asker.now, asker.timezone
        self.mail, self.calendar, self.tasks = asker.mail, asker.calendar, asker.tasks
        self.files, self.contacts = asker.files, asker.contacts
        self._messages: tuple[AgentMessage, ...] = ()
        self._ended, self._flooded, self._written = False, None, None
        self._room, self._shared, self._compute, self._questions = (
            asker._room, asker._shared, asker._compute, asker._questions
        )  # fmt: skip
        # What one of them has read, both have; and ids count on, whoever puts out.
        self._read, self._versions, self._ordinals = asker._read, asker._versions, asker._ordinals

    @property
    def messages(self) -> tuple[AgentMessage, ...]:
        """Return the question as the message that it would be; it is in no ledger."""
        if not self._messages:
            self._messages = (self._message(),)
        return self._messages

    @property
    def payload(self) -> Payload:
        """Return the question."""
        return self._question

    @property
    def user_id(self) -> str:
        """Return the user for whom the asker works."""
        return self._root.context.user_id

    @property
    def workspace_id(self) -> str:
        """Return the user's workspace."""
        return self._root.context.workspace_id

    @property
    def run_id(self) -> str | None:
        """Return the run that the asker's message belongs to."""
        return self._root.run_id

    def _message(self) -> AgentMessage:
        root = self._root
        return AgentMessage(
            id=self._derived(root, f"{self._question.message_type}?"),
            sender=self._asker.agent,
            recipient=self.agent,
            payload=self._question,
            context=self._written_now(),
            correlation_id=root.correlation_id or root.id,
            causation_id=root.id,
            run_id=root.run_id,
            priority=root.priority,
            provenance={"": self._provenance(None)},
        )

    def _updates(self) -> dict[str, ContextUpdate]:
        return self._asker._updates() | self.outcome.updates

    def _cause(self, because: Because) -> AgentMessage:
        if because is None or because is self._question or because in self._messages:
            return self._root
        raise ValueError("because= names no message that this handler was given")

    def _provenance(self, because: Because) -> Provenance:
        return self._asker._provenance(self._because)


async def called(agent: BrodyAgent, handler: Handler | None, context: Context) -> Payload | None:
    """Call an agent's handler for what its context holds, or let it take it as a trigger; return its answer."""
    if handler is None:
        await _triggered(agent, context)
        return None
    method = getattr(agent, handler.method)
    answer = await method([m.payload for m in context.messages] if handler.batch else context.payload, context)
    if answer is None or (handler.answers and isinstance(answer, Payload)):
        return answer
    says = "a payload, or None, as it says" if handler.answers else "None"
    raise TypeError(f"{handler.method} returned {type(answer).__name__}; it is to return {says}")


async def _triggered(agent: BrodyAgent, context: Context) -> None:
    response = await agent.process_trigger(trigger_of(context.message, context.now))
    if response is not None and response.action is not None and response.result is None:
        context.propose(response.action)


async def _answer(agent: BrodyAgent, handler: Handler | None, asked: Asked) -> Payload | None:
    """Call a handler that was asked, within its own time where it has one."""
    token = current.set(asked)
    try:
        if handler is None or handler.timeout is None:
            answer = await called(agent, handler, asked)
        else:
            answer = await _in_time(agent, handler, asked, handler.timeout)
        asked.check()
        return answer
    finally:
        asked.end()
        current.reset(token)


async def _in_time(agent: BrodyAgent, handler: Handler, asked: Asked, limit: float) -> Payload | None:
    try:
        async with asyncio.timeout(limit) as timeout:
            return await called(agent, handler, asked)
    except TimeoutError as error:
        if timeout.expired():
            raise HandlerTimeout(f"{agent.name} did not answer within {limit:g} s.") from error
        raise


def as_read(payload: A) -> A:
    """Return a payload as somebody reads it who has nothing but its JSON; raise ``ProtocolError`` where it has none."""
    kind = type(payload)
    try:
        data = kind.__pydantic_serializer__.to_json(payload, exclude_unset=True)
        read: A = kind.__pydantic_validator__.validate_json(data)
    except ValueError as error:  # pydantic's own errors of both ways are such
        raise ProtocolError("unencodable", "$", b"", str(error)) from error
    return read
