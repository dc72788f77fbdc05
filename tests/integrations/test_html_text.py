"""HTML to what a reader sees."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brody_agents.integrations.html_text import html_text

TAGS = [
    "<p>", "</p>", "<div style='display:none'>", "</div>", "<table><tr><td>", "<!--", "<script>", "<b", "&#xD800;",
    "<blockquote type=cite>", "&nbsp;", "<style>.a{display:none}</style>", "<p class=a hidden>", "x\x00y", "\ud800",
]  # fmt: skip


def test_blocks_become_lines_and_links_keep_their_text() -> None:
    html = "<h1>Title</h1><p>One <b>bo</b>ld<br>two <a href='https://x.example'>link</a></p><ul><li>a<li>b</ul>"
    assert html_text(html).text == "Title\n\nOne bold\ntwo link\n\na\nb"


def test_cells_of_a_row_stand_in_one_line() -> None:
    assert html_text("<table>\n<tr>\n<td>Total</td>\n<td>12 EUR</td></tr><tr><td>Tax</td></tr></table>").text == (
        "Total 12 EUR\nTax"
    )


def test_scripts_styles_and_the_head_are_no_text() -> None:
    found = html_text("<head><title> My\n page</title><style>p{}</style></head><script>x()</script><p>Hi</p>")
    assert (found.title, found.text) == ("My page", "Hi")


@pytest.mark.parametrize(
    "hidden",
    [
        "<div style='DISPLAY: none'>secret</div>",
        "<span hidden>secret</span>",
        "<p style='font-size:0px'>secret</p>",
        "<p style='color:#FFF'>secret</p>",
        "<font color=white>secret</font>",
        "<div bgcolor=black style='background:#ffffff'><p style='color:rgb(255, 255, 255)'>secret</p></div>",
        "<p style='position:absolute; left:-9999px'>secret</p>",
        "<p style='visibility:hidden'><b style='display:none'>secret</b></p>",
        "<style>.pre { display:none !important }</style><p class=pre>secret</p>",
        "<p style='opacity: 0'>secret</p>",
    ],
)
def test_text_that_no_reader_sees_is_left_out_and_said(hidden: str) -> None:
    found = html_text(f"<body><p>shown</p>{hidden}<p>also</p></body>")
    assert found.hidden
    assert found.text == "shown\n\nalso"


@pytest.mark.parametrize(
    "shown",
    [
        "<table bgcolor='#003366'><tr><td><font color=white>shown</font></td></tr></table>",
        "<p style='font-size:10px; color:#fff; background-color: red'>shown</p>",
        "<style>@media (max-width:600px) { .wide { display:none } }</style><p class=wide>shown</p>",
        "<p style='opacity:0.9; max-width:0.5em'>shown</p>",
        "<div style='display:none'>&nbsp;&zwnj;</div>shown",
    ],
)
def test_what_a_reader_sees_is_not_called_hidden(shown: str) -> None:
    found = html_text(shown)
    assert (found.text, found.hidden) == ("shown", False)


def test_quotes_that_html_marks_are_told_apart() -> None:
    html = "<p>Yes.</p><div class=gmail_quote>On Monday Bob wrote:<blockquote type=cite>Lunch?</blockquote></div>"
    found = html_text(html)
    assert "Lunch?" in found.text
    assert found.own == "Yes."


def test_linked_data_is_kept_as_it_is() -> None:
    html = '<script type=\'application/ld+json\'>{"@type": "Order"}</script><p>x'
    assert html_text(html).json_ld == ('{"@type": "Order"}',)


@given(st.lists(st.sampled_from(TAGS) | st.text(max_size=5), max_size=40))
def test_any_html_becomes_text_that_can_be_stored(parts: list[str]) -> None:
    found = html_text("".join(parts))
    for text in (found.text, found.own, found.title, *found.json_ld):
        assert "\0" not in text
        assert text.encode().decode() == text


@pytest.mark.parametrize(
    "attack",
    ["<div>" * 200_000, "<p " + " ".join(f"a{n}=b" for n in range(100_000)) + ">x", "<" * 1_000_000, "<pre>" * 100_000],
    ids=["depth", "attributes", "brackets", "pre"],
)
def test_html_made_to_take_minutes_takes_none(attack: str) -> None:
    begin = time.process_time()
    html_text(attack)
    assert time.process_time() - begin < 5
