"""Agents: subclass :class:`BrodyAgent` and mark methods with :func:`handles`.

The type of a handler's first parameter is its route: a payload type gets one message, a list of it gets a batch
of at most 256 messages of one user. An agent that overrides ``process_trigger`` or ``decide_action`` gets what no
handler of its own takes, as an :class:`AgentTrigger`.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field

from brody_agents.action import ActionResult, AgentAction
from brody_agents.communication.message_protocol import AgentMessage, Payload, payload_data
from brody_agents.context import UserContext, current
from brody_agents.errors import AgentDefinitionError, Retryable

F = TypeVar("F", bound=Callable[..., Awaitable[Payload | None]])
Wait = Callable[[Any], float]
"""One of tenacity's waits."""

_REMEDY = (
    "Write it as `async def name(self, message: SomePayload, ctx: Context) -> None`, with `-> SomeAnswer` if it "
    "returns one, or with `list[SomePayload]` for a batch; SomePayload and SomeAnswer are subclasses of Payload with a "
    "message_type, visible in the module."
)


class AgentTrigger(BaseModel):
    """What sets an agent off: a message, a firing of a schedule, or a call by hand."""

    model_config = ConfigDict(frozen=True)

    user_id: str
    kind: str = "manual"
    """The message's type, or how else it came."""
    payload: dict[str, Any] = Field(default_factory=dict)
    message_id: str | None = None
    now: datetime | None = None


class AgentResponse(BaseModel):
    """What an agent made of a trigger: the action it decided on and, if it has executed it, the result."""

    model_config = ConfigDict(frozen=True)

    action: AgentAction | None = None
    result: ActionResult | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """Which errors of a handler are worth another try, how many tries there are in all, and the pause between them.

    ``wait`` is one of tenacity's (``wait_exponential(max=600)``); by default the pause doubles from 0.1 s on, with
    jitter. A pause of more than a second is held in the ledger: it outlives the process, and other messages go first.
    """

    tries: int = 3
    wait: Wait | None = None
    on: type[Exception] | tuple[type[Exception], ...] = Retryable


@dataclass(frozen=True, slots=True)
class Handler:
    """A route of an agent: which payload goes to which method, one by one or as a batch."""

    method: str
    payload: type[Payload]
    batch: bool
    answers: bool = False
    """Whether the method says that it returns a payload: the answer to whoever asked."""
    retry: Retry | None = None
    timeout: float | None = None


@overload
def handles(method: F, /) -> F: ...
@overload
def handles(*, retry: Retry | None = None, timeout: float | None = None) -> Callable[[F], F]: ...
def handles(method: F | None = None, /, *, retry: Retry | None = None, timeout: float | None = None) -> Any:
    """Mark a method as a handler of the payload type that its first parameter names.

    ``retry`` and ``timeout`` (seconds) take the place of the agent's ``retry`` and of ``BRODY_HANDLER_TIMEOUT``.
    """

    def mark(method: F) -> F:
        method.__brody_handles__ = (retry, timeout)  # type: ignore[attr-defined]
        return method

    return mark if method is None else mark(method)


class BrodyAgent:
    """Be the base of all agents.

    ``name`` is the address that messages carry; by default it is the class's name in snake case.
    """

    name: str = ""
    capabilities: Sequence[str] = ()
    retry: Retry = Retry()
    handlers: ClassVar[Mapping[type[Payload], Handler]] = {}
    _own: ClassVar[Mapping[type[Payload], Handler]] = {}

    def __init__(self, name: str = "", capabilities: Sequence[str] = ()) -> None:
        self.name = name or self.name or _snake(type(self).__name__)
        self.capabilities = tuple(capabilities or self.capabilities)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._own = _own_handlers(cls)
        cls.handlers = _handlers(cls)

    @property
    def takes_triggers(self) -> bool:
        """Say whether the agent handles what none of its handlers takes."""
        cls = type(self)
        return (
            cls.process_trigger is not BrodyAgent.process_trigger or cls.decide_action is not BrodyAgent.decide_action
        )

    async def process_trigger(self, trigger: AgentTrigger) -> AgentResponse:
        """Answer a trigger; by default propose what ``decide_action`` decides."""
        handler = current.get()
        now = trigger.now or datetime.now(UTC)
        context = await handler.user_context() if handler else UserContext(user_id=trigger.user_id, now=now)
        return AgentResponse(action=self.decide_action(trigger, context))

    def decide_action(self, trigger: AgentTrigger, context: UserContext) -> AgentAction | None:
        """Decide what to do about a trigger; by default nothing."""
        return None


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _handlers(cls: type) -> dict[type[Payload], Handler]:
    """Return the routes of a class and its bases; a method marked again has only its new route."""
    routes: dict[type[Payload], Handler] = {}
    for base in reversed(cls.__mro__):
        own: Mapping[type[Payload], Handler] = vars(base).get("_own", {})
        again = {handler.method for handler in own.values()}
        routes = {payload: handler for payload, handler in routes.items() if handler.method not in again} | {**own}
    return routes


def _own_handlers(cls: type) -> dict[type[Payload], Handler]:
    own: dict[type[Payload], Handler] = {}
    for name, member in vars(cls).items():
        if getattr(member, "__brody_handles__", False):
            handler = _handler(cls, name, member)
            _refuse_second(cls, own.get(handler.payload), handler)
            own[handler.payload] = handler
    return own


def _refuse_second(cls: type, earlier: Handler | None, handler: Handler) -> None:
    if earlier is not None:
        raise AgentDefinitionError(
            f"{cls.__name__}.{handler.method} and {cls.__name__}.{earlier.method} both take "
            f"{handler.payload.__name__}.",
            "Keep one of them.",
        )


def _handler(cls: type, name: str, method: Any) -> Handler:
    where = f"{cls.__name__}.{name}"
    if not inspect.iscoroutinefunction(method):
        raise AgentDefinitionError(f"{where} is not `async def`.", _REMEDY)
    parameters = list(inspect.signature(method).parameters.values())
    if len(parameters) != 3 or any(p.kind is not p.POSITIONAL_OR_KEYWORD for p in parameters):
        raise AgentDefinitionError(f"{where} takes {len(parameters)} parameters, not (self, message, ctx).", _REMEDY)
    annotation = _resolved(where, method, parameters[1].annotation)
    batch = get_origin(annotation) in (list, Sequence) and len(get_args(annotation)) == 1
    payload = get_args(annotation)[0] if batch else annotation
    if not (isinstance(payload, type) and issubclass(payload, Payload) and payload.message_type):
        raise AgentDefinitionError(f"{where} takes {annotation!r}, which is no payload type.", _REMEDY)
    answers = _answers(where, method)
    if batch and answers:
        raise AgentDefinitionError(f"{where} takes a batch and returns an answer, but to which of them?", _REMEDY)
    return Handler(name, payload, batch, answers, *method.__brody_handles__)


def _answers(where: str, method: Any) -> bool:
    """Say whether a handler returns answers; what is not annotated returns ``None``."""
    annotation = inspect.signature(method).return_annotation
    if annotation in (inspect.Signature.empty, None, "None"):
        return False
    resolved = _resolved(where, method, annotation)
    kinds = set(get_args(resolved) or (resolved,)) - {type(None)}
    if not all(isinstance(kind, type) and issubclass(kind, Payload) for kind in kinds):
        raise AgentDefinitionError(f"{where} returns {resolved!r}, which is no payload type.", _REMEDY)
    return bool(kinds)


def _resolved(where: str, method: Any, annotation: Any) -> Any:
    if annotation is inspect.Parameter.empty:
        raise AgentDefinitionError(f"{where} does not say which payload it takes.", _REMEDY)
    if not isinstance(annotation, str):
        return annotation
    frame = sys._getframe()
    while frame.f_back and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    try:  # the caller's locals let agents and payloads live inside functions
        only = SimpleNamespace(__annotations__={"message": annotation})
        return get_type_hints(only, method.__globals__, dict(frame.f_locals))["message"]
    except Exception as error:
        raise AgentDefinitionError(f"{where}: the annotation {annotation!r} means nothing here.", _REMEDY) from error


def trigger_of(message: AgentMessage, now: datetime) -> AgentTrigger:
    """Return the trigger that a message is."""
    return AgentTrigger(
        user_id=message.user_id,
        kind=message.message_type,
        payload=payload_data(message.payload),
        message_id=message.id,
        now=now,
    )
