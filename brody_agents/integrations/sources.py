"""Source words to providers: ``maildir:~/Maildir`` opens a Maildir.

Ours are imported when they are first used. Others come by entry point: group ``brody_agents.providers``, the entry's
name is the word before the colon, its value a class or a factory that takes the text after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from brody_agents.errors import BrodyError, ConfigurationError, UnknownSource
from brody_agents.integrations.base import Provider
from brody_agents.integrations.remote import shown

GROUP = "brody_agents.providers"

_HERE = "brody_agents.integrations"
BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "mail": {
        "maildir": f"{_HERE}.mail.maildir:Maildir",
        "mbox": f"{_HERE}.mail.mbox:Mbox",
        "eml": f"{_HERE}.mail.eml:EmlFolder",
    },
    "calendar": {"ics": f"{_HERE}.calendar.local:IcsCalendar", "caldav": f"{_HERE}.calendar.caldav:CalDav"},
    "files": {"dir": f"{_HERE}.files.local:Folder"},
    "contacts": {"vcf": f"{_HERE}.contacts.local:Vcf"},
    "tasks": {},
    "chat": {"chat": f"{_HERE}.chat.local:ChatFolder"},
    "send": {"smtp": f"{_HERE}.mail.smtp:Smtp", "smtps": f"{_HERE}.mail.smtp:Smtps"},
}
"""Our providers by domain and word."""

Factory = Callable[..., Provider[Any]]


def open_source(domain: str, word: str, **options: Any) -> Provider[Any]:
    """Open the account that ``word`` names, such as ``mbox:~/mail/inbox``; ``options`` go to the provider.

    Raises ``UnknownSource`` for a word that no provider of the domain has, with what was probably meant, and
    ``SourceNotFound`` when the place does not exist or is none of its kind.
    """
    scheme, colon, path = word.partition(":")
    others = {entry.name: entry for entry in entry_points(group=GROUP)}
    known = [*BUILT_IN.get(domain, {}), *sorted(others.keys() - {s for words in BUILT_IN.values() for s in words})]
    if not colon or scheme not in known:
        raise UnknownSource(_what(domain, word, known), _hint(domain, word))
    built_in = BUILT_IN.get(domain, {}).get(scheme)
    return (_imported(built_in) if built_in else _loaded(others[scheme]))(path, **options)


def _imported(place: str) -> Factory:
    module, _, name = place.partition(":")
    factory: Factory = getattr(import_module(module), name)
    return factory


def _loaded(entry: EntryPoint) -> Factory:
    try:
        factory: Factory = entry.load()
    except BrodyError:
        raise
    except Exception as error:  # a plug-in's import may raise anything
        what = f"The provider {entry.name} ({entry.value}) cannot be imported: {type(error).__name__}: {error}."
        raise ConfigurationError(what, "Mend or uninstall the package that it comes from.") from error
    return factory


def _what(domain: str, word: str, known: list[str]) -> str:
    word = shown(word)
    if not known:
        return f"{word!r} names no source: there is no provider for {domain}."
    return f"{word!r} names no source of {domain}. Known are: {', '.join(f'{scheme}:PATH' for scheme in known)}."


def _hint(domain: str, word: str) -> str:
    word = shown(word)
    elsewhere = [other for other, words in BUILT_IN.items() if word.partition(":")[0] in words and other != domain]
    if elsewhere:
        return f"{word.partition(':')[0]}: is a source of {elsewhere[0]}: use --{elsewhere[0]}."
    text = word.partition(":")[2] or word
    for guess in (word, text):
        scheme = _guess(domain, guess)
        if scheme:
            return f"Did you mean {scheme}:{guess}?"
    return "Write the kind of the source before its path."


def _guess(domain: str, text: str) -> str:
    """Return the word for what lies at a path, or ``""`` when nothing does."""
    try:
        path = Path(text).expanduser()
        if not text or not path.exists():
            return ""
        if domain == "mail":
            return _guess_mail(path)
    except (OSError, RuntimeError, ValueError):
        return ""
    return next(iter(BUILT_IN.get(domain, {})), "")


def _guess_mail(path: Path) -> str:
    if path.is_file():
        return "mbox"
    return "maildir" if (path / "cur").is_dir() else "eml"
