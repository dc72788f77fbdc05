"""Cut the body of a mail into sentences and tell requests from commitments.

Works on text whose quotes and signature are already cut. Everything here is pure: no I/O but the
first load of the model's weights, and time linear in the text.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from brody_email.sentence_model import REQUEST_VERBS, SentenceModel

# A line this long was broken by a mail program, not by its writer (RFC 5322 asks for 78 at most).
_WRAPPED_FROM = 55
_LIST_MARKER = re.compile(r"(?:[-*•–·+]|\(?(?:\d{1,3}|[a-zA-Z])[.)])\s+")
_CLOSERS = "\"'”’)]}*_"
_OPENERS = "\"'“‘([{*_"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEVER_FINAL = _words("mr mrs ms dr prof st mt rev hon gen col sgt e.g i.e eg ie vs cf approx attn re")
_OFTEN_FINAL = _words("etc inc ltd co corp llc jr sr a.m p.m u.s u.k ph.d dept est min hr hrs")
_BEFORE_NUMBERS = _words("no nos nr fig p pp ch sec art vol tel ext jan feb mar apr jun jul aug sep sept oct nov dec")


def split_sentences(text: str) -> list[str]:
    """Cut text into sentences, in order; each has single blanks, nothing but white space is lost.

    Wrapped lines are joined; a blank line, a list item, a rule and a short line before a capital begin anew.
    """
    return [sentence for words in _paragraphs(text.splitlines()) for sentence in _sentences(words)]


def _paragraphs(lines: Iterable[str]) -> Iterator[list[str]]:
    words: list[str] = []
    previous = ""
    for line in map(str.strip, lines):
        if words and not _continues(previous, line):
            yield words
            words = []
        words.extend(line.split())
        previous = line
    if words:
        yield words


def _continues(previous: str, line: str) -> bool:
    """Tell whether `line` is the rest of a sentence that the line before was too short for."""
    if not (_has_text(previous) and _has_text(line)) or _LIST_MARKER.match(line):
        return False
    if previous.endswith(",") and len(previous.split(None, 3)) <= 3:  # "Dear Ms Ito,"
        return False
    return line[0].islower() or len(previous) >= _WRAPPED_FROM


def _has_text(line: str) -> bool:
    return any(map(str.isalnum, line))


def _sentences(words: Sequence[str]) -> Iterator[str]:
    start = 0
    for index, (word, following) in enumerate(pairwise(words), 1):
        if word[-1].isalnum():
            continue  # most words; what ends a sentence is a mark
        numbers_an_item = index == start + 1 and _LIST_MARKER.match(f"{word} ")
        if _ends_sentence(word, following) and not numbers_an_item:
            yield " ".join(words[start:index])
            start = index
    yield " ".join(words[start:])


def _ends_sentence(word: str, following: str) -> bool:
    core = word.rstrip(_CLOSERS)
    if not core.endswith((".", "!", "?", "…")):
        return False
    if core.endswith(("...", "…")):
        return not following[0].islower()
    return not core.endswith(".") or _full_stop_ends(core[:-1].lstrip(_OPENERS), following)


def _full_stop_ends(stem: str, following: str) -> bool:
    """Tell a full stop from the dot of an abbreviation or an initial."""
    stem = stem.lower()
    if stem in _NEVER_FINAL or (len(stem) == 1 and stem.isalpha() and stem != "i"):
        return False
    if stem in _BEFORE_NUMBERS and following[0].isdigit():
        return False
    return stem not in _OFTEN_FINAL or following.lstrip(_OPENERS)[:1].isupper()


class SentenceKind(StrEnum):
    """Name what a sentence does: asks somebody, promises, or neither."""

    REQUEST = "request"
    COMMITMENT = "commitment"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class SentenceVerdict:
    """Say what a sentence is, how sure that is (0 to 1), and why in words for a person."""

    kind: SentenceKind
    confidence: float
    reason: str


@dataclass(frozen=True, slots=True)
class Cue:
    """A form of words that speaks for a kind; `weight` is added to the logit of the model's score."""

    kind: SentenceKind
    weight: float
    pattern: re.Pattern[str]
    reason: str


def _phrase(*alternatives: str) -> re.Pattern[str]:
    """Compile patterns for lower-case text that all begin at the first letter of a word."""
    return re.compile(r"\b(?=\w)(?:" + "|".join(alternatives) + ")")


def _request(weight: float, reason: str, *alternatives: str) -> Cue:
    return Cue(SentenceKind.REQUEST, weight, _phrase(*alternatives), reason)


def _commitment(weight: float, reason: str, *alternatives: str) -> Cue:
    return Cue(SentenceKind.COMMITMENT, weight, _phrase(*alternatives), reason)


_VERB = "(?:" + "|".join(sorted(REQUEST_VERBS, key=lambda verb: (-len(verb), verb))) + r")\b(?!-)"
_ADVERB = r"(?:(?:\w{2,12}ly|also|then|just|please|all|both|definitely|first|now|do|try to|try and)\s+){0,3}+"
# Where an order can begin: at the start, after a name, or after one short clause.
_CLAUSE = r"(?:^|^[^,:;.!?—]{1,80}[,:;—]\s*)(?:(?:so|and|then|also|just|now|first|next|but)\s+){0,2}"
_OBJECT = (
    r"(?:the|an?|this|that|these|those|me|us|him|her|them|it|my|our|your|his|their|all|any|both|each|every"
    r"|what|whether|if|when|how|who|which)\b"
)
_PERSON = (
    r"(?:ask|call|contact|cc|email|e-mail|invite|meet|notify|phone|ping|remind|tell)\s+\w+\s+"
    r"(?:about|and|at|before|by|for|if|in|on|that|to|today|tomorrow|what|when|whether)\b"
)
_WE = r"(?:i|we)"
_WILL = rf"{_WE}(?:'ll| will| shall)\s+{_ADVERB}"
# "I will need", "we'll see": first person and future, but nothing that anybody can wait for.
_STATES = (
    r"(?:be|not|never|have|need|want|miss|know|see|think|love|like|enjoy|always|remember|feel|assume|admit|say"
    r"|look(?! into| at| for| up)"
    r"|hate|hope|wait|probably|likely|soon|still|only|no|get to|expect|understand|turn \d+)\b"
)

_MARKETING = _phrase(
    r"click(?: on)? (?:here|below|above|now|(?:the|this) link)",
    r"(?:buy|shop|order|act|apply|join|subscribe|register|sign up|enrol+|download|donate|save) (?:now|today)\b",
    r"unsubscribe\b(?! me)",
    r"opt[ -]?out\b",
    r"free shipping\b",
    r"\d+ ?% off\b",
    r"limited[ -]time\b",
    r"while supplies last\b",
    r"(?:risk|obligation)[ -]free\b",
    r"view (?:this|it|the) (?:e-?mail |message |newsletter )?(?:in|on) (?:your|a) browser",
    r"(?:manage|update|change) your (?:e-?mail |subscription |notification )?(?:preferences|subscription)",
    r"follow us on\b",
    r"(?:address book|safe[ -]senders?)\b",
    r"add us to your\b",
    r"^if you(?:'d| would| do not| don't)? (?:no longer )?(?:like|wish|want|prefer) (?:not )?to "
    r"(?:receive|stop|be removed|remove|opt)",
)

# Forms of words that look like a request or a promise and are none. They are taken out before cues are
# looked for, so that what else the sentence says still counts.
_CUTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        _phrase(
            r"(?:please )?(?:do not|don't) hesitate(?: to \w+)?",
            r"(?:please )?feel free(?: to \w+)?",
            r"please (?:be (?:advised|assured|aware|informed)|note|accept (?:my|our)|excuse|forgive|pardon)\b",
            r"please find\b",
            r"(?:if|should) you (?:have|need) (?:any )?(?:other |further |more |additional )?"
            r"(?:questions?|concerns?|quer(?:y|ies)|assistance|information|help)\b[^.;!?]{0,80}",
        ),
        "a phrase of courtesy",
    ),
    (
        _phrase(
            r"^(?:have an? (?:\w+ ){0,2}(?:day|days|weekend|week|one|trip|evening|night|time|holidays?|flight)\b)",
            r"^(?:take care(?! of)|enjoy|see you|keep up|good luck|best of luck)\b",
            r"^(?:and )?(?:(?:i|we)(?:'m| am|'re| are|'ll| will)? )?(?:\w+ly |also )?look(?:ing)? forward\b",
            r"^give my (?:best|regards|love)\b",
        ),
        "a greeting",
    ),
    (
        _phrase(
            r"(?:^|(?<=[,;:] )|(?:please|kindly|so|and|but) )(?:do not|don't|never) "
            r"(?!hesitate|forget|fail|neglect)\w+",
            r"^(?:\w+,? ){0,3}?(?:i|we) (?:will not|won't|shall not|shan't|can ?not|can't|could not|couldn't|do not"
            r"|don't|would not|wouldn't) (?:be able to )?\w+",
            r"^(?:\w+,? ){0,3}?(?:i|we)(?: am|'m| are|'re|'ll| will)(?: not| never|n't) (?:going to |able to )?\w+",
            r"(?<!if )you (?:(?:do not|don't|won't) (?:need|have) to|needn't|need not) \w+",
            r"no (?:need|reason) to \w+",
            r"no (?:further )?(?:action|reply|response) (?:is )?(?:required|needed|necessary)",
        ),
        "negated",
    ),
    (
        _phrase(
            rf"{_WE}(?:'ll| will| shall) be (?:in|at|out|away|off|on|back|available|around|travell?ing)\b",
            r"we(?:'ll| will) see\b",
        ),
        "says where somebody will be",
    ),
    (
        _phrase(
            r"(?:thanks|thank you|thx)(?! in advance)(?: \w+){0,3} for (?!not\b)"
            r"(?:the |all |your |letting (?:me|us) )?\w+",
            r"(?:i|we|he|she|they)(?:'d| had| have|'ve)? (?:asked|told|reminded|wanted|needed|expected) "
            r"(?:him|her|them|you|me|us)(?: \w+)? to \w+",
        ),
        "about the past",
    ),
)

# "I wanted to ask", "I was hoping": polite forms of the present.
_POLITE = r"(?:\w+ )?(?:wanted|hoped|wondered|needed|thought|suggested|proposed|hoping|wondering|thinking)\b"
_PAST = _phrase(
    r"^(?:\w+, )?(?:as [^,]{1,40}, )?(?:i|we|you)(?:'ve|'d)? "
    rf"(?!{_POLITE}|have been (?:asked|invited|requested|required))"
    r"(?:(?:have|had|just|already|also|finally|\w+ly) )*"
    r"(?!need)(?:\w{2,}ed|sent|spoke|told|gave|got|made|wrote|met|went|did|saw|had|took|left|put|paid|came|found"
    r"|heard|said|been|was|were|done|given|taken|written|seen|gone|bought|brought|kept)\b"
)

# In order of strength: the first that matches decides.
_CUES: tuple[Cue, ...] = (
    _request(
        2.5,
        "asks the reader directly",
        r"(?<!how )(?<!why )(?<!only )(?:can|could|would|will|can't|couldn't|won't) "
        r"(?:you|someone|somebody|anyone|anybody|one of you)\b(?! (?:believe|imagine|like to (?:save|win|earn)))",
    ),
    _request(
        2.5,
        "says please",
        rf"(?:please|pls|plz|kindly),? {_ADVERB}(?:be |do not forget|don't forget|{_VERB})",
        r"\w+,? (?:please|pls|plz)\s*[.!?]*$",
    ),
    _request(
        2.5,
        "asks to be told or given something",
        r"(?:^|(?<=[,;:] )|(?:please|pls|and|so|then|just|or|but) )let (?:me|us) (?:know|have)\b",
    ),
    _request(
        2.0,
        "says what is expected of the reader",
        r"(?:need|want|expect|ask|like|love|wants|needs|asks|expects)(?: for)? (?:you|someone|somebody)"
        r"(?: all| guys| both)? to\b",
        r"(?:asks?|requests?|suggests?|insists?) that you\b",
        r"(?:would|will|i'd|we'd)(?: \w+ly| very much)? appreciate (?:it if|your|you|if|any|a|an)\b",
        r"would be (?:\w+ly |much )?(?:appreciated|(?:great|good|helpful|nice|wonderful) if (?:you|we|someone))\b",
        r"(?:wonder(?:ing)?|hoping|wanted to (?:ask|see|check|know))(?: if| whether| that)? (?:you|we)\b",
        r"(?:would you mind|do you mind|are you able to|any chance|do me a favou?r|be (?:so kind|kind enough))\b",
        r"is it possible (?:for you )?to\b",
        r"your \w+(?: \w+)? (?:is|are) (?:required|needed)\b",
        r"(?:do not|don't) (?:forget|fail|neglect) to\b",
        r"(?:thanks|thank you)(?: \w+){0,2} in advance for \w+ing\b",
        rf"{_CLAUSE}(?:remember|be sure|make sure|ensure)\b",
    ),
    _request(
        1.2,
        "tells the reader what to do",
        rf"{_CLAUSE}(?!let|look forward|need|want|have the|expect|feel|forget it){_VERB}\s+"
        rf"(?:(?:up|out|over|back|in|on|at|to|with|for|into|off|through)\s+)?{_OBJECT}",
        rf"{_CLAUSE}{_PERSON}",
    ),
    _request(
        1.5,
        "makes a suggestion",
        rf"{_CLAUSE}(?:let'?s|shall we|why don't (?:you|we)|how about|what about)\b",
    ),
    _commitment(
        2.5,
        "promises in the first person",
        rf"{_WILL}(?!{_STATES})[a-z]",
        rf"{_WILL}be (?:sure|happy|glad|sending|forwarding|calling|writing|following up|getting back|there)\b",
        rf"{_WILL}have (?:it|them|the|that|this|an?|your|something|everything|[a-z]+ {_VERB})",
        rf"{_WE} (?:promise|undertake|commit|intend) to\b",
        r"^(?:(?:ok|okay|sure|yes),? )?(?:will do|on it|i'm on it|consider it done)\b",
        r"leave (?:it|that|this) (?:with|to) me\b",
        r"you(?:'ll| will| shall) (?:have|get|receive) (?:it|them|my|our|the \w+ (?:by|on|tomorrow|today))\b",
    ),
    _commitment(
        2.0,
        "takes something on",
        r"let me (?:just )?(?:check|look|see|find|get|talk|think|try|work|send|call|ask|confirm|verify|discuss"
        r"|speak|review|dig|run|forward|follow|fix|set|put|take|double)\b",
    ),
    _commitment(
        1.2,
        "says what the writer is about to do",
        rf"{_WE}(?:'m| am|'re| are) going to {_VERB}",
        rf"{_WE} (?:plan|aim|hope) to (?!see|hear|meet|be\b){_VERB}",
    ),
    _commitment(
        1.5,
        "offers to do something",
        r"(?<!\bas )(?<!\bif )(?<!\bso )(?<!\bwish )(?<!\bhope )(?<!\bwhen )(?<!\bwhere )(?<!\bwhat )\bi (?:can|could) "
        rf"{_ADVERB}(?:send|bring|call|prepare|draft|forward|provide|set up|arrange|handle|write|take care|pick|drop"
        r"|e-?mail|share|book|fix)\b",
        rf"{_WE}(?:'d| would|'m| am|'re| are)(?: be)?(?: more than| very)? (?:happy|glad) to "
        r"(?!hear|see|know|have|learn|be\b|meet)\w+",
    ),
    _request(
        1.0,
        "says what the reader should do",
        r"(?<!if )(?<!before )(?<!when )you(?:'ll| will| also| all| really| still)? (?:need|have|ought) to\b",
        r"you (?:\w+ )?(?:should|must|had better|may want to|might want to)\b|\byou'd better\b",
        r"(?:need|await|awaiting|waiting (?:for|on)) (?:your|you|(?:[\w-]+ ){1,5}from you)\b",
    ),
    _request(0.7, "puts a question to the reader", r"\byou(?:r|rs)?\b[^?]{0,300}\?\W*$"),
)

_LONGEST = 1500  # in characters; what is longer is no sentence, and bounds the work of the patterns
_CERTAIN = 0.9
# A cue is evidence of its own where the model has met none of the words ("Kindly advise").
_FLOOR = 0.15


def classify_sentence(text: str, model: SentenceModel | None = None) -> SentenceVerdict:
    """Tell whether one sentence is a request, a commitment or neither.

    The model's score, moved by the strongest cue, decides whether it is one; the cue decides which. Without
    a cue an actionable sentence is a request. `model` defaults to the shipped one. Low confidence: ask.
    """
    if len(text) > _LONGEST or not _has_text(text):
        return SentenceVerdict(SentenceKind.NONE, 1.0, "not a sentence")
    sentence = _plain(text)
    if _MARKETING.search(sentence):
        return SentenceVerdict(SentenceKind.NONE, _CERTAIN, "the words of a mass mailing")
    rest, cut = _without_cuts(sentence)
    cue = next((cue for cue in _CUES if cue.pattern.search(rest)), None)
    if cue is None and (excuse := cut or _past(rest)):
        return SentenceVerdict(SentenceKind.NONE, _CERTAIN, excuse)
    return _weigh(sentence, cue, model or SentenceModel.load())


def _plain(text: str) -> str:
    """Return the words in lower case, without what stands before the first of them."""
    sentence = " ".join(text.lower().replace("’", "'").split())
    marker = _LIST_MARKER.match(sentence)
    return sentence[marker.end() if marker else 0 :].lstrip(_OPENERS)


def _without_cuts(sentence: str) -> tuple[str, str | None]:
    """Return the sentence without its empty phrases, and why the first of them says nothing."""
    reason = None
    for pattern, why in _CUTS:
        sentence, count = pattern.subn("…", sentence)
        reason = reason or (why if count else None)
    return sentence, reason


def _past(sentence: str) -> str | None:
    return "about the past" if _PAST.match(sentence) and not sentence.endswith("?") else None


def _weigh(sentence: str, cue: Cue | None, model: SentenceModel) -> SentenceVerdict:
    score = model.score(sentence)
    if cue:
        score = _shifted(max(score, _FLOOR), cue.weight)
    if score < model.threshold:
        return SentenceVerdict(SentenceKind.NONE, 1 - score, "nothing in it asks or promises")
    kind = cue.kind if cue else SentenceKind.REQUEST
    return SentenceVerdict(kind, score, cue.reason if cue else "reads like requests in known mail")


def _shifted(probability: float, logit: float) -> float:
    """Move a probability by `logit` on the logistic scale."""
    odds = probability * math.exp(logit)
    return odds / (odds + 1 - probability)
