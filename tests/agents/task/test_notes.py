"""Open lines of documents are tasks; done ones and mere lists are not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brody_task.notes import MOST, open_lines, owner_of

NOTES = """# Offsite
TODO: ask Petra for the figures
* TODO (Mia): write the intro
- [ ] book the bus
- [x] book the hotel
1. [ ] order lunch
- just a thought

## Action items
- call the venue

* ~~cancel the band~~
- print badges ✓
Thanks for coming.
- not an item any more

We said to do a lot. todo lists are long.
"""


def test_open_lines_are_found_in_their_order() -> None:
    assert open_lines(NOTES) == [
        "ask Petra for the figures",
        "write the intro",
        "book the bus",
        "order lunch",
        "call the venue",
    ]


@pytest.mark.parametrize("heading", ["Action items:", "**Next steps**", "### TODO", "Aufgaben", "Action points"])
def test_a_list_under_a_heading_of_tasks_is_open(heading: str) -> None:
    assert open_lines(f"{heading}\n\n- call the venue\n- order lunch") == ["call the venue", "order lunch"]


def test_a_line_is_counted_once_and_a_document_gives_at_most_ten() -> None:
    assert open_lines("TODO: pay\n" * 3) == ["pay"]
    assert len(open_lines("\n".join(f"TODO: pay bill {n}" for n in range(50)))) == MOST


@pytest.mark.parametrize(
    ("line", "owner"),
    [
        ("Mia: book the room", ("Mia", "book the room")),
        ("@mia book the room", ("mia", "book the room")),
        ("Mia Lund – book the room", ("Mia Lund", "book the room")),
        ("book the room", ("", "book the room")),
    ],
)
def test_the_name_before_a_task_is_its_owner(line: str, owner: tuple[str, str]) -> None:
    assert owner_of(line) == owner


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("TODO: -[]x*#1.\nabc Ä~")) | st.text())
def test_any_text_gives_single_lines_of_it(text: str) -> None:
    plain = " ".join(text.split())
    for line in open_lines(text):
        assert line in plain
        assert owner_of(line)[1] in line
