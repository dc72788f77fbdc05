"""The payloads that the five specialists and the coordinator send each other.

Payloads carry item ids and short fields, never bodies: a handler reads the item by its id.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

from brody_agents.communication.message_protocol import (
    AnyPriority,
    Day,
    Identifier,
    Payload,
    PayloadRegistry,
    Priority,
    Time,
)

Short = Annotated[str, StringConstraints(max_length=2000)]
Score = Annotated[float, Field(ge=0, le=1, strict=True)]
Category = Literal["urgent", "needs_reply", "waiting", "fyi", "newsletter", "receipt", "invite", "spam"]
Urgency = Literal["high", "medium", "low"]
SourceType = Literal["email", "calendar", "file", "manual"]


class Part(BaseModel):
    """Base of the objects inside payloads; unknown fields are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")


# -- mail --------------------------------------------------------------------------------------------


class ScanInbox(Payload, message_type="scan_inbox", needs_listener=False):
    """Ask for a pass over threads: reply state, who waits on whom, what needs a reply."""

    everything: StrictBool = False
    """Look again at every thread, not only at those that changed since the last pass."""


class EmailReceived(Payload, message_type="email_received"):
    """Say that a mail is new or changed in an account."""

    email_id: Identifier
    version: str = ""
    account: str = ""
    subject: Short = ""
    sender: Short = ""
    received_at: Time | None = None


class EmailClassified(Payload, message_type="email_classified", needs_listener=False):
    """Say what a mail is; the coordinator keeps it beside the mail."""

    email_id: Identifier
    category: Category
    urgency: Urgency = "low"
    needs_reply: StrictBool = False
    reasons: list[Short] = []
    thread_id: Identifier | None = None
    reply_state: Literal["none", "owed", "answered", "waiting"] = "none"
    waiting_on: list[Short] = []
    """Addresses of those from whom the user waits for an answer."""


# -- tasks -------------------------------------------------------------------------------------------


class SuggestedTask(Part):
    """One thing to do, as its source words it."""

    title: Short
    priority: AnyPriority = Priority.NORMAL
    due_date: Time | None = None
    kind: Literal["request", "commitment", "other"] = "other"
    assignee: Short | None = None
    """Address of whoever has to do it; absent means the user."""
    requested_by: Short | None = None
    confidence: Score = 1.0
    reasons: list[Short] = []


class TaskSuggestion(Payload, message_type="task_suggestion"):
    """Suggest tasks found in one item; exactly one of the source ids is given."""

    email_id: Identifier | None = None
    event_id: Identifier | None = None
    document_id: Identifier | None = None
    suggested_tasks: list[SuggestedTask]


# -- calendar ----------------------------------------------------------------------------------------


class MeetingRequest(Payload, message_type="meeting_request"):
    """Hand on an invitation, its update or its cancellation (RFC 5546)."""

    email_id: Identifier | None = None
    uid: Identifier
    method: Literal["REQUEST", "CANCEL", "REPLY", "COUNTER", "PUBLISH"] = "REQUEST"
    title: Short = ""
    start: Time
    end: Time
    all_day: StrictBool = False
    location: Short = ""
    organizer: Short = ""
    sender: Short = ""
    """Address that the mail came from; only the organizer's word counts."""
    attendees: list[Short] = []
    sequence: StrictInt = 0
    recurrence_id: Short | None = None


class MeetingScheduled(Payload, message_type="meeting_scheduled", needs_listener=False):
    """Say that a meeting is in a calendar, new or changed."""

    event_id: Identifier
    """The id of the event, or of the series."""
    version: str = ""
    account: str = ""
    uid: str = ""
    title: Short = ""
    start: Time | None = None
    end: Time | None = None


class ReviewDay(Payload, message_type="review_day", needs_listener=False):
    """Ask for a day's review: overlaps, gaps, focus blocks, preparation."""

    day: Day


class ConflictFound(Payload, message_type="conflict_found", needs_listener=False):
    """Report two things that cannot both hold; the coordinator's conflict resolver gives the verdict."""

    kind: Literal[
        "slot", "thread", "task", "label", "due_vs_block", "move_vs_share", "stale", "duplicate", "contradiction"
    ]
    resource: Identifier
    parties: list[dict[str, Any]]
    """Each ``{"id", "title", …}``; for a slot also ``start``, ``end``, ``priority``, ``movable``."""
    why: Short = ""
    options: list[Short] = []


class Replan(Payload, message_type="replan"):
    """Ask the coordinator to plan an action again: outside of any transaction, and checked again when it is done."""

    action_id: Identifier
    reason: Literal["slot", "due_vs_block", "stale"]
    attempt: StrictInt = 1
    before: Time | None = None
    """It has to end by then."""


# -- files -------------------------------------------------------------------------------------------


class DocumentReceived(Payload, message_type="document_received", needs_listener=False):
    """Say that a document is new or changed in a folder, or came as an attachment."""

    document_id: Identifier
    version: str = ""
    name: Short = ""
    media_type: str = ""
    size: StrictInt = 0
    account: str = ""
    email_id: Identifier | None = None
    """The mail that carried it; absent for a file of a folder."""


class FindDocuments(Payload, message_type="find_documents"):
    """Ask for documents that belong to a meeting or a thread; the answer names ``subject_id`` again."""

    subject_id: Identifier
    title: Short
    people: list[Short] = []
    text: Short = ""
    limit: StrictInt = 5


class FoundDocument(Part):
    """One document with the score (0 to 1) and the reasons of its match."""

    document_id: Identifier
    name: Short
    score: Score
    reasons: list[Short] = []
    source: SourceType = "file"


class DocumentsFound(Payload, message_type="documents_found"):
    """Answer ``find_documents``, best first, perhaps none."""

    subject_id: Identifier
    documents: list[FoundDocument] = []


# -- analytics ---------------------------------------------------------------------------------------


class AnalyseWorkload(Payload, message_type="analyse_workload", needs_listener=False):
    """Ask for the figures of a day."""

    day: Day


class WorkloadReport(Payload, message_type="workload_report", needs_listener=False):
    """Report figures, each with its definition: ``{name: {"value", "unit", "definition"}}``."""

    day: Day
    figures: dict[str, dict[str, Any]]


# -- the brief, results, notes -----------------------------------------------------------------------


class PrepareBrief(Payload, message_type="prepare_brief"):
    """Ask the coordinator for the brief of a run; sent when all else of the run has closed."""

    run_id: Identifier
    playbook: Identifier


class BriefReady(Payload, message_type="brief_ready", needs_listener=False):
    """Say that the brief of a run can be read."""

    run_id: Identifier
    playbook: Identifier


class ActionResult(Payload, message_type="action_result", needs_listener=False):
    """Tell the proposer what became of an action."""

    action_id: Identifier
    kind: Identifier
    state: Identifier
    reason: Short = ""
    result: dict[str, Any] = {}


class ApprovalResponse(Payload, message_type="approval_response", needs_listener=False):
    """Tell the proposer how the person answered a card; ``text`` is the person's own words.

    Only ``approve`` and ``edit`` let the action be done. After ``respond`` the agent may propose anew, with
    ``redo_of`` where the cause is the same.
    """

    approval_id: Identifier
    action_id: Identifier
    kind: Identifier
    answer: Literal["approve", "edit", "reject", "respond", "expired"]
    text: Short = ""
    changed: list[Short] = []
    """Names of the arguments that the person changed."""


class Notification(Payload, message_type="notification", needs_listener=False):
    """Say something to the person."""

    text: Short
    level: Literal["info", "warning", "urgent"] = "info"
    about: list[Identifier] = []


BUILT_IN: tuple[type[Payload], ...] = (
    ScanInbox,
    EmailReceived,
    EmailClassified,
    TaskSuggestion,
    MeetingRequest,
    MeetingScheduled,
    ReviewDay,
    ConflictFound,
    Replan,
    DocumentReceived,
    FindDocuments,
    DocumentsFound,
    AnalyseWorkload,
    WorkloadReport,
    PrepareBrief,
    BriefReady,
    ActionResult,
    ApprovalResponse,
    Notification,
)


def built_in_registry() -> PayloadRegistry:
    """Return a new registry of the payloads on this page."""
    return PayloadRegistry(BUILT_IN)
