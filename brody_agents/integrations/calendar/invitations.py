"""Put what an invitation brings into what a calendar has of the event."""

from __future__ import annotations

from brody_agents.integrations.calendar import ics_edit
from brody_agents.integrations.calendar.base import RawEvent
from brody_agents.integrations.calendar.event_text import EventText


def merged(data: str, invitation: str, uid: str) -> str:
    """Return an event as an invitation (RFC 5546, 3.2.2) leaves it, without the METHOD; ``data`` is empty for none.

    One for the whole event takes the place of what was there, one for single occurrences of these only.
    Raises ``ItemUnreadable``.
    """
    new, incoming = ics_edit.NewComponents(RawEvent(uid, "", invitation)), EventText(invitation)
    if not data or incoming.master is not None:
        return ics_edit.created(new).decode("utf-8", "surrogatepass")
    event = EventText(data)
    for name in (c.form.recurrence.name for c in incoming.components if c.form.recurrence):
        if (old := event.exception(name)) is not None:
            event.components.remove(old)
    if not event.components:
        return ics_edit.created(new).decode("utf-8", "surrogatepass")
    return ics_edit.added(event.text().encode("utf-8", "surrogatepass"), new).decode("utf-8", "surrogatepass")
