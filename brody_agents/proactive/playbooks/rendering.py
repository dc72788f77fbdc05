"""Show a brief in a terminal. Texts of others are cleaned of control characters before they are printed."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from brody_agents.proactive.playbooks.brief import Brief, BriefConflict, BriefMail, BriefProposal, BriefTask

_URGENT = {"urgent": "bold red", "high": "red", "medium": "yellow", "normal": "", "low": "dim"}
MANY, FEW = 12, 3
"""How many rows a list shows before the rest is only counted; how many documents of a meeting."""


def clean(text: str) -> str:
    """Return a text on one line without control, format and bidirectional characters."""
    kept = (c if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn") else " " for c in text)
    return " ".join("".join(kept).split())


def show_brief(console: Console, brief: Brief) -> None:
    """Print a brief: agenda, conflicts, what needs a reply, tasks, proposals, numbers."""
    day = brief.now.strftime("%A %d %B %Y, %H:%M")
    console.print(Rule(Text(f"{day}  ·  {brief.timezone}", style="bold")))
    titles = {mail.id: mail.subject for mail in brief.mail} | {event.id: event.title for event in brief.agenda}
    for title, content in _sections(brief, titles):
        console.print(Text(f"\n{title}", style="bold cyan"))
        console.print(Padding(content, (0, 0, 0, 2)))
    console.print(Padding(_footer(brief), (1, 0, 0, 0)))


def _sections(brief: Brief, titles: dict[str, str]) -> Iterable[tuple[str, RenderableType]]:
    whole_day = brief.playbook != "inbox-scan"
    if brief.problems:
        yield "Could not be read", _lines(f"{p.account}: {p.what} {p.remedy}" for p in brief.problems)
    if brief.notices:
        yield "Please note", _lines(n.text for n in brief.notices)
    if whole_day:
        yield "Agenda", _agenda(brief)
    if brief.conflicts:
        yield f"Conflicts ({len(brief.conflicts)})", Group(*(_conflict(c) for c in brief.conflicts[:MANY]))
    owed = _once(m for m in brief.mail if m.needs_reply and m.reply_state == "owed")
    yield "Needs a reply", _mail(owed, "Nobody waits for an answer.", brief.now)
    waiting = _once(m for m in brief.mail if m.reply_state == "waiting" and m.category == "waiting")
    if waiting:
        yield "You wait for an answer", _mail(waiting, "", brief.now)
    if not whole_day:
        yield "Inbox", _categories(brief)
    yield "Tasks", _tasks(brief.tasks, titles)
    recorded = [p for p in brief.proposals if p.state == "proposed"]
    if recorded:
        after = "Without --dry-run they are done, or wait for you."
        yield "Proposals, only recorded", Group(_proposals(recorded, titles), Text(after, style="dim"))
    asked = [p for p in brief.proposals if p.state not in ("approved", "proposed")]
    if asked or not recorded:
        yield "Proposals that wait for you", _proposals(asked, titles)
    if brief.analytics:
        yield "Numbers", _numbers(brief.analytics)


def _agenda(brief: Brief) -> RenderableType:
    if not brief.agenda:
        return Text("Nothing today.", style="dim")
    table = _grid()
    for event in brief.agenda:
        when = "all day" if event.all_day else f"{event.start:%H:%M}–{event.end:%H:%M}"
        what = Text(clean(event.title) or "(no title)")
        if event.location:
            what.append(f"  {clean(event.location)}", style="dim")
        for document in event.documents[:FEW]:
            what.append(f"\n  ⤷ {clean(document.name)}", style="green")
            what.append(f"  {clean('; '.join(document.reasons[:1]))}", style="dim")
        table.add_row(when, what, Text(clean(event.calendar), style="dim"))
    return table


def _conflict(conflict: BriefConflict) -> RenderableType:
    names = " / ".join(clean(str(p.get("title", p.get("id", "")))) for p in conflict.parties)
    text = Text(f"{conflict.kind}: ", style="yellow").append(names, style="bold")
    text.append(f"\n  {conflict.verdict}: {clean(conflict.why)}", style="")
    for number, option in enumerate(conflict.options, 1):
        text.append(f"\n    {number}. {clean(option)}", style="dim")
    return text


def _mail(mails: Sequence[BriefMail], nothing: str, now: datetime) -> RenderableType:
    if not mails:
        return Text(nothing, style="dim")
    table = _grid()
    for mail in mails[:MANY]:
        what = Text(clean(mail.subject) or "(no subject)", style=_URGENT[mail.urgency])
        what.append(f"\n{clean('; '.join(mail.reasons[:2]))}", style="dim")
        when = "%d %b %H:%M" if mail.received_at.year == now.year else "%d %b %Y"
        table.add_row(f"{mail.received_at:{when}}", Text(clean(mail.sender)), what)
    return _with_rest(table, len(mails))


def _once(mails: Iterable[BriefMail]) -> list[BriefMail]:
    """Return each message once, however many copies of it came."""
    return list({mail.message_id: mail for mail in mails}.values())


def _categories(brief: Brief) -> RenderableType:
    counts: dict[str, int] = {}
    for mail in brief.mail:
        counts[mail.category] = counts.get(mail.category, 0) + 1
    table = _grid()
    for category, count in sorted(counts.items(), key=lambda item: -item[1]):
        table.add_row(Text(category), Text(str(count), justify="right"))
    return table


def _tasks(tasks: Sequence[BriefTask], titles: dict[str, str]) -> RenderableType:
    if not tasks:
        return Text("Nothing to do.", style="dim")
    table = _grid()
    for task in tasks[:MANY]:
        what = Text(clean(task.title))
        origin = [clean(titles[s["id"]]) for s in task.sources if s["id"] in titles]
        if origin:
            what.append(f"\nfrom {'; '.join(f'“{o}”' for o in origin)}", style="dim")
        table.add_row(_due(task.due), Text(task.priority, style=_URGENT[task.priority]), what)
    return _with_rest(table, len(tasks))


def _due(due: datetime | None) -> Text:
    return Text(f"{due:%a %d %b %H:%M}") if due else Text("no date", style="dim")


def _proposals(proposals: Sequence[BriefProposal], titles: dict[str, str]) -> RenderableType:
    if not proposals:
        return Text("Nothing waits for you.", style="dim")
    table = _grid()
    for proposal in proposals[:MANY]:
        what = Text(_subject(proposal, titles))
        what.append(f"\n{clean(proposal.because)}", style="dim")
        table.add_row(Text(proposal.id[:8], style="dim"), Text(proposal.kind), what)
    rest = _with_rest(table, len(proposals))
    return Group(rest, Text("See one with: brody actions show ID", style="dim"))


def _subject(proposal: BriefProposal, titles: dict[str, str]) -> str:
    a: dict[str, Any] = proposal.arguments
    name = a.get("title") or a.get("subject") or a.get("path") or titles.get(a.get("email_id", ""), "") or a.get("text")
    words = [str(a[key]) for key in ("answer",) if key in a]
    start = a.get("start")
    when = f" {datetime.fromisoformat(start):%a %H:%M}" if isinstance(start, str) else ""
    return clean(" ".join([*words, str(name or "")])) + when


def _numbers(analytics: dict[str, Any]) -> RenderableType:
    table = _grid()
    for name, figure in analytics.items():
        value, unit = figure.get("value"), figure.get("unit", "")
        if isinstance(value, (int, float)):
            shown = f"{value:g} {unit}".strip()
            table.add_row(
                Text(name.replace("_", " ")), Text(shown, justify="right"), Text(clean(figure["definition"]), "dim")
            )
    return table


def _footer(brief: Brief) -> Text:
    c = brief.counts
    words = f"{c.messages_read} mails, {c.new_messages} new, {c.handled} handled, {c.dead_letters} dead letters"
    return Text(f"{words}  ·  {brief.timing.seconds:.1f} s  ·  run {brief.run_id}", style="dim")


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    return table


def _with_rest(table: Table, total: int) -> RenderableType:
    return Group(table, Text(f"… and {total - MANY} more", style="dim")) if total > MANY else table


def _lines(texts: Iterable[str]) -> RenderableType:
    return Group(*(Text(clean(text)) for text in texts))
