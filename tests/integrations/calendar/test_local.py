"""``ics:PATH``: what is read, what is reported, what is written, and what stays as it was."""

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from brody_agents.errors import ItemUnreadable, NotFound, SourceNotFound, Stale
from brody_agents.integrations.base import BadItem
from brody_agents.integrations.calendar.base import RawEvent
from brody_agents.integrations.calendar.expansion import StoredEvent, expand
from brody_agents.integrations.calendar.local import IcsCalendar

BERLIN = ZoneInfo("Europe/Berlin")
ZONE = """BEGIN:VTIMEZONE
TZID:{0}
BEGIN:STANDARD
DTSTART:16010101T000000
TZOFFSETFROM:+0100
TZOFFSETTO:+0100
END:STANDARD
END:VTIMEZONE
"""


def vevent(uid: str, title: str = "", more: str = "", start: str = ":20260330T080000Z") -> str:
    return f"BEGIN:VEVENT\nUID:{uid}\nDTSTART{start}\nSUMMARY:{title or uid}\n{more}END:VEVENT\n"


def vcalendar(*parts: str, name: str = "") -> str:
    head = f"X-WR-CALNAME:{name}\n" if name else ""
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//Somebody//EN\n{head}{''.join(parts)}END:VCALENDAR\n"


class Reader:
    """What a watcher does: read after a cursor, keep the versions."""

    def __init__(self, path: Path) -> None:
        self.calendar = IcsCalendar(path)
        self.known: dict[str, str] = {}
        self.cursor: str | None = None
        self.items: dict[str, RawEvent] = {}
        self.bad: list[BadItem] = []
        self.removed: list[str] = []
        self.total: int | None = None

    async def read(self) -> "Reader":
        async def known() -> Mapping[str, str]:
            return self.known

        self.items, self.bad, self.removed, pages = {}, [], [], 0
        async for page in self.calendar.changes(self.cursor, known):
            self.items |= {item.key: item for item in page.items}
            self.bad += page.bad
            self.removed += page.removed
            self.total, cursor, pages = page.total, page.cursor, pages + 1
        assert pages
        self.cursor = cursor
        self.known |= {item.key: item.version for item in self.items.values()}
        self.known |= {item.key: item.version for item in self.bad}
        self.known = {key: version for key, version in self.known.items() if key not in self.removed}
        return self


def titles(reader: Reader) -> dict[str, str]:
    found = {}
    for uid, item in reader.items.items():
        raw = StoredEvent(reader.calendar.account, uid, item.version, item.data)
        events = expand(raw, datetime(2026, 3, 30, tzinfo=BERLIN), datetime(2026, 4, 30, tzinfo=BERLIN), BERLIN)
        found[uid] = ",".join(event.title for event in events)
    return found


def snapshot(root: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file below a folder, with its bytes and its time."""
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(root.rglob("*")) if p.is_file()}


# -- reading -------------------------------------------------------------------------------------------


async def test_folder_is_read_to_its_depths_one_item_a_uid(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "work.ics").write_text(
        vcalendar(vevent("a"), vevent("b"), name="Work") + vcalendar(vevent("c"), name="More")
    )
    (tmp_path / "deep" / "er" / "home.ICS").write_text(vcalendar(vevent("d")))
    (tmp_path / "notes.txt").write_text(vcalendar(vevent("e")))
    reader = await Reader(tmp_path).read()

    assert titles(reader) == {"a": "a", "b": "b", "c": "c", "d": "d"}
    assert {uid: item.calendar for uid, item in reader.items.items()} == {
        "a": "Work",
        "b": "Work",
        "c": "More",
        "d": "home",
    }
    assert (reader.bad, reader.removed, reader.total) == ([], [], 4)
    assert reader.items["d"].path == "deep/er/home.ICS"


async def test_account_is_the_absolute_path_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "my.ics").write_text(vcalendar(vevent("a")))
    indirect = tmp_path / "other" / ".." / "my.ics"
    (tmp_path / "other").mkdir()

    assert IcsCalendar(str(indirect)).account == IcsCalendar(tmp_path / "my.ics").account == f"ics:{tmp_path}/my.ics"
    with pytest.raises(SourceNotFound):
        IcsCalendar(tmp_path / "nothing.ics")


async def test_series_and_its_exceptions_are_one_item_with_only_the_zones_that_they_use(tmp_path: Path) -> None:
    exception = vevent("s", "moved", "RECURRENCE-ID;TZID=One:20260331T100000\n", ";TZID=One:20260331T120000")
    series = vevent("s", "weekly", "RRULE:FREQ=DAILY;COUNT=2\n", ";TZID=One:20260330T100000")
    text = vcalendar(ZONE.format("One"), ZONE.format("Two"), exception, vevent("x"), series)
    (tmp_path / "a.ics").write_text(text)
    reader = await Reader(tmp_path / "a.ics").read()

    assert titles(reader) == {"s": "weekly,moved", "x": "x"}
    assert reader.items["s"].data.count("BEGIN:VTIMEZONE") == 1
    assert "TZID:One" in reader.items["s"].data
    assert "BEGIN:VTIMEZONE" not in reader.items["x"].data


async def test_reading_leaves_every_file_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.ics").write_bytes(vcalendar(vevent("a")).replace("\n", "\r\n").encode())
    (tmp_path / "b.ics").write_bytes(b"garbage \xff\x00")
    before = snapshot(tmp_path)
    reader = await Reader(tmp_path).read()
    await reader.calendar.fetch("a")
    await reader.calendar.check()

    assert snapshot(tmp_path) == before


async def test_second_reading_finds_only_what_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.ics"
    path.write_text(vcalendar(vevent("a"), vevent("b"), vevent("c")))
    reader = await Reader(tmp_path).read()
    assert (await reader.read()).items == {}
    assert reader.total == 3

    path.write_text(vcalendar(vevent("a"), vevent("b", "new"), vevent("d")))
    await reader.read()

    assert titles(reader) == {"b": "new", "d": "d"}
    assert reader.removed == ["c"]
    assert (await reader.read()).removed == []


async def test_stamp_of_an_export_is_no_change(tmp_path: Path) -> None:
    path = tmp_path / "a.ics"
    path.write_text(vcalendar(vevent("a", more="DTSTAMP:20260101T000000Z\n")))
    reader = await Reader(path).read()
    path.write_text(vcalendar(vevent("a", more="DTSTAMP:20260102T000000Z\n")))

    assert (await reader.read()).items == {}


async def test_large_calendar_comes_in_pages_and_only_the_last_has_a_cursor(tmp_path: Path) -> None:
    (tmp_path / "a.ics").write_text(vcalendar(*(vevent(f"e{i}") for i in range(600))))

    async def nothing() -> dict[str, str]:
        return {}

    pages = [page async for page in IcsCalendar(tmp_path).changes(None, nothing)]

    assert sum(len(page.items) for page in pages) == 600
    assert max(len(page.items) for page in pages) <= 300
    assert [bool(page.cursor) for page in pages] == [False] * (len(pages) - 1) + [True]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("SEQUENCE:1\n", "SEQUENCE:2\n"),
        ("SEQUENCE:10\nDTSTAMP:20260102T000000Z\n", "SEQUENCE:10\nDTSTAMP:20260103T000000Z\n"),
        ("LAST-MODIFIED:20260102T000000Z\n", "LAST-MODIFIED:20260103T000000Z\nDTSTAMP:20260101T000000Z\n"),
    ],
)
@pytest.mark.parametrize("names", [("a.ics", "b.ics"), ("b.ics", "a.ics")])
async def test_of_two_copies_the_newer_counts(tmp_path: Path, first: str, second: str, names: tuple[str, str]) -> None:
    (tmp_path / names[0]).write_text(vcalendar(vevent("a", "old", first)))
    (tmp_path / names[1]).write_text(vcalendar(vevent("a", "new", second)))

    assert titles(await Reader(tmp_path).read()) == {"a": "new"}


async def test_exception_in_a_file_of_its_own_joins_its_series_but_not_that_of_an_old_copy(tmp_path: Path) -> None:
    series = vevent("a", "daily", "SEQUENCE:2\nRRULE:FREQ=DAILY;COUNT=3\n")
    update = vevent("a", "update", "SEQUENCE:3\nRECURRENCE-ID:20260331T080000Z\n", ":20260331T090000Z")
    stale = vevent("a", "stale", "SEQUENCE:1\nRECURRENCE-ID:20260401T080000Z\n", ":20260401T090000Z")
    (tmp_path / "a.ics").write_text(vcalendar(series))
    (tmp_path / "b.ics").write_text(vcalendar(update))
    (tmp_path / "c.ics").write_text(vcalendar(vevent("a", "old", "RRULE:FREQ=DAILY;COUNT=9\n"), stale))

    assert titles(await Reader(tmp_path).read()) == {"a": "daily,update,daily"}


async def test_event_without_a_uid_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.ics").write_text(vcalendar(vevent("a").replace("UID:a\n", "")))
    reader = await Reader(tmp_path).read()

    assert list(titles(reader).values()) == ["a"]
    assert list((await reader.read()).items) == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
async def test_letters_survive_the_encodings_that_files_come_in(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.ics").write_bytes(vcalendar(vevent("a", "Prüfung – später")).encode(encoding))

    assert titles(await Reader(tmp_path).read()) == {"a": "Prüfung – später"}


async def test_letter_folded_in_the_middle_is_one_letter(tmp_path: Path) -> None:
    data = vcalendar(vevent("a", "Prüfung")).replace("\n", "\r\n").encode()
    (tmp_path / "a.ics").write_bytes(data.replace(b"\xc3\xbc", b"\xc3\r\n \xbc"))

    assert titles(await Reader(tmp_path).read()) == {"a": "Prüfung"}


# -- broken files ----------------------------------------------------------------------------------------


async def test_broken_event_is_reported_and_the_rest_of_the_file_goes_on(tmp_path: Path) -> None:
    broken = vevent("b").replace("DTSTART:20260330T080000Z", "DTSTART:some day")
    (tmp_path / "a.ics").write_text(vcalendar(vevent("a"), broken, vevent("c")))
    reader = await Reader(tmp_path).read()

    assert sorted(reader.items) == ["a", "c"]
    assert [(bad.key, bad.data) for bad in reader.bad] == [("b", broken.encode())]
    assert "DTSTART" in reader.bad[0].reason
    with pytest.raises(ItemUnreadable, match="DTSTART"):
        await reader.calendar.fetch("b")


async def test_event_without_an_end_costs_no_other(tmp_path: Path) -> None:
    cut = vevent("b").replace("END:VEVENT\n", "")
    (tmp_path / "a.ics").write_text(vcalendar(vevent("a"), cut, vevent("c"), cut))
    reader = await Reader(tmp_path).read()

    assert sorted(reader.items) == ["a", "c"]
    assert {bad.data for bad in reader.bad} == {cut.encode()}


async def test_event_without_its_beginning_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.ics").write_text(
        vcalendar(vevent("a"), vevent("b").replace("BEGIN:VEVENT", "BEGIN:VEV"), vevent("c"))
    )
    reader = await Reader(tmp_path).read()

    assert sorted(reader.items) == ["a", "c"]
    assert [bad.reason for bad in reader.bad] == ["A BEGIN or an END is missing."]


async def test_broken_exception_costs_only_itself(tmp_path: Path) -> None:
    series = vevent("a", "daily", "RRULE:FREQ=DAILY;COUNT=3\n")
    (tmp_path / "a.ics").write_text(vcalendar(series, vevent("a", "x", "RECURRENCE-ID:20260331T080000Z\n", ":never")))
    reader = await Reader(tmp_path).read()

    assert titles(reader) == {"a": "daily,daily,daily"}
    assert [bad.key for bad in reader.bad] == ["a#:20260331T080000Z"]


@pytest.mark.parametrize("content", [b"", b"Hello", b"\x00\xff" * 50, b"<html></html>"])
async def test_file_that_is_no_calendar_is_reported_once(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.ics").write_bytes(content)
    (tmp_path / "b.ics").write_text(vcalendar(vevent("b")))
    reader = await Reader(tmp_path).read()

    assert list(reader.items) == ["b"]
    assert [(bad.key, bad.data) for bad in reader.bad] == [("a.ics", content)]
    assert (await reader.read()).bad == []


async def test_what_a_cut_file_hides_is_not_called_removed_but_what_another_file_lost_is(tmp_path: Path) -> None:
    text = vcalendar(vevent("a"), vevent("b"))
    (tmp_path / "a.ics").write_text(text)
    (tmp_path / "c.ics").write_text(vcalendar(vevent("c"), vevent("d")))
    reader = await Reader(tmp_path).read()

    (tmp_path / "a.ics").write_text(text[: text.index("UID:b") + 5])
    (tmp_path / "c.ics").write_text(vcalendar(vevent("c")))
    await reader.read()
    assert reader.removed == ["d"]
    assert len(reader.bad) == 1

    (tmp_path / "a.ics").write_text(vcalendar(vevent("a")))
    await reader.read()
    assert "b" in reader.removed


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_file_that_may_not_be_read_hides_its_events_and_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "a.ics").write_text(vcalendar(vevent("a")))
    reader = await Reader(tmp_path).read()
    (tmp_path / "a.ics").chmod(0)
    await reader.read()
    assert (reader.removed, [bad.key for bad in reader.bad], reader.cursor) == ([], ["a.ics"], "")

    (tmp_path / "a.ics").chmod(0o600)
    assert (await reader.read()).bad == []


async def test_place_that_is_gone_is_said_to_be_gone(tmp_path: Path) -> None:
    path = tmp_path / "a.ics"
    path.write_text(vcalendar(vevent("a")))
    reader = await Reader(path).read()
    path.unlink()

    with pytest.raises(SourceNotFound):
        await reader.read()


# -- writing ---------------------------------------------------------------------------------------------


def of(uid: str, title: str, more: str = "") -> RawEvent:
    return RawEvent(uid, "", vcalendar(vevent(uid, title, more)))


async def test_put_changes_only_the_components_of_its_uid(tmp_path: Path) -> None:
    head, a, c = (
        "BEGIN:VCALENDAR\r\nX-ODD : kept\r\n",
        vevent("a").replace("\n", "\r\n"),
        vevent("c", "folded\r\n  line\r\n"),
    )
    b = vevent("b", more="RRULE:FREQ=DAILY\n").replace("\n", "\r\n")
    exception = vevent("b", more="RECURRENCE-ID:20260331T080000Z\n").replace("\n", "\r\n")
    tail = "BEGIN:VTODO\r\nUID:b\r\nEND:VTODO\r\nEND:VCALENDAR\r\n"
    path = tmp_path / "a.ics"
    path.write_bytes((head + a + b + c + exception + tail).encode())
    reader = await Reader(path).read()

    etag = await reader.calendar.put(of("b", "new"), reader.items["b"].version)

    assert path.read_bytes().decode() == head + a + vevent("b", "new").replace("\n", "\r\n") + c + tail
    assert (await reader.read()).items["b"].version == etag
    assert list(reader.items) == ["b"]


async def test_put_of_what_was_fetched_is_the_same_file(tmp_path: Path) -> None:
    text = vcalendar(ZONE.format("One"), vevent("a", start=";TZID=One:20260330T100000"), vevent("b"))
    (tmp_path / "a.ics").write_text(text)
    calendar = IcsCalendar(tmp_path)
    event = await calendar.fetch("a")

    assert await calendar.put(event, event.version) == event.version
    assert (tmp_path / "a.ics").read_text() == text


async def test_put_brings_the_zones_that_it_needs_and_the_file_lacks(tmp_path: Path) -> None:
    (tmp_path / "a.ics").write_text(vcalendar(ZONE.format("One"), vevent("a")))
    event = vevent("n", start=";TZID=Two:20260330T100000", more="RDATE;TZID=One:20260331T100000\n")
    await IcsCalendar(tmp_path / "a.ics").put(
        RawEvent("n", "", vcalendar(ZONE.format("One"), ZONE.format("Two"), ZONE.format("Three"), event)), None
    )

    assert (tmp_path / "a.ics").read_text() == vcalendar(ZONE.format("One"), vevent("a"), ZONE.format("Two"), event)


async def test_new_event_in_a_folder_gets_a_file_of_its_own_inside_it(tmp_path: Path) -> None:
    calendar = IcsCalendar(tmp_path)
    await calendar.put(of("plain@team.example", "one"), None)
    await calendar.put(of("../../evil/ü", "two"), None)

    files = snapshot(tmp_path)
    assert len(files) == 2
    assert f"{tmp_path}/plain@team.example.ics" in files
    assert sorted(titles(await Reader(tmp_path).read()).values()) == ["one", "two"]


async def test_preconditions(tmp_path: Path) -> None:
    path = tmp_path / "a.ics"
    path.write_text(vcalendar(vevent("a"), vevent("b")))
    calendar = IcsCalendar(path)
    version = (await calendar.fetch("a")).version
    path.write_text(vcalendar(vevent("a", "changed meanwhile"), vevent("b")))
    before = snapshot(tmp_path)

    for refused in (
        calendar.put(of("a", "mine"), version),
        calendar.put(of("a", "mine"), None),
        calendar.put(of("gone", "mine"), version),
        calendar.delete("a", version),
    ):
        with pytest.raises(Stale):
            await refused
    with pytest.raises(NotFound):
        await calendar.delete("gone", None)
    with pytest.raises(NotFound):
        await calendar.fetch("gone")
    assert snapshot(tmp_path) == before


async def test_change_of_another_event_is_no_conflict(tmp_path: Path) -> None:
    path = tmp_path / "a.ics"
    path.write_text(vcalendar(vevent("a"), vevent("b")))
    calendar = IcsCalendar(path)
    version = (await calendar.fetch("a")).version
    path.write_text(vcalendar(vevent("b", "changed meanwhile"), vevent("a")))
    await calendar.put(of("a", "mine"), version)

    assert path.read_text() == vcalendar(vevent("b", "changed meanwhile"), vevent("a", "mine"))


async def test_delete_takes_the_uid_out_of_every_file_and_the_empty_file_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a.ics").write_text(vcalendar(vevent("a"), vevent("b")))
    (tmp_path / "b.ics").write_text(vcalendar(ZONE.format("One"), vevent("a", more="SEQUENCE:4\n")))
    calendar = IcsCalendar(tmp_path)
    await calendar.delete("a", (await calendar.fetch("a")).version)

    assert list(snapshot(tmp_path)) == [f"{tmp_path}/a.ics"]
    assert (tmp_path / "a.ics").read_text() == vcalendar(vevent("b"))


async def test_last_event_of_the_one_file_leaves_an_empty_calendar(tmp_path: Path) -> None:
    path = tmp_path / "a.ics"
    path.write_text(vcalendar(vevent("a")))
    calendar = IcsCalendar(path)
    await calendar.delete("a", None)

    assert path.read_text() == vcalendar()
    await calendar.put(of("b", "again"), None)
    assert path.read_text() == vcalendar(vevent("b", "again"))


async def test_put_wins_over_an_older_copy_with_a_higher_sequence(tmp_path: Path) -> None:
    (tmp_path / "a.ics").write_text(vcalendar(vevent("a", "old", "SEQUENCE:9\n"), vevent("b")))
    (tmp_path / "z.ics").write_text(vcalendar(vevent("a", "copy", "SEQUENCE:8\n"), vevent("c")))
    calendar = IcsCalendar(tmp_path)
    await calendar.put(of("a", "new", "SEQUENCE:1\n"), (await calendar.fetch("a")).version)

    assert titles(await Reader(tmp_path).read()) == {"a": "new", "b": "b", "c": "c"}


@pytest.mark.parametrize("data", ["", "garbage", vcalendar(vevent("other")), vcalendar(vevent("a", start=":never"))])
async def test_what_could_not_be_read_back_is_not_written(tmp_path: Path, data: str) -> None:
    (tmp_path / "a.ics").write_text(vcalendar(vevent("a")))
    before = snapshot(tmp_path)
    calendar = IcsCalendar(tmp_path)
    version = (await calendar.fetch("a")).version

    with pytest.raises(ItemUnreadable):
        await calendar.put(RawEvent("a", "", data), version)
    assert snapshot(tmp_path) == before


async def test_write_through_a_link_leaves_the_link(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text(vcalendar(vevent("a")))
    (tmp_path / "a.ics").symlink_to("real.txt")
    calendar = IcsCalendar(tmp_path)
    await calendar.put(of("a", "new"), (await calendar.fetch("a")).version)

    assert (tmp_path / "a.ics").is_symlink()
    assert (tmp_path / "real.txt").read_text() == vcalendar(vevent("a", "new"))


async def test_doctor_hears_how_much_there_is(tmp_path: Path) -> None:
    (tmp_path / "a.ics").write_text(vcalendar(vevent("a"), vevent("b")))
    (tmp_path / "c.ics").write_text("nothing")

    assert await IcsCalendar(tmp_path).check() == "2 events in 2 files, 1 unreadable"
