"""The vocabulary of unwanted mail, by topic.

A line is a phrase: its first word, or several with ``|`` between them, then after a colon a pattern of what follows.
First words are looked up and only then a pattern is tried, so that the time is that of reading the text once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from brody_email.words import LETTERS, Alphabet, word_bytes

FEAR = "fear for an account"
_WORDS = Alphabet(LETTERS + "0123456789$%'")


@dataclass(frozen=True, slots=True)
class Topic:
    """Words of one kind of unwanted mail; each different phrase of it counts, up to ``most`` points."""

    what: str
    each: float
    most: float
    phrases: str


TOPICS: tuple[Topic, ...] = (
    Topic(
        "money",
        1.1,
        2.8,
        r"""
        make|makes|making|earn|earning: (?:\w+ ){0,3}(?:money|cash|income|thousands|millions?|\$ ?\d[\d,]+)
        make|makes|making|worth: a fortune
        extra|unlimited|residual|passive|second: (?:income|cash)
        work|working|business|income|money: (?:\w+ )?(?:at|from) (?:your )?home
        home: based business
        financial: (?:freedom|independence)
        get: (?:paid|rich)
        be|fire: your (?:own )?boss
        business|income|investment|ground: (?:floor )?opportunit(?:y|ies)
        multi: level
        mlm|downline|pyramid|mortgage|mortgages|foreclosure|foreclosures|casino|casinos|jackpot|forex|otcbb|refinance|refinancing
        chain: letter
        lowest|low|best|reduced|great: (?:mortgage |interest )?rates?
        home: loans?
        second: mortgage
        lender|lenders
        consolidate|eliminate|reduce: (?:\w+ )?debts?
        debt|credit: (?:consolidation|repair)
        bad: credit
        repair: your credit
        accept: (?:all )?(?:major )?credit cards?
        merchant: accounts?
        life|term|health: (?:insurance|policy)
        annuity|annuities
        auto: warrant(?:y|ies)
        penny|hot|undervalued: stocks?
        stock: (?:alert|pick|tip)s?
        strong: buy
        tax|irs: (?:problems|debt|relief)
        lottery|lotteries|sweepstakes
        you: have won
        you've: won
        prize: winner
        claim: your (?:\w+ )?(?:prize|reward|winnings|gift)
        gift: cards?
        """,
    ),
    Topic(
        "pills, weight or looks",
        1.5,
        4.0,
        r"""
        viagra|cialis|xenical|propecia|phentermine|levitra|meridia|valium|xanax|ambien|hgh|pharmacy|pharmacies|libido|herbal|miracle
        penis|penile|erection|erections|impotence|impotent|enlarge|enlarging|enlargement|wrinkle|wrinkles
        prescription|prescriptions: (?:drugs?|required|needed|without)
        without: (?:a )?prescriptions?
        lose|losing|shed: (?:\w+ ){0,3}(?:weight|pounds|lbs|inches|fat)
        weight: loss
        diet|dieting: pills?
        burn|burns|burning: (?:\w+ )?fat
        fat: (?:burn|loss)\w*
        human: growth hormones?
        reverse|reverses|reversing|anti: aging
        years: younger
        sex|sexual: (?:drive|potency|performance)
        all: natural
        """,
    ),
    Topic(
        "sex",
        1.5,
        4.0,
        r"""
        xxx|porn|porno|pornographic|nude|naked|nudity|horny|slut|sluts|cum|cock|pussy|tits|blowjob|blowjobs|orgasm|orgasms
        hard: core
        adult|sex|hot|teen|live|free: (?:\w+ )?(?:videos?|dvds?|movies|girls|teens|webcams?|web cams?|sex)
        adult|sex|teen: (?:web ?)?sites?
        adults: only
        over: 18
        18: (?:years )?(?:or|to enter|of age)
        at: least 18
        """,
    ),
    Topic(
        "a fortune to be moved",
        1.5,
        4.5,
        r"""
        next: of kin
        deceased|beneficiary|modalities|consignment|inheritance
        late: (?:president|husband|father|general|head of state)
        million: (?:u\.?s\.? |united states )?(?:dollars|usd)
        us$|$: \d[\d.,]* ?(?:m|million)
        transfer|transferred|transferring: (?:of )?(?:the|this|said|these) (?:money|funds?|sum)
        foreign: (?:account|partner)
        strictly|utmost|absolute: (?:confiden(?:ce|tial\w*)|secrecy)
        risk: free transaction
        security|finance: company
        your: (?:bank )?account (?:number|details|particulars)
        """,
    ),
    Topic(
        "goods nobody asked for",
        1.3,
        2.6,
        r"""
        toner|toners|descrambler|descramblers|scrambler|bulker|rolex|diploma|diplomas
        de: scramblers?
        ink|inkjet|laser: (?:jet )?cartridges?
        cable|satellite: (?:tv )?(?:cards?|systems?|channels)
        bulk|mass: (?:e-?)?mail(?:er|ers|ing|ings)?
        opt: in (?:e-?mail )?list
        email|mail: (?:addresses|marketing)
        million: (?:fresh |e-?mail )*(?:addresses|emails)
        banned: cd
        university|college: degrees?
        copy: (?:any )?dvds?
        dvd: cop\w+
        free: (?:phone|long distance) calls?
        calling: cards?
        search|website|web: (?:engines? |site )?(?:ranking|promotion|submission|traffic)
        page: 1
        first: page of google
        internet|online: privacy software
        replica: watch(?:es)?
        manufacturer|manufacturers: in china
        time: shares?
        dear: (?:sirs?|home ?owner|friend)s?
        """,
    ),
    Topic(
        "the excuses of mass mailers",
        1.4,
        4.2,
        r"""
        is|message|mail|email: (?:not|never) (?:spam|unsolicited)
        not: be considered spam
        s|bill: (?:s)?\.? ?1618
        section: 301
        title: iii
        in: compliance with
        under: (?:the )?(?:new )?(?:e-?mail )?(?:bill|law)
        be|get: (?:removed|taken off)
        remove: (?:me|your)\b
        removal: instructions
        word|with: (?:the word )?["' ]?remove["']?
        remove: in the subject
        one: time (?:mailing|e-?mail|message)
        be: sent (?:to you )?once
        will: not (?:be contacted|hear from us) again
        opt|opted: (?:out|in)
        through: (?:our )?affiliat\w+
        in: house mailing list
        received|receiving: this (?:\w+ )?(?:in error|by mistake)
        sorry: for (?:the|any) (?:intrusion|inconvenience)
        apologize|apologise: (?:for|if)
        accept: our apologies
        not: wish to receive
        is: an advertisement
        adv
        """,
    ),
    Topic(
        "a sales pitch",
        0.6,
        2.4,
        r"""
        click: (?:here|below|on the link|this link|now)
        visit: (?:our|the) (?:web ?site|site)
        100%|absolutely|totally|completely: (?:free|guaranteed|legal|risk[- ]free)
        guaranteed|hurry|amazing|incredible|unbelievable|revolutionary
        no|without: (?:obligation|risk|cost|hassle|credit check|purchase necessary)
        risk: free
        money: back
        order|act|call|buy|apply|sign|join: (?:up )?(?:now|today|yours)
        limited: time
        don't: (?:miss|delay|wait)
        toll: free
        1: 8(?:00|88|77|66)
        call: us at
        as: seen on
        once: in a lifetime
        last: chance
        special: offer
        free: (?:trial|quote|gift|bonus|info\w*|report|demo|tape|free)
        save: (?:up to|thousands|big|\d+ ?%)
        """,
    ),
    Topic(
        FEAR,
        1.8,
        4.5,
        r"""
        account|konto|mailbox|postfach: (?:\w+ ){0,3}(?:suspended|locked|limited|gesperrt|eingeschränkt|deactivated)
        verify|confirm|update: your (?:account|identity|data|password|bank|payment)\w*
        bestätigen: sie ihre (?:daten|identität|konto\w*|zahlung\w*)
        unusual: (?:activity|sign-?in)
        ungewöhnliche: aktivitäten
        unauthorized|unauthorised: (?:access|transaction)
        password|passwort: (?:expires|läuft ab)
        """,
    ),
)


def phrases_in(text: str) -> Mapping[Topic, list[str]]:
    """Return the different phrases of each topic in ``text``, which is in lower case with single blanks."""
    table = _table()
    found: dict[Topic, dict[str, None]] = {}
    for start, word in _first_words(text, table):
        for topic, rest in table[word]:
            end = start + len(word)
            if rest is not None:
                match = rest.match(text, end)
                if match is None:
                    continue
                end = match.end()
            found.setdefault(topic, {})[text[start:end]] = None
    return {topic: list(phrases) for topic, phrases in found.items()}


def _first_words(text: str, wanted: Collection[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield where the wanted words stand in a text, in its order."""
    spaced = b" %b " % _WORDS.spaced(text)
    while b" '" in spaced:  # an apostrophe belongs to a word, but not before it
        spaced = spaced.replace(b" '", b"  ")
    start = -1
    for word in filter(wanted.__contains__, spaced.split()):
        start = spaced.find(b" %b " % word, start + 1)
        yield start, word


@cache
def _table() -> Mapping[bytes, list[tuple[Topic, re.Pattern[str] | None]]]:
    table: dict[bytes, list[tuple[Topic, re.Pattern[str] | None]]] = {}
    for topic in TOPICS:
        for line in filter(None, map(str.strip, topic.phrases.splitlines())):
            words, _, rest = line.partition(": ")
            pattern = re.compile(rf"[ -]?(?:{rest})(?![a-z])") if rest else None
            for word in words.split("|"):
                table.setdefault(word_bytes(word), []).append((topic, pattern))
    return table
