"""The word lists of :mod:`brody_task.normalise`: what is dropped, what is the same. English and German."""

from __future__ import annotations

POLITE = (
    r"please|pls|plz|kindly|bitte|danke|thanks?(?:\s+(?:you|a\s+lot|in\s+advance))?|many\s+thanks",
    r"(?:could|can|would|will|do)\s+(?:you|we|u)\s+(?:mind|possibly|be\s+able\s+to|be\s+so\s+kind\s+(?:as\s+)?to)",
    r"(?:could|can|would|will)\s+(?:you|u)|would\s+it\s+be\s+possible\s+(?:for\s+you\s+)?to",
    r"(?:i|we)(?:\s+would|['’]d)?\s+(?:really\s+)?(?:need|want|like|ask|expect)\s+(?:you\s+)?to",
    r"(?:i|we)(?:\s+would|['’]d)\s+(?:really\s+)?(?:appreciate\s+(?:it\s+)?|be\s+(?:very\s+)?grateful\s+)"
    r"(?:if\s+you\s+(?:could|would))?",
    r"it\s+would\s+be\s+(?:great|nice|good|helpful|lovely)\s+(?:if\s+you\s+(?:could|would))?",
    r"(?:you|we|i)(?:\s+(?:will|must|should|shall)|['’]ll|\s+(?:have|need|ought)\s+to)|let\s+me(?!\s+(?:know|have))|let['’]?s|i\s+am\s+going\s+to",
    r"(?:i|we)\s+promised?\s+(?:that\s+i\s+would|to)|(?:i['’]m|i\s+am)\s+happy\s+to",
    r"(?:remember|make\s+sure|be\s+sure|try)\s+(?:to|that\s+you|you)",
    r"(?:do\s+not|don['’]?t)\s+forget(?:\s+(?:to|that\s+you|about))?",
    r"(?:when(?:ever)?|if|as\s+soon\s+as)\s+(?:you\s+)?"
    r"(?:get\s+(?:a\s+|the\s+)?chance|have\s+(?:a\s+)?(?:time|minute|moment)|can|possible)",
    r"if\s+(?:at\s+all\s+)?possible|at\s+your\s+(?:earliest\s+)?convenience|a\s*s\s*a\s*p|as\s+soon\s+as\s+possible",
    r"(?:very\s+)?urgent(?:ly)?|immediately|quickly|soon|just|also|still|dringend|sofort|schnell|umgehend",
    r"(?:kannst|könntest|würdest|können|könnten|würden)\s+(?:du|ihr|sie)|(?:ich|wir)\s+(?:werden?|muss|müssen)",
    r"denk(?:t|en\s+sie)?\s+(?:bitte\s+)?(?:an|daran)",
    r"(?:todo|to-do|action(?:\s+item)?|task|aufgabe|reminder|erinnerung|fyi|hi|hello|dear)\s*[:,]",
)
"""Patterns of courtesy, haste and promise: they say how something is asked, not what."""

PHRASES = (
    (r"\b(?:do\s+not|don['’]?t|never|nicht|kein(?:e|en)?)\b", "not"),
    (r"\bget\s+back\s+to\b", "reply"),
    (r"\blet\b(.{1,30}?)\bknow\b", r"tell\1"),
    (
        r"\b(?:get|pass|hand|mail|e-?mail|forward|ship|drop)\b(.{0,60}?)\b(?:over|on|across|along|off|in)\b",
        r"send\1 ",
    ),
    (r"\bget\b(.{1,60}?)\bto\b(?=\s+\S)", r"send\1 "),
    (r"\blet\b(.{1,30}?)\bhave\b", r"send\1 "),
    (r"\b(?:give|make)\b(.{0,30}?)\b(?:a\s+)?(?:quick\s+)?(?:ring|call|phone\s+call|buzz)\b", r"call\1"),
    (r"\b(?:call|phone|ring)\b(.{0,30}?)\b(?:up|back)\b", r"call\1"),
    (r"\b(?:have|take)\s+(?:a\s+)?(?:quick\s+|close\s+|another\s+)?look\s+(?:at|over|through|into)\b", "review"),
    (r"\b(?:look|go|read)\s+(?:over|through|at)\b", "review"),
    (r"\b(?:follow|check)\s+(?:up\s+)?(?:up|in)\s+(?:with|on)\b", "remind"),
    (r"\bset\b(.{0,40}?)\bup\b|\bset\s+up\b", r"arrange\1"),
    (r"\b(?:put|pull)\b(.{0,40}?)\btogether\b|\b(?:put|pull)\s+together\b", r"prepare\1"),
    (r"\b(?:write|draw|type)\b(.{0,40}?)\bup\b", r"write\1"),
    (r"\bfill\b(.{0,40}?)\b(?:in|out)\b", r"complete\1"),
    (r"\bsign\b(.{0,40}?)\boff\b(?:\s+on\b)?", r"approve\1"),
    (r"\bsend\b(.{0,60}?)\b(?:over|on|across|back|off)\b", r"send\1"),
    (
        r"\b(?:a|an|the|our|your|another)\s+(?:(?:short|quick|video|phone|zoom)\s+)*(?:call|chat|catch-?up)\b",
        "meeting",
    ),
    (r"\bone[\s-](?:to|on)[\s-]one\b|\b1:1\b", "oneonone"),
    (r"\be-mail\b", "email"),
    (r"\bruf(?:e|en|st)?\b(.{0,40}?)\ban\b", r"call\1"),
    (r"\b(?:schick|send)(?:e|en|est|st)?\b(.{0,60}?)\b(?:zu|rüber|weiter)\b", r"send\1"),
    (r"\bbereit(?:e|en)?\b(.{0,40}?)\bvor\b", r"prepare\1"),
)
"""Verbs of several words, in this order; what stands between their parts is kept."""

SAME: dict[str, str] = {
    word: canonical
    for canonical, words in {
        "send": "deliver forward share submit transmit mail email provide supply schick schicken send senden sende"
        " zusenden zuschicken übermitteln weiterleiten",
        "contract": "agreement vertrag",
        "call": "phone ring telephone dial anruf anrufen telefonieren",
        "meet": "meeting appointment besprechung termin treffen",
        "review": "check inspect examine proofread prüfen prüfe durchsehen ansehen",
        "invoice": "bill rechnung",
        "prepare": "create produce compile vorbereiten erstellen erstelle",
        "arrange": "organise organize schedule reserve book organisieren vereinbaren buchen",
        "reply": "answer respond response antworten antworte beantworten",
        "confirm": "acknowledge bestätigen bestätige",
        "pay": "settle transfer remit bezahlen zahlen überweisen",
        "update": "revise amend edit refresh aktualisieren überarbeiten",
        "complete": "finish finalise finalize ausfüllen abschließen fertigstellen",
        "tell": "inform notify informieren mitteilen",
        "remind": "chase nudge erinnern nachfassen",
        "buy": "purchase order kaufen bestellen",
        "slide": "slides deck presentation präsentation folien",
        "document": "doc documents paper paperwork unterlagen dokument",
        "file": "attachment datei anhang",
        "photo": "picture image pic foto bild",
        "figure": "number figures zahlen",
        "offer": "quote quotation proposal angebot",
        "colleague": "coworker kollege",
        "signature": "sign signed unterschreiben unterzeichnen"
        " unterschreibe unterschriebene unterschriebenen unterzeichneten",
        "approve": "authorise authorize freigeben genehmigen",
        "cancel": "abort absagen stornieren kündigen",
        "fix": "repair correct mend resolve solve beheben korrigieren",
        "return": "zurückgeben zurücksenden",
        "install": "setup einrichten",
        "bring": "mitbringen",
        "report": "bericht",
        "minute": "protokoll",
    }.items()
    for word in words.split()
}
"""Words that mean the same in a task, each to its canonical one."""

_VERBS = """
send call meet review prepare arrange reply confirm pay update complete tell remind buy signature approve
cancel fix return install bring write read move add remove do make give get look talk discuss help start stop
put ask attend join visit collect upload download print register renew
"""
VERBS = frozenset(_VERBS.split())
"""Canonical actions; alone they say what is done, not to what."""

_VAGUE = """
document file report draft version copy form thing item stuff link info information detail
"""
VAGUE = frozenset(_VAGUE.split())
"""Objects that mean nothing outside of their own place."""

_STOP = """
folder ordner dahin dazu damit
a an the this that these those it its it's my your our their his her me you us them he she we they i one some
any all to of for in on at by with from into onto over about up out off as and or but if then so than via per
re fw fwd regarding concerning is are was were be been am do does did has have had will would can could should
shall may might must need no yes there here now what which who when where how why ok okay well very really too
only more most new latest get got go going let again back both each every other such own same der die das den
dem des ein eine einen einem einer eines und oder aber mit von vom zu zum zur im ins auf für bei bis aus nach
ist sind war wird werden wurde ich du er sie es wir ihr mir dir ihm ihnen uns euch mein meine dein deine ihre
ihren sein seine unser unsere noch mal doch auch schon dass ob wenn
"""
STOP = frozenset(_STOP.split())
"""Words without content."""
