"""Find sentences that speak to the assistant instead of the user; nothing of them is followed.

This is a courtesy to the reader, no defence: what keeps orders in a mail harmless is that its text only ever
becomes data, and that outbound actions wait for a person.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from brody_email.words import LETTERS, Alphabet, word_set

REASON = "The text addresses the assistant; nothing of it is followed."

_ADDRESSES = re.compile(
    r"""
    \b (?=\w) (?:
      (?<!not\s)(?<!n't\s)(?:ignore|disregard|forget|override|bypass)\s+(?:(?:all|any|every|of|each)\s+)*
        (?:(?:the|your|my|our|previous|prior|earlier|above|preceding|foregoing|these|those|other|system|safety)\s+)+
        (?:instructions?|prompts?|rules|guidelines|directions|context|messages?)\b
    | (?:ignorier\w*|vergiss|vergessen\s+sie|missachte\w*)\b [^.!?]{0,40} \b(?:anweisung\w*|regeln|vorgaben|befehle)\b
    | (?:notice|message|note|instructions?|attention)\s+(?:to|for)\s+(?:the\s+|any\s+|all\s+|your\s+)?(?:\w+\s+)?
        (?:ai|assistants?|agents?|bots?|language\s+models?|llms?)\b
    | (?:dear|hey|hello|hi|attention|liebe[rs]?|hallo)\s+
        (?:ai\b|ki\b|(?:\w+\s+)?(?:assistant|agent|assistent|chatbot))
    | you\s+are\s+(?:now\s+)?(?:an?|the)\s+(?:\w+\s+)?(?:ai|assistant|agent|language\s+model|llm|chatbot)\b
    | as\s+an?\s+(?:ai|language\s+model|llm)\b
    | (?:system\s+prompt|jailbreak|developer\s+mode)\b
    | begin\s+system\b
    | (?:do\s+not|don't|without)\s+(?:\w+\s+)?(?:ask|asking|tell|telling|inform|informing|notify|notifying
        |alert|alerting|consult|consulting)\s+the\s+user\b
    | the\s+user\s+(?:has|have|had)\s+(?:already\s+|previously\s+)?
        (?:approved|authori[sz]ed|agreed|consented|confirmed)
    | do\s+not\s+mention\s+(?:this|it)\s+in\s+(?:your|the)\s+(?:summary|answer|brief|report)
    | (?:forward|send|export|upload|exfiltrate|leite|delete)\s+(?:me\s+)?(?:all|every|alle)\s+(?:of\s+)?
        (?:(?:the|my|your|his|her|their|user's|die|deine|ihre)\s+)?
        (?:e?-?mails?|messages?|nachrichten|conversations?|contacts?|kontakte|passwords?|passwörter|inbox|mailbox
        |credentials|secrets|api\s+keys?)\b
    )
    | <\|?(?:im_start|im_end|system|assistant)\|?> | \[/?inst\]
    | ^\W*(?:ai|assistant|agent|chatbot|llm|brody|ki|assistent)\b(?:\s+(?:agent|assistant|bot))?\s*(?:[:,;!]|[—–-]\s)
    | ^\W*(?:system|assistant|user|developer)(?:\s+(?:notice|message|prompt|note|override))?\s*:
    """,
    re.VERBOSE,
)


_NEAR = re.compile(
    r"""
    < | \b(?=\w)(?:ignor|disregard|forget|override|bypass|verg(?:iss|ess)|missachte|(?:ai|ki|assistants?|assistent
    |agents?|bots?|chatbot|llms?|brody|language|prompt|jailbreak|developer|system|user|inst|begin|mention|forward|send|export
    |upload|exfiltrate|leite|delete)\b)
    """,
    re.VERBOSE,
)
"""A part of every order; where there is none, the far dearer search need not look."""
_REACH = 200
"""How many characters of an order lie before and behind such a part at most."""
_WORDS = Alphabet(LETTERS)


def _rows(*lines: str) -> tuple[tuple[frozenset[bytes], ...], ...]:
    return tuple(tuple(map(word_set, line.split(" + "))) for line in lines)


def _has_row(words: frozenset[bytes], rows: tuple[tuple[frozenset[bytes], ...], ...]) -> bool:
    for first, *others in rows:  # a plain loop: this is asked of every sentence
        if not (first.isdisjoint(words) or any(group.isdisjoint(words) for group in others)):
            return True
    return False


_NEEDED = word_set(
    """
    vergiss vergessen ai ki assistant assistants assistent agent agents bot bots chatbot llm llms brody jailbreak inst
    """
)
_NEEDED_TOGETHER = _rows(
    "ignore disregard forget override bypass + instruction instructions prompt prompts rules guidelines directions"
    " context message messages",
    "language + model models",
    "system developer + prompt mode begin",
    "user + ask asking tell telling inform informing notify notifying alert alerting consult consulting approved"
    " authorised authorized agreed consented confirmed",
    "mention + summary answer brief report",
    "all every alle + forward send export upload exfiltrate leite delete + mail mails email emails message messages"
    " nachrichten conversation conversations contact contacts kontakte password passwords passwörter inbox mailbox"
    " credentials secrets key keys",
)
"""What each alternative of ``_ADDRESSES`` needs; those that end in a mark are left to :func:`_may_match`."""
_TELLTALE = word_set(
    """
    ignore disregard override bypass ignoriere ignorieren ignoriert missachte missachten vergiss vergessen ai ki agent
    agents assistant assistants assistent bot bots chatbot llm llms brody jailbreak inst im prompt prompts
    """
)
_TOGETHER = _rows(
    "forget + instructions prompts rules guidelines directions context",
    "language + model models",
    "mention + summary answer brief report",
    "user + ask asking tell telling inform informing notify notifying alert alerting consult consulting",
    "user + approved authorised authorized agreed consented confirmed notice message note prompt",
    "system developer + notice message note prompt override mode begin user assistant",
    "all every alle + forward send export upload exfiltrate leite delete + mail mails email emails message messages"
    " nachrichten conversations contacts kontakte password passwords inbox mailbox credentials secrets keys",
)
"""Words that only together point to an order: one of each group."""
_ROLE = re.compile(r"\b(?:system|user|developer)\s*:|<\|?\w+\|?>")
_ROLES = word_set("system user developer")


def may_address_assistant(text: str) -> bool:
    """Say whether the text has the words that orders to an assistant have; much cheaper than to look for orders."""
    text = text.lower()
    words = _WORDS.words(text)
    if not _TELLTALE.isdisjoint(words):
        return True
    if ("<" in text or not _ROLES.isdisjoint(words)) and _ROLE.search(text):
        return True
    return _has_row(words, _TOGETHER)


def _may_match(text: str) -> bool:
    """Say whether ``_ADDRESSES`` may match in a text, which it does in few; it looks at every character."""
    words = _WORDS.words(text)
    if not _NEEDED.isdisjoint(words) or _has_row(words, _NEEDED_TOGETHER):
        return True
    return "<" in text or "ignorier" in text or "missachte" in text or (":" in text and not _ROLES.isdisjoint(words))


def addresses_assistant(text: str) -> bool:
    """Say whether a text gives orders to an assistant."""
    text, begin, end = text.lower(), 0, 0
    if not _may_match(text):
        return False
    for near in _NEAR.finditer(text):
        if near.start() > end:  # far from the last one: look around that one
            if _ADDRESSES.search(text, begin, end):
                return True
            begin = max(0, near.start() - _REACH)
        end = near.end() + _REACH
    return bool(end and _ADDRESSES.search(text, begin, end))


def before_orders(sentences: Sequence[str]) -> tuple[list[str], bool]:
    """Return the sentences before the first that speaks to the assistant, and whether there is one.

    What follows such a sentence is not trusted either: orders run on.
    """
    for index, sentence in enumerate(sentences):
        if addresses_assistant(sentence):
            return list(sentences[:index]), True
    return list(sentences), False
