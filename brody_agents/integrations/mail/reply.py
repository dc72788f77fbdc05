"""The part of a mail that its sender wrote now: quotes, earlier mails and signature cut.

`mail-parser-reply` knows how mails quote and close in many languages, but its patterns are cubic (4,000 characters
can take it 25 s) and it takes what stands above the first quote, which loses every answer written below one. So its
tables of closings and disclaimers are used here, line by line, in linear time.
"""

from __future__ import annotations

import re
from functools import lru_cache

LANGUAGES = ("en", "de", "fr")
LONGEST_LINE = 400
"""Longer lines are text: no header, closing or attribution is as long."""
CLOSING_LINES = 12
"""A closing with more lines than this after it is no closing."""

_QUOTE = re.compile(r"\s{0,3}(?:>|\|\s|[A-Z][A-Za-z]{0,3}>(?!\S))")
_WROTE = re.compile(r"(?:\b(?:wrote|writes|said|schrieb|écrit)\b[^:]{0,120}:?|:)\s*$", re.I)
_ATTRIBUTION = re.compile(
    r"\s{0,3}(?:On|Am|Le)\s(?=.{0,300}\d)(?=.{0,300}\b(?:wrote|schrieb|écrit)\b).{0,300}:\s*$", re.I
)
_ORIGINAL = re.compile(
    r"\s*[-_=*>]{2,}\s*(?:(?:Original|Forwarded|Begin forwarded)\s(?:Message|mail)|(?:Ursprüngliche|Weitergeleitete)\s"
    r"Nachricht|Message\s(?:d['’]origine|transféré)|Forwarded\s(?:by|from)\b).{0,100}$"
    r"|\s*Begin forwarded message:\s*$",
    re.I,
)
_FROM = re.compile(r"\s*\*?(?:From|Von|De)\s?:\*?\s*\S", re.I)
_BESIDE = re.compile(r"\s*\*?(?:Sent|Date|To|Subject|Cc|Gesendet|Datum|An|Betreff|Envoyé|À|Objet)\s?:\*?\s", re.I)
_MAY_BE_EARLIER = re.compile(r"\s*(?:[-_=*>]|Begin\b|From|Von|De|(?:On|Am|Le)\s)", re.I)
"""How a line begins that one of the patterns above may match: most lines are only looked at once."""
_RULE = re.compile(r"\s*[-_=*~]{20,}.{0,50}$")
_FOOTER = re.compile(r"https?://|mailto:|unsubscribe|mailing list|\bsponsored\b|abmelden|désabonner", re.I)


def reply_of(text: str) -> str:
    """Return what the sender of ``text`` wrote, which is nothing for a mail that only forwards another."""
    lines = text.strip().split("\n")
    lines = lines[_answer_below(lines) :]
    del lines[_earlier(lines) :]
    lines = _unquoted(lines)
    del lines[_signature(lines) :]
    return "\n".join(lines).strip()


def _answer_below(lines: list[str]) -> int:
    """Return how many lines at the top only say what is answered, when the answer stands below or between quotes."""
    if len(lines[0]) > LONGEST_LINE:
        return 0
    if _ATTRIBUTION.match(lines[0]):
        return 1
    if not _ORIGINAL.match(lines[0]):
        return 0
    end = 1
    while end < len(lines) and (not lines[end].strip() or _is_header(lines[end])):
        end += 1
    return end if end < len(lines) and _QUOTE.match(lines[end]) else 0


def _is_header(line: str) -> bool:
    line = line[:LONGEST_LINE]
    return bool(_FROM.match(line) or _BESIDE.match(line))


def _earlier(lines: list[str]) -> int:
    """Return where an earlier mail begins that is quoted as a whole, without marks."""
    for number, line in enumerate(lines):
        if not _MAY_BE_EARLIER.match(line) or len(line) > LONGEST_LINE:
            continue
        if _ORIGINAL.match(line) or (number and _FROM.match(line) and _is_header_block(lines, number)):
            return _above_rule(lines, number)
        if _ATTRIBUTION.match(line) and not _quote_follows(lines, number):
            return number
    return len(lines)


def _is_header_block(lines: list[str], number: int) -> bool:
    return sum(bool(_BESIDE.match(line[:LONGEST_LINE])) for line in lines[number + 1 : number + 6]) >= 2


def _above_rule(lines: list[str], number: int) -> int:
    return number - 1 if number and _RULE.match(lines[number - 1][:LONGEST_LINE]) else number


def _quote_follows(lines: list[str], number: int) -> bool:
    following = next((line for line in lines[number + 1 : number + 4] if line.strip()), "")
    return bool(_QUOTE.match(following))


def _unquoted(lines: list[str]) -> list[str]:
    """Drop quoted lines, and the line or two above them that say who wrote them."""
    kept: list[str] = []
    quoting = False
    for line in lines:
        if (">" in line or "|" in line) and _QUOTE.match(line):
            if not quoting:
                _drop_attribution(kept)
            quoting = True
        elif line.strip() or not quoting:
            quoting = False
            kept.append(line)
        elif kept and kept[-1]:
            kept.append("")
    return kept


def _drop_attribution(kept: list[str]) -> None:
    end = len(kept)
    while end and not kept[end - 1].strip():
        end -= 1
    if not end or len(kept[end - 1]) > LONGEST_LINE or not _WROTE.search(kept[end - 1]):
        return
    start = end - 1
    if start and kept[start - 1].strip() and re.match(r"\s*(?:On|Am|Le)\s", kept[start - 1], re.I):
        start -= 1
    elif not _names_somebody(kept[start]):
        return
    del kept[start:]


def _names_somebody(line: str) -> bool:
    # A line that only ends in a colon may be the sender's own words ("My answers:"): it must name who wrote.
    return bool(re.search(r"\b(?:wrote|writes|said|schrieb|écrit)\b|@|\d{4}", line, re.I))


def _signature(lines: list[str]) -> int:
    """Return where the signature, the closing, a list's footer or a disclaimer begins."""
    patterns = _patterns()
    left = len([line for line in lines if line.strip()])
    for number, line in enumerate(lines):
        line = line.strip()
        if not line or len(line) > LONGEST_LINE:
            left -= bool(line)
            continue
        left -= 1
        near_end = bool(number) and left <= CLOSING_LINES
        if not (near_end or patterns.any.match(line)):
            continue
        if line == "--" or patterns.sent_from.match(line):
            return number
        if near_end and patterns.closing.match(line) and _only_names(lines[number + 1 :]):
            return number
        if _RULE.match(line) and _is_footer(lines, number, left):
            return number
        if patterns.disclaimer.match(line) and "mail" in " ".join(lines[number : number + 8]).lower():
            return number
    return len(lines)


def _is_footer(lines: list[str], number: int, left: int) -> bool:
    return left <= CLOSING_LINES and bool(_FOOTER.search("\n".join(line[:500] for line in lines[number + 1 :])))


def _only_names(lines: list[str]) -> bool:
    return all(len(line) <= LONGEST_LINE and len(line.split()) <= 9 and "?" not in line for line in lines)


class _Patterns:
    """The library's tables of closings, compiled to match a line from its beginning."""

    def __init__(self) -> None:
        from mailparser_reply.constants import MAIL_LANGUAGES

        def table(key: str) -> str:
            entries = [MAIL_LANGUAGES[language].get(key, ()) for language in LANGUAGES]
            words = [word for entry in entries for word in ([entry] if isinstance(entry, str) else entry)]
            return "|".join(words)

        self.sent_from = re.compile(rf"(?:{table('sent_from')})\b.{{0,60}}$", re.I)
        # "Thanks, Ada" closes a mail, "Thanks for the plan" and "Thanks, I will send it on Friday." do not.
        more = r"(?:many thanks|thanks|cheers|sincerely|yours|mfg|lg|vg|merci)\b"
        polite = rf"(?:(?:bien|très|with) )?(?:{table('signatures')}|{more})"
        self.closing = re.compile(rf"{polite}[,.!]?(?:\s+(?!for\b|für\b|pour\b)[\w.'-]+){{0,3}}[,.!]?$", re.I)
        self.disclaimer = re.compile(rf"(?:{table('disclaimers')})", re.I)
        others = (self.sent_from.pattern, self.disclaimer.pattern, _RULE.pattern, "--$")
        self.any = re.compile("|".join(f"(?:{pattern})" for pattern in others), re.I)
        """What may end a text wherever it stands; a closing stands near its end only."""


@lru_cache(maxsize=1)
def _patterns() -> _Patterns:
    return _Patterns()
