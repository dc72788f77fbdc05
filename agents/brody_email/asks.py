"""Find what a mail asks and promises, sentence by sentence: questions, requests, commitments.

English sentences are judged by the trained model and its cues; German ones by the cues here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from brody_email.sentence_model import REQUEST_VERBS
from brody_email.sentences import SentenceKind, classify_sentence, split_sentences

LOOKED_AT = 6_000
_MOST_SENTENCES = 60
_LONGEST_SENTENCE = 600

_COURTESY = re.compile(
    r"\bhow\s+(?:are|have)\s+you\b|\bhow(?:'s|\s+is)\s+(?:it\s+going|life|everything|things)\b|\bwhat's\s+up\b"
    r"|\b(?:any|further|other|more)\s+questions\b|\bquestions\?\s|\banything\s+(?:urgent|else)\b|\btake\s+your\s+time\b"
    r"|\b(?:feel|be)\s+free\b|\bhesitate\b|\bkeep\s+in\s+touch\b|\bsee\s+you\b|\bhave\s+a\s+(?:nice|good|great|lovely)\b"
    r"|\bhope\s+(?:you|this|that|all)\b|\bright\?$|\bremember\s+me\?|\bguess\s+what\b|\byou\s+know\s+what\?"
    r"|^(?:but\s+|and\s+)?if\s+you(?:'d|\s+would)?\s+(?:like|want|wish|are\s+interested|prefer|no\s+longer|did(?:n't|\s+not))\b"
    r"|\bif\s+(?:you|i|we)\s+can\s+(?:help|be\s+of)\b"
    r"|\bwie\s+geht(?:'s|\s+es)?\b|\b(?:bei|falls|sollten)\b.{0,40}\b(?:rück)?fragen\b|\bmelden\s+sie\s+sich\s+gerne?\b"
    r"|\bschönen?\s+(?:tag|abend|wochenende)\b",
    re.IGNORECASE,
)
_GERMAN = re.compile(
    r"\b(?:bitte|ich|wir|sie|ihr|ihnen|ihre[nmrs]?|nicht|und|der|die|das|den|dem|ein|eine[nmr]?|zum|zur|für|bis|noch|haben)\b",
    re.IGNORECASE,
)
_ASKS_TO_DO = re.compile(
    r"^\W*(?:\w+[,!]\s+)?(?:und\s+|also\s+)?(?:könn(?:t|te|ten|test|tet|en)|kannst|kann|würde[nst]{0,2}|wär(?:e|en|st|t)|magst"
    r"|möchtest|wollen|darf\s+ich\s+(?:sie|dich)\s+bitten)\b.*\b(?:du|sie|ihr|jemand|bitten)\b",
    re.IGNORECASE,
)
_BITTE = re.compile(
    r"(?:^|[,;:–]\s+|\b(?:und|dann|also)\s+)bitte\s+\w+|\b\w+(?:en|n)\s+(?:sie|wir)\b(?:\s+\w+){0,3}\s+bitte\b"
    r"|\b(?:sag|schick|gib|melde?|ruf|schreib|denk|vergiss|lass|prüf|schau)e?\b(?:\s+\w+){0,4}\s+bitte\b"
    r"|\b(?:ich|wir)\s+(?:bitten?|brauchen?|benötigen?)\b|\bum\s+(?:eine\s+)?(?:kurze\s+)?(?:rückmeldung|antwort|bestätigung)\b"
    r"|\b(?:vergessen\s+sie|vergiss|denken\s+sie|denk)\s+(?:nicht|bitte|daran|an)\b",
    re.IGNORECASE,
)
PROMISED_DEED = (
    r"(?:schicke|sende|lade|melde|kümmere|bringe|prüfe|schreibe|rufe|erledige|mache|liefere|bereite|gebe|leite|reiche"
    r"|besorge|buche|bestelle|übernehme|kläre|überweise|unterschreibe|bestätige|aktualisiere|trage|hole|werde)n?"
)
_PROMISES = re.compile(
    rf"\b(?:ich|wir)\s+(?:\w+\s+)?{PROMISED_DEED}\b|\b{PROMISED_DEED}\s+(?:ich|wir)\b", re.IGNORECASE
)
_ONLY_STATES = re.compile(r"\bwerden?\b(?!.*\w{3,}(?:en|ern|eln)\W*$)|\b(?:sein|da\s+sein)\W*$", re.IGNORECASE)


_LIST_MARK = re.compile(r"^(?:[-*•–·]|\(?\d{1,2}[.)]|\(?[a-z]\))\s+")
_ORDINAL_END = re.compile(
    r"(?:^|\s)\d{1,2}\.$|\b(?:Mo|Di|Mi|Do|Fr|Sa|So|z\.\s?B|bzw|ca|Nr|Jan|Feb|Apr|Aug|Sept?|Okt|Nov|Dez)\.$"
)
_AFTER_ORDINAL = re.compile(r"[a-zäöü0-9]|(?:Jan|Feb|Mär|Apr|Mai|Jun|Jul|Aug|Sep|Okt|Nov|Dez)")


class AskKind(StrEnum):
    """What a sentence wants: an answer, a deed of the reader's, or nothing, for the writer promises a deed."""

    QUESTION = "question"
    REQUEST = "request"
    PROMISE = "promise"


_WORDS = re.compile(
    r"\b(?:confirm|let\s+(?:me|us)\s+(?:know|have)|tell\s+(?:me|us)|reply|respond|answer|get\s+back|rsvp|(?:send|give|e?-?mail|forward)"
    r"\s+(?:me|us)|advise|comment|feedback|thoughts|which|when|whether|bescheid|rückmeldung|antwort\w*|bestätig\w*|melden?"
    r"|(?:schick\w*|send\w*|gib|geben|sag\w*)(?:\s+\w+)?\s+(?:mir|uns))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One sentence that asks or promises, how sure that is (0 to 1), and why."""

    kind: AskKind
    text: str
    confidence: float
    reason: str = ""

    @property
    def wants_something(self) -> bool:
        """Say whether the writer waits for something from the reader."""
        return self.kind is not AskKind.PROMISE

    @property
    def wants_words(self) -> bool:
        """Say whether the writer waits for words: an answer, and not only a deed."""
        return self.wants_something and (self.text.rstrip("\"')”* ").endswith("?") or bool(_WORDS.search(self.text)))


def sentences_of(text: str) -> list[str]:
    """Cut the part of a mail that its sender wrote into sentences, at most 60."""
    sentences: list[str] = []
    for line in split_sentences(text[:LOOKED_AT])[:_MOST_SENTENCES]:
        sentence = _LIST_MARK.sub("", line)
        if sentences and _ends_in_ordinal(sentences[-1]) and _AFTER_ORDINAL.match(sentence):
            sentences[-1] += f" {sentence}"  # "bis Freitag, 30. Oktober" is one sentence
        else:
            sentences.append(sentence)
    return sentences


def _ends_in_ordinal(sentence: str) -> bool:
    return sentence.endswith(".") and bool(_ORDINAL_END.search(sentence, max(0, len(sentence) - 10)))


def find_asks(sentences: Sequence[str]) -> tuple[Ask, ...]:
    """Return the sentences that ask or promise, in their order."""
    return tuple(ask for sentence in sentences if (ask := _ask(sentence)))


def is_german(sentence: str) -> bool:
    """Say whether a sentence is German, by its small words."""
    words = len(sentence.split())
    return len(_GERMAN.findall(sentence)) >= max(1, words // 6) and not re.search(
        r"\b(?:the|you|and|please|your|is|are|will|with)\b", sentence, re.IGNORECASE
    )


_MAY_ASK = re.compile(
    r"\?|\b(?:you|your|yours|ya|please|pls|plz|kindly|let|let's|need|needs|want|would|will|'ll|i'll|we'll|can|could|shall|must"
    r"|should|going|promise|plan|intend|remember|forget|sure|reminder|asap|rsvp|appreciate|wonder|wondering|someone|anyone)\b"
    r"|['’]ll\b|['’]d\b",
    re.IGNORECASE,
)
"""What every request, question and promise in English has; a cheap look before the model's."""


def _may_ask(sentence: str) -> bool:
    if _MAY_ASK.search(sentence):
        return True
    words = re.findall(r"[^\W\d_]+", sentence[:60].casefold())
    return not REQUEST_VERBS.isdisjoint(words[:3])  # "Jonas, check the numbers": the order opens the sentence


def _is_prose(sentence: str) -> bool:
    return "----" not in sentence and sum(map(str.isalpha, sentence)) > 0.6 * len(sentence)


def _ask(sentence: str) -> Ask | None:
    if not 6 <= len(sentence) <= _LONGEST_SENTENCE or not _is_prose(sentence):
        return None
    ask = _german(sentence) if is_german(sentence) else _english(sentence)
    return None if ask is None or _COURTESY.search(sentence) else ask


_DEED = re.compile(
    r"\b(?:can|could|would|will|can't|couldn't|won't)\s+(?:you|someone|somebody|anyone|one\s+of\s+you)\b"
    r"(?!\s+(?:have|be\b|like|know|think|recommend|say|prefer|agree|want|mind\s+if|happen|speak|talk|come|join|attend|consider|meet|by\s+any\s+chance\s+have))"
    r"|\bwould\s+you\s+mind\s+\w+ing\b|\bplease\b|\bdo\s+me\s+a\s+favou?r\b|\bare\s+you\s+able\s+to\b|\bany\s+chance\s+you\b"
    r"|\bcan\s+i\s+ask\s+you\s+to\b",
    re.IGNORECASE,
)


_REMINDER = re.compile(r"\b(?:reminder|remember|please|sure|forget)\s+to\s+\w+", re.IGNORECASE)


_PRESENCE = re.compile(
    r"\b(?:i|we)(?:['’]ll|\s+will)\s+(?:\w+ly\s+)?be\s+(?!\w+ing\b|happy|glad|sure|able)", re.IGNORECASE
)
"""``I'll be there`` promises nothing that anybody could do."""


def _english(sentence: str) -> Ask | None:
    if not _may_ask(sentence):
        return None
    if _REMINDER.search(sentence):
        return Ask(AskKind.REQUEST, sentence, 0.8, "reminds the reader")
    verdict = classify_sentence(sentence)
    if sentence.rstrip("\"')”*_ ").endswith("?"):
        if verdict.kind is SentenceKind.REQUEST and _DEED.search(sentence):
            return Ask(AskKind.REQUEST, sentence, verdict.confidence, verdict.reason)
        return Ask(AskKind.QUESTION, sentence, 0.6, "a question")
    if verdict.kind is SentenceKind.NONE:
        return None
    kind = AskKind.REQUEST if verdict.kind is SentenceKind.REQUEST else AskKind.PROMISE
    if kind is AskKind.PROMISE and _PRESENCE.search(sentence):
        return None
    return Ask(kind, sentence, verdict.confidence, verdict.reason)


def _german(sentence: str) -> Ask | None:
    if _ASKS_TO_DO.search(sentence) and not re.search(r"\bzeit\b|\bwissen\b", sentence, re.IGNORECASE):
        return Ask(AskKind.REQUEST, sentence, 0.9, "asks the reader directly")
    if sentence.rstrip("\"'“”) ").endswith("?"):
        return Ask(AskKind.QUESTION, sentence, 0.6, "a question")
    if _BITTE.search(sentence):
        return Ask(AskKind.REQUEST, sentence, 0.85, "says please")
    if _PROMISES.search(sentence) and not _ONLY_STATES.search(sentence):
        return Ask(AskKind.PROMISE, sentence, 0.7, "promises in the first person")
    return None
