"""The errors of Brody Agents: one root, branches by who must act, retryable apart from terminal.

Every error carries a stable ``code`` (for programs), says *what* happened and the *remedy* (for people).
A retryable error may be tried again unchanged; a terminal one fails again until somebody acts.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar


class BrodyError(Exception):
    """Be the root of all errors of this package."""

    code: ClassVar[str] = "brody_error"
    remedy: str = ""

    def __init__(self, what: str, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        if remedy is not None:
            self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what} {self.remedy}".rstrip()


class Retryable(BrodyError):
    """The same call may succeed later, but not within ``retry_after`` seconds where that is known."""

    code = "retryable"
    retry_after: float | None = None


class Terminal(BrodyError):
    """The same call fails until somebody changes something."""

    code = "terminal"


LONGEST = 10_000
"""Characters that are kept of what an error says."""


def words_of(error: BaseException) -> str:
    """Return what an error says, as text that can be stored.

    Somebody's error may fail when it is asked, quote a whole file, or have half a character in it (the name of a file
    that is no UTF-8).
    """
    try:
        words = str(error)
    except Exception:
        words = "it cannot say what"
    return words[:LONGEST].encode("utf-8", "backslashreplace").decode()


def said(error: BaseException) -> str:
    """Return what an error says, and what it is where it is none of this package's."""
    return words_of(error) if isinstance(error, BrodyError) else f"{type(error).__name__}: {words_of(error)}"


# -- the caller must act ------------------------------------------------------------------------------


class ConfigurationError(Terminal):
    """A setting, a source word or an argument is wrong."""

    code = "configuration"


class UnknownSource(ConfigurationError):
    """The word before the colon of an account names no provider."""

    code = "unknown_source"


class SourceNotFound(ConfigurationError):
    """The place that an account names does not exist or is of the wrong type."""

    code = "source_not_found"


class UnknownPlaybook(ConfigurationError):
    """No playbook has this name."""

    code = "unknown_playbook"


class NotFound(Terminal):
    """Nothing has this id."""

    code = "not_found"


class AlreadyDecided(Terminal):
    """An approval card has had its one answer, or is over; nothing more follows from it."""

    code = "already_decided"
    remedy = "See: brody approvals list"


class CannotUndo(Terminal):
    """An action cannot be undone, or was never done."""

    code = "cannot_undo"
    remedy = "See what it did: brody actions show"


class UnderWay(Retryable):
    """An action is being carried out, or nobody knows yet whether it was."""

    code = "under_way"
    remedy = "Try again when it has ended: brody actions show"


class NotUnclear(Terminal):
    """Only of an action whose outcome is unknown can a person say what became of it, and only once."""

    code = "not_unclear"
    remedy = "See: brody actions show"


class HomeBusy(Retryable):
    """Another process works on the same home."""

    code = "home_busy"
    remedy = "Wait until it has ended, or use another --home."


class Overloaded(Retryable):
    """The backlog is longer than its limit (HTTP 429); nothing was taken in, nothing is dropped."""

    code = "overloaded"

    def __init__(self, what: str, retry_after: float) -> None:
        super().__init__(what, f"Send it again in {retry_after:.0f} s.")
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[type[Overloaded], tuple[str, float]]:
        return type(self), (self.what, self.retry_after or 0.0)


# -- the protocol ------------------------------------------------------------------------------------


class ProtocolError(Terminal):
    """Bytes are not a message; ``path`` is the JSON path of the fault, ``data`` the bytes themselves."""

    code = "protocol"

    def __init__(self, code: str, path: str, data: bytes, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.code = code  # type: ignore[misc]  # narrower than the class: the codes of the wire format
        self.path = path
        self.data = data

    def __reduce__(self) -> tuple[type[ProtocolError], tuple[str, str, bytes, str]]:
        return type(self), (self.code, self.path, self.data, self.what.removeprefix(f"{self.path}: "))


# -- the agent's author must act ---------------------------------------------------------------------


class AgentDefinitionError(Terminal, TypeError):
    """A handler's signature does not say what it handles."""

    code = "agent_definition"


class UnknownAction(Terminal):
    """No action kind of the catalogue has this name."""

    code = "unknown_action"


class InvalidArguments(Terminal):
    """The arguments of an action do not fit its kind."""

    code = "invalid_arguments"


class HandlerFailed(Terminal):
    """A handler raised; the message goes to the dead letters."""

    code = "handler_failed"


class HandlerTimeout(Terminal):
    """A handler did not end within its time limit and was cancelled."""

    code = "handler_timeout"
    remedy = "Give it more time with @handles(timeout=…), or have it do less for one message."


class NoAnswer(Terminal):
    """An agent that was asked within a turn has no answer to give."""

    code = "no_answer"


class TooManyOutputs(Terminal):
    """A handler put out more for its messages than the limit allows."""

    code = "too_many_outputs"
    remedy = "Put out less for one message, or raise BRODY_OUTPUT_LIMIT."


class Unwritable(Terminal):
    """What a handler put out cannot be written to the ledger."""

    code = "unwritable"


class Poison(Terminal):
    """Handling the message ended the process, again and again."""

    code = "poison"


class ContextConflict(Retryable):
    """Somebody else changed a shared context value after it was read."""

    code = "context_conflict"


# -- whoever asks the decision engine must act -------------------------------------------------------


class DecisionError(Terminal):
    """A question, an opinion or a track record is not one."""

    code = "decision"


class InvalidQuestion(DecisionError):
    """A question needs two different choices, a quorum from 1 and a margin from 0 to 1."""

    code = "invalid_question"


class NoOpinions(DecisionError):
    """There is nothing to decide by."""

    code = "no_opinions"


class VotedTwice(DecisionError):
    """An agent has more than one opinion on a question."""

    code = "voted_twice"


class UnknownChoice(DecisionError):
    """An opinion is for, or against, something that cannot be chosen."""

    code = "unknown_choice"


class InvalidOpinion(DecisionError):
    """An opinion contradicts itself: it rules out what it chooses."""

    code = "invalid_opinion"


class InvalidConfidence(InvalidOpinion):
    """A confidence is a number from 0 to 1."""

    code = "invalid_confidence"


class InvalidTrackRecord(DecisionError):
    """A track record counts from 0."""

    code = "invalid_track_record"


# -- the provider, or who runs it, must act -----------------------------------------------------------


class ProviderError(Terminal):
    """An account refuses for good."""

    code = "provider"


class NoTransport(ProviderError):
    """The mail account can store mail but has nothing to send it with."""

    code = "no_transport"
    remedy = "Add an outgoing transport (smtp:) to the account."


class NoEffect(ProviderError):
    """The kind of action is known and may be proposed and approved, but nothing carries it out."""

    code = "no_effect"
    remedy = "Do it yourself as the proposal says."


class CannotShare(ProviderError):
    """The account knows no sharing."""

    code = "cannot_share"
    remedy = "Share the folder by the means of its system."


class NotInvited(ProviderError):
    """No attendee of an event is the person, so there is nobody to answer for."""

    code = "not_invited"
    remedy = "Answer in your calendar, or have a mailbox with your sent mail read, which tells your addresses."


class LabelNotSupported(ProviderError):
    """The account has no such label and can make none."""

    code = "label_not_supported"


class ProviderUnavailable(Retryable):
    """An account cannot be reached, or is locked, just now."""

    code = "provider_unavailable"


class SourceLocked(ProviderUnavailable):
    """Another program holds the lock of a local mailbox."""

    code = "source_locked"
    remedy = "Close the program that holds it, or try again later."


class Stale(Retryable):
    """The item changed since it was read (HTTP 412): read again, plan again."""

    code = "stale"


class ItemUnreadable(ProviderError):
    """One item cannot be read or parsed; it goes to the dead letters and the rest goes on."""

    code = "item_unreadable"


class NotSent(ProviderUnavailable):
    """An effect surely did not happen, for a reason that may pass; the same call may be tried again."""

    code = "not_sent"


class Refused(ProviderError):
    """An effect surely did not happen, and the provider would refuse the same call again."""

    code = "refused"


class OutcomeUnknown(BrodyError):
    """An effect may have happened or not: neither retryable nor terminal, and never simply tried again.

    Ask the provider (``Outgoing.find_sent``, ``CalendarProvider.find``); where it cannot tell, a person decides.
    """

    code = "outcome_unknown"


# -- the ledger --------------------------------------------------------------------------------------


class LedgerError(Terminal):
    """The ledger cannot be used as it is."""

    code = "ledger"


class HomeTooNew(LedgerError):
    """The home was written by a newer version of this package."""

    code = "home_too_new"
    remedy = "Upgrade brody-agents, or use another --home."


class LedgerFull(Retryable):
    """The disk is full; nothing of the transaction was written."""

    code = "disk_full"
    remedy = "Free some space and run again; the run goes on where it stopped."


class BusUnavailable(Retryable):
    """Redis or Valkey cannot be reached."""

    code = "bus_unavailable"


class TooLargeForBus(Terminal):
    """A message has more bytes than its bus carries (``largest``); it goes to the dead letters."""

    code = "too_large"
    remedy = "Have it carry less, such as ids in place of content, or have the broker take more."

    def __init__(self, what: str, largest: int) -> None:
        super().__init__(what)
        self.largest = largest

    def __reduce__(self) -> tuple[type[TooLargeForBus], tuple[str, int]]:
        return type(self), (self.what, self.largest)


# -- scheduling --------------------------------------------------------------------------------------


class InvalidProblem(Terminal, ValueError):
    """What is to be scheduled contradicts itself: a time without a zone, an id that comes twice, a cost below zero."""

    code = "invalid_problem"


class NoPlanInTime(Retryable):
    """The solver's time ran out before a plan was found, or shown to be impossible."""

    code = "no_plan_in_time"
    remedy = "Allow more time, use a coarser grid, or place fewer items at once."


# -- resources ---------------------------------------------------------------------------------------


class Denied(Retryable):
    """A budget, a rate window or a circuit breaker says no, for now.

    ``budget`` names which, ``left`` is how much of it there still is (in its unit; ``None`` where nothing is
    counted), ``frees_at`` when it frees by itself (``None``: never, or when somebody else is done), ``retry_after``
    the seconds until a new try makes sense (``None``: only after somebody has acted). ``never`` is set where more is
    wanted than the whole budget is: waiting is in vain.
    """

    code = "denied"

    def __init__(
        self,
        what: str,
        remedy: str = "",
        *,
        budget: str,
        left: int | None = None,
        frees_at: datetime | None = None,
        retry_after: float | None = None,
        never: bool = False,
    ) -> None:
        super().__init__(what, remedy)
        self.never = never
        self.budget = budget
        self.left = left
        self.frees_at = frees_at
        self.retry_after = retry_after


class Fenced(Terminal):
    """Somebody with a newer fencing number has taken over: nothing may be written with the old one."""

    code = "fenced"
    remedy = "Stop: another worker goes on with it."


class LeaseHeld(Retryable):
    """Somebody else holds the lease of a resource."""

    code = "lease_held"


class Unsettled(Terminal):
    """An earlier attempt's reservation is still open: what it has used must be found out first."""

    code = "unsettled"
    remedy = "Recover the earlier reservation, then settle or release it."


class WrongCurrency(Terminal):
    """Money is wanted in one currency and budgeted in another; nothing is converted."""

    code = "wrong_currency"
    remedy = "Set a budget in this currency too."
