"""Names of mail folders."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brody_agents.integrations.mail.folders import folder_flags, from_imap, to_imap


@pytest.mark.parametrize(
    ("folder", "flags"),
    [("Sent", {"sent"}), ("Sent Items/2019", {"sent"}), ("Entwürfe", {"draft"}), ("JUNK", {"spam"}),
     ("Papierkorb", {"trash"}), ("Sentences", set()), ("spam-2", set()), ("", set()), ("Lists/py", set())],
)  # fmt: skip
def test_usual_names_give_flags(folder: str, flags: set[str]) -> None:
    assert folder_flags(folder) == flags


@pytest.mark.parametrize(
    ("name", "folder"),
    [(".Sent", "Sent"), (".Lists.py", "Lists/py"), (".Entw&APw-rfe", "Entwürfe"), (".R&-D", "R&D"), (".&Jjo-!", "☺!"),
     (".&ZeVnLIqe-", "日本語"), (".&2AA-", "&2AA-"), (".&x", "&x")],
)  # fmt: skip
def test_folder_names_are_decoded_as_imap_servers_write_them(name: str, folder: str) -> None:
    assert from_imap(name) == folder


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="./"), min_size=1))
def test_a_folder_name_survives_the_disk(folder: str) -> None:
    assert from_imap(f".{to_imap(folder)}") == folder
