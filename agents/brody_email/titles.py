"""Word a task: the action in the imperative, short, with names in the place of "me" and "you"."""

from __future__ import annotations

import re

from brody_email.asks import PROMISED_DEED, is_german
from brody_email.sentence_model import REQUEST_VERBS

LONGEST = 90

_LEAD_IN = re.compile(
    r"""^\W*(?:
      (?:hi|hello|hey|dear|hallo|liebe[rs]?|guten\s+tag)\s+[^,!.]{1,40}[,!]\s*
    | (?:and|also|so|but|then|finally|first|secondly?|next|lastly|ps|p\.s\.|oh|ok(?:ay)?|thanks|sure|yes|btw
        |by\s+the\s+way|und|dann|außerdem|also|danke|ja|(?:just\s+)?(?:a\s+)?(?:quick\s+|gentle\s+|friendly\s+)?reminder(?:\s+to)?
        |action)\b[,:!]?\s+
    | [A-Z][\w-]+[,:]\s+(?=(?:can|could|would|will|please|kannst|können|könn|bitte)\b)
    | (?:when|if)\s+you\s+(?:get|have|find)\s+(?:a\s+)?(?:chance|moment|minute|time|second)[^,]{0,20},\s*
    | as\s+(?:discussed|agreed|promised|mentioned)[^,]{0,30},\s*
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_ASKING = re.compile(
    r"""^(?:
      (?:would\s+you\s+|do\s+you\s+)mind\s+(?=\w+ing\b)
    | (?:i(?:'d|\s+would|\s+just|\s+also)?|we(?:'d|\s+would|\s+also)?)\s+(?:really\s+|very\s+much\s+)?
        (?:need|want|like|love|ask|wanted\s+to\s+ask|am\s+asking|expect|would\s+ask|was\s+(?:wondering|hoping))\s+
        (?:for\s+)?(?:if\s+)?you(?:\s+(?:all|guys|both))?\s+(?:to|could|can)\s+
    | (?:i|we)(?:\s+would|'d)\s+(?:really\s+)?appreciate\s+it\s+if\s+you\s+(?:could|would|can)\s+
    | it\s+would\s+be\s+(?:great|good|nice|helpful)\s+if\s+you\s+(?:could|can)\s+
    | (?:can|could|would|will|can't|couldn't|won't)\s+(?:you|someone|somebody|anyone|one\s+of\s+you)\s+
        (?:all\s+|both\s+)?(?:please\s+|kindly\s+|possibly\s+|perhaps\s+|maybe\s+|also\s+|just\s+)*(?:be\s+able\s+to\s+)?
    | are\s+you\s+able\s+to\s+|any\s+chance\s+you\s+(?:could|can)\s+|is\s+it\s+possible\s+(?:for\s+you\s+)?to\s+
    | you(?:'ll|\s+will|\s+also|\s+still|\s+really)*\s+(?:need|have|ought)\s+to\s+|you\s+(?:should|must)\s+
    | (?:please|pls|plz|kindly)[,:]?\s+(?:also\s+|just\s+|kindly\s+|do\s+)*
    | (?:make\s+sure|be\s+sure|remember|ensure)\s+(?:that\s+you\s+|you\s+|to\s+)
    | (?:do\s+not|don't)\s+(?:forget|fail|neglect)\s+to\s+
    | do\s+me\s+a\s+favou?r\s+and\s+
    )+""",
    re.IGNORECASE | re.VERBOSE,
)
_NEEDING = re.compile(r"^(?:i|we)\s+(?:still\s+|also\s+|will\s+)?need\s+(?!to\b|you\b)", re.IGNORECASE)
_PROMISING = re.compile(
    r"""^(?:[^,]{0,50},\s+)?\b(?:i|we)(?:'ll|\s+will|\s+shall|'m\s+going\s+to|\s+am\s+going\s+to|'re\s+going\s+to
      |\s+are\s+going\s+to|\s+can|\s+could|\s+promise\s+to|\s+plan\s+to|\s+intend\s+to|'d\s+be\s+(?:happy|glad)\s+to
      |\s+would\s+be\s+(?:happy|glad)\s+to)\s+
      (?:definitely\s+|certainly\s+|also\s+|then\s+|just\s+|try\s+to\s+|try\s+and\s+|be\s+(?:happy|glad|sure)\s+to\s+
      |make\s+sure\s+to\s+|get\s+it\s+done\s+and\s+)*
      | ^let\s+me\s+(?:just\s+)?|^.*?\bi(?:'ll|\s+will)\s+(?:also\s+)?""",
    re.IGNORECASE | re.VERBOSE,
)
_TAIL = re.compile(
    r"(?:[,;–—-]\s*(?:please|thanks|thank\s+you|if\s+(?:possible|you\s+can|that\s+works)|ok(?:ay)?|bitte|danke)"
    r"|\s+(?:please|as\s+soon\s+as\s+possible|asap|at\s+your\s+(?:earliest\s+)?convenience|for\s+me))\W*$",
    re.IGNORECASE,
)
_GERMAN_ASKING = re.compile(
    r"^(?:(?:könn(?:te|ten|test|tet|en|t)|kannst|würde(?:st|n|t)?|magst|möchtest)\s+(?:du|sie|ihr)\s+(?:mir\s+bitte\s+|uns\s+bitte"
    r"\s+|bitte\s+)*|bitte\s+|(?:ich|wir)\s+bitten?\s+(?:sie|dich|euch)?\s*(?:darum\s*)?,?\s*)",
    re.IGNORECASE,
)
_GERMAN_FORMAL = re.compile(r"^(\w+en)\s+Sie\s+(?:bitte\s+)?(.*)$", re.IGNORECASE)
_GERMAN_FUTURE = re.compile(r"^(?:(.*)\s)?(?:werden?\s+(?:ich|wir)|(?:ich|wir)\s+werden?)\s+(.*)$", re.IGNORECASE)
_GERMAN_PROMISE = re.compile(rf"^(.*?)\b(?:(?:ich|wir)\s+)?({PROMISED_DEED})\s+(?:(?:ich|wir)\s+)?(.*)$", re.IGNORECASE)
_GERMAN_PREFIX = re.compile(
    r"^(.*?)\s*\b(ab|an|auf|aus|bei|durch|ein|fertig|her|hin|hoch|los|mit|nach|um|vor|weiter|zu|zurück|zusammen)$"
)


def task_title(sentence: str, *, other: str, promised: bool = False) -> str:
    """Return the action of a request (or of a promise of the user's own), such as ``Send the contract to Tomas``.

    ``other`` is the first name of whoever asked, or to whom it was promised; it takes the place of "me" or "you".
    The sentence comes without the words of its date. One line, at most 90 characters.
    """
    words = " ".join(sentence.split()).strip("\"'“”*_•> ")
    words = _german(words, other, promised) if is_german(sentence) else _english(words, other, promised)
    return shortened(_trimmed(words))


def _english(words: str, other: str, promised: bool) -> str:
    words = _without_lead_in(words)
    if promised:
        return _renamed(_PROMISING.sub("", words, count=1), "you", other)
    minds = re.match(r"(?:would|do)\s+you\s+mind\b", words, re.IGNORECASE)
    if other:
        words = _NEEDING.sub(f"Give {other} ", words)
    words = _first_clause(_ASKING.sub("", words, count=1))
    if minds:
        words = re.sub(r"^\w+ing\b", lambda gerund: _infinitive(gerund[0]), words)
    return _renamed(re.sub(r",?\s+please\b,?", "", words, flags=re.IGNORECASE), "me", other)


def _infinitive(gerund: str) -> str:
    stem = gerund[:-3]
    return next((verb for verb in (stem, f"{stem}e", stem[:-1]) if verb.lower() in REQUEST_VERBS), gerund)


def _without_lead_in(words: str) -> str:
    for _ in range(3):
        shorter = _LEAD_IN.sub("", words, count=1)
        if shorter == words:
            break
        words = shorter
    return words.lstrip(" ,:;-–—")


def _first_clause(words: str) -> str:
    """Leave out what the writer says of the reasons."""
    reasons = r"\s+[–—-]\s+|;\s+|,\s+(?:so|because|as|since|otherwise|we|i|then\s+i)\s+|\s+because\s+"
    return re.split(reasons, words, maxsplit=1, flags=re.IGNORECASE)[0]


def _renamed(words: str, pronoun: str, other: str) -> str:
    if not other:
        return words
    mine, us = ("my", "us") if pronoun == "me" else ("your", "")
    words = re.sub(rf"\b{pronoun}\b", other, words)
    words = re.sub(rf"\b{us}\b", other, words) if us else words
    return re.sub(rf"\b{mine}\b(?!\s+own\b)", _genitive(other), words)


def _genitive(name: str) -> str:
    return f"{name}'" if name.endswith("s") else f"{name}'s"


def _german(words: str, other: str, promised: bool) -> str:
    """Put the verb at the end, as German lists of tasks do: ``den Beleg hochladen``."""
    words = _without_lead_in(words).rstrip(" .!?")
    if promised:
        words = _german_promise(words)
        return re.sub(r"\b(?:dir|Ihnen|euch)\b", other, words) if other else words
    words = _GERMAN_ASKING.sub("", words, count=1)
    formal = _GERMAN_FORMAL.match(words)
    words = _verb_last(formal[2], formal[1].lower()) if formal else words
    return re.sub(r"\b(?:mir|uns)\b", other, words) if other else words


def _german_promise(words: str) -> str:
    future = _GERMAN_FUTURE.match(words)
    if future:
        return f"{future[1] or ''} {future[2]}".strip()
    found = _GERMAN_PROMISE.match(words)
    if not found:
        return words
    infinitive = re.sub(r"eren$", "ern", found[2].lower().removesuffix("n") + "n")
    objects = re.sub(r"\b(?:ich|wir)\b\s*", "", f"{found[1]} {found[3]}", flags=re.IGNORECASE)
    return _verb_last(re.sub(r"\bmich\b", "sich", objects), infinitive)


def _verb_last(rest: str, infinitive: str) -> str:
    separable = _GERMAN_PREFIX.match(rest.strip(" ,"))
    return f"{separable[1]} {separable[2]}{infinitive}" if separable else f"{rest} {infinitive}"


def _trimmed(words: str) -> str:
    words = re.sub(r"\s+([,.;:?!])", r"\1", words)
    words = re.sub(r"\s*\b(?:bis\s+dahin|(?:by|until)\s+then)\b", "", words)
    words = _TAIL.sub("", words.strip(" ,;:–—-"))
    words = re.sub(r"\b(?:by|before|until|bis|vor)\W*$", "", words)
    words = words.rstrip(" .,;:!?…\"'”)")
    return words[:1].upper() + words[1:]


def shortened(words: str) -> str:
    """Return at most 90 characters in one line, cut between words."""
    words = " ".join(words.split())
    if len(words) <= LONGEST:
        return words
    return words[: LONGEST - 1].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"
