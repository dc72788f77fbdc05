"""A folder as a chat: each post is one line, once, whatever was cut off before."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brody_agents.errors import InvalidArguments, SourceNotFound
from brody_agents.integrations.chat.local import ChatFolder


def posts(path: Path) -> list[tuple[str, str]]:
    return [(post["id"], post["text"]) for post in map(json.loads, path.read_text("utf-8").splitlines())]


async def test_a_post_is_there_once(tmp_path: Path) -> None:
    chat = ChatFolder(str(tmp_path))
    assert await chat.find("team", "1") is None
    await asyncio.gather(*(chat.post("team", "Hello\nüall", "1") for _ in range(5)))
    await chat.post("team", "Bye", "2")
    assert await chat.find("team", "1") == "team.jsonl"
    assert posts(tmp_path / "team.jsonl") == [("1", "Hello\nüall"), ("2", "Bye")]
    assert await chat.check() == "1 channels"


@pytest.mark.parametrize("left", [1, 20, -1])
async def test_a_line_that_was_cut_off_was_never_a_post(left: int, tmp_path: Path) -> None:
    chat = ChatFolder(str(tmp_path))
    await chat.post("team", "Before", "1")
    file = tmp_path / "team.jsonl"
    before = file.read_bytes()
    await chat.post("team", "Cut", "2")
    line = file.read_bytes()[len(before) :]
    file.write_bytes(before + line[:left])
    assert await chat.find("team", "2") is None
    await chat.post("team", "Cut", "2")
    assert posts(file) == [("1", "Before"), ("2", "Cut")]


async def test_a_text_that_looks_like_an_id_is_none(tmp_path: Path) -> None:
    chat = ChatFolder(str(tmp_path))
    await chat.post("team", '{"id": "2"', "1")
    assert await chat.find("team", "2") is None


@settings(deadline=None)
@given(channel=st.text(min_size=1, max_size=60))
def test_no_channel_leads_out_of_the_folder(channel: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    chat = ChatFolder(str(tmp_path_factory.getbasetemp()))
    try:
        assert chat._file(channel).parent == chat.root
    except InvalidArguments:
        pass
    else:
        assert chat._file(channel).name.endswith(".jsonl")


def test_a_folder_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound):
        ChatFolder(str(tmp_path / "nowhere"))
