"""HTML to the text that a reader sees, and what it hides from the reader.

Parsed by lexbor (`selectolax`). What is hidden is no text of the mail: it is there for filters and for machines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

from brody_agents.integrations.charsets import clean

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

LONGEST = 1_000_000
"""Characters of HTML that are looked at."""
MOST_TAGS = 30_000
MOST_PRE = 200
DEEPEST = 600
"""Deeper nesting is an attack on the parser, whose time grows with depth times tags."""
MOST_ATTRIBUTES = 200_000_000
"""Attributes squared, over all tags: the parser compares each of a tag's attributes with each other."""

# Line and paragraph ends travel through the parser as white space that HTML itself ignores: any other text between
# the rows of a table would be moved in front of it.
_LINE, _PARAGRAPH = "\f", "\t"
_LINE_TAG = re.compile(
    r"<(?=(?:br|hr|/?(?:div|tr|li|ul|ol|dl|dd|dt|table|section|article|header|footer|form|address|pre|center|title))"
    r"[\s/>])",
    re.I,
)
_PARAGRAPH_TAG = re.compile(r"<(?=/?(?:p|h[1-6]|blockquote)[\s/>])", re.I)
_CELL_TAG = re.compile(r"<(?=/?td[\s/>])", re.I)
_PRE = re.compile(r"<pre[\s>].*?</pre", re.I | re.S)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_STRIP = re.compile(r"<[^<>]*>")
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)

_HIDES = re.compile(
    r"display:none|visibility:(?:hidden|collapse)|mso-hide:all|opacity:0(?:\.0+)?(?![.\d])"
    r"|font-size:[01](?:\.\d+)?(?:px|pt|em|%)?(?![.\d%a-z])|max-(?:height|width):0(?![.\d])"
    r"|text-indent:-\d{3}|(?:left|top):-\d{3,}"
)
_MAY_HIDE = re.compile(
    r"display\s*:\s*none|visibility\s*:|mso-hide|opacity\s*:|font-size\s*:\s*[01](?![\d])|max-(?:height|width)\s*:"
    r"|text-indent\s*:|(?:left|top)\s*:\s*-|\bhidden\b|color",
    re.I,
)
_COLOR = re.compile(r"(?:^|;)color:([^;!]+)")
_BACKGROUND = re.compile(r"(?:^|;)background(?:-color)?:([^;!]+)")
_RULE = re.compile(r"([^{}]{1,500})\{([^{}]{1,2000})\}")
_MEDIA = re.compile(r"@[^{};]{0,300}\{(?:[^{}]{0,500}\{[^{}]{0,2000}\})*\s*\}")
_SELECTOR = re.compile(r"[\w\s.#-]{1,100}$")
_COLORS = {"white": "#ffffff", "black": "#000000", "transparent": ""}

_QUOTES = (
    "blockquote[type=cite], .gmail_quote, .gmail_attr, .moz-cite-prefix, .yahoo_quoted, .protonmail_quote, "
    "#divRplyFwdMsg, #divRplyFwdMsg ~ *, #appendonsend, #appendonsend ~ *, #OLK_SRC_BODY_SECTION"
)
_MAY_QUOTE = ("<blockquote", "gmail_", "cite-prefix", "_quote", "rplyfwdmsg", "appendonsend", "olk_src")


@dataclass(frozen=True, slots=True)
class HtmlText:
    """What HTML says: ``text`` to the reader, ``own`` of it without the quoted mail, ``title`` in its head."""

    text: str
    own: str
    title: str = ""
    hidden: bool = False
    json_ld: tuple[str, ...] = ()


def html_text(html: str) -> HtmlText:
    """Turn HTML into text: blocks become lines, links keep their text, scripts, styles and hidden text go."""
    html = clean(html[:LONGEST])
    if _too_deep(html) or _too_wide(html):
        text = _tidy(_STRIP.sub(" ", html))
        return HtmlText(text, text)  # an attack on parsers: nobody wrote this to be read
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(_marked(html))
    title, json_ld = _title(tree), tuple(_json_ld(tree)) if "ld+json" in html else ()
    unseen = tree.css("script, style, head, noscript, template, iframe, object")
    sheets = [node.text() for node in [node for node in unseen if node.tag == "style"][:20]]
    _drop(unseen)
    lower = html.lower()
    may_hide = "color" in lower or bool(_MAY_HIDE.search(html))
    hidden = may_hide and _drop_hidden(tree, sheets)
    text = _text(tree)
    return HtmlText(text, _own(tree, lower, text), title, hidden, json_ld)


def _text(tree: LexborHTMLParser) -> str:
    root = tree.body or tree.root
    return _tidy(root.text_lexbor()) if root else ""


def _own(tree: LexborHTMLParser, lower: str, text: str) -> str:
    if not any(word in lower for word in _MAY_QUOTE):
        return text
    _drop(tree.css(_QUOTES))
    return _text(tree)


def _drop(nodes: list[LexborNode]) -> bool:
    """Remove nodes; say whether there was visible text in them."""
    ids = {node.mem_id for node in nodes}
    # Removing a node frees what is in it: only the outermost of them may be touched.
    outermost = {node.mem_id: node for node in nodes if not any(up.mem_id in ids for up in _above(node))}
    found = False
    for node in outermost.values():
        found = found or bool(_visible(node.text_lexbor()))
        node.decompose()
    return found


def _above(node: LexborNode) -> Iterator[LexborNode]:
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def _title(tree: LexborHTMLParser) -> str:
    node = tree.css_first("title")
    return " ".join(node.text().split())[:500] if node else ""


def _json_ld(tree: LexborHTMLParser) -> Iterator[str]:
    for node in tree.css('script[type="application/ld+json" i]')[:20]:
        text = node.text().replace(_LINE, " ").replace(_PARAGRAPH, " ").strip()
        if text:
            yield text[:100_000]


def _too_deep(html: str) -> bool:
    tags = html.count("<")
    if tags <= DEEPEST:
        return False
    if tags > 2 * MOST_TAGS:
        return True
    if tags - html.count("</") <= DEEPEST:
        return False
    depth = deepest = 0
    for close, name in _TAG.findall(html):
        if close:
            depth = max(depth - 1, 0)
        elif name.lower() not in _VOID:
            depth += 1
            deepest = max(deepest, depth)
    return deepest > DEEPEST


def _too_wide(html: str) -> bool:
    if len(html) < 5_000:
        return False
    tags = (part[part.find("<") :] for part in html.split(">") if len(part) > 200)
    counts = (tag.count(" ") + tag.count("\n") + tag.count("=") + tag.count("/") for tag in tags)
    return sum(count * count for count in counts) > MOST_ATTRIBUTES


# -- white space --------------------------------------------------------------------------------------


def _marked(html: str) -> str:
    html = html.replace("\t", " ").replace("\f", " ")
    if 0 < html.count("<pre") <= MOST_PRE:
        html = _PRE.sub(lambda match: match[0].replace("\n", _LINE), html)
    html = _LINE_TAG.sub(f"{_LINE}<", html)
    html = _PARAGRAPH_TAG.sub(f"{_PARAGRAPH}<", html)
    return _CELL_TAG.sub(" <", html)


def _tidy(text: str) -> str:
    paragraphs = text.replace("\u200b", "").replace("\u200c", "").split(_PARAGRAPH)
    return clean("\n\n".join(filter(None, map(_lines, paragraphs)))).strip()


def _lines(paragraph: str) -> str:
    lines = (" ".join(line.split()) for line in paragraph.split(_LINE))
    return "\n".join(filter(None, lines))


# -- hidden text --------------------------------------------------------------------------------------


def _drop_hidden(tree: LexborHTMLParser, sheets: list[str]) -> bool:
    """Remove what a reader does not see; say whether there was text in it."""
    styled = tree.css("[style], [hidden], font[color]")
    return _drop([*filter(_is_hidden, styled), *_hidden_by_sheet(tree, sheets)])


def _visible(text: str) -> str:
    # Preview padding is made of these: spaces of no width, soft hyphens, combining joiners.
    return re.sub("[\\s\u00ad\u034f\u200b-\u200f\u2007\u2060\ufeff]+", "", text)


def _is_hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    if "hidden" in attributes:
        return True
    style = _style(attributes)
    if _HIDES.search(style):
        return True
    color = _color(_COLOR, style) or _plain(attributes.get("color") or "")
    return color in ("#ffffff", "#fefefe") and _background(node) in ("#ffffff", "#fefefe")


def _style(attributes: dict[str, str | None]) -> str:
    return re.sub(r"\s+", "", (attributes.get("style") or "")[:2000]).lower()


def _color(pattern: re.Pattern[str], style: str) -> str:
    match = pattern.search(style)
    return _plain(match[1]) if match else ""


def _plain(color: str) -> str:
    color = color.strip().lower()
    if match := re.fullmatch(r"#([0-9a-f])([0-9a-f])([0-9a-f])", color):
        return "#" + "".join(digit * 2 for digit in match.groups())
    if match := re.fullmatch(r"rgba?\((\d+),(\d+),(\d+)(?:,1)?\)", color):
        return "#" + "".join(f"{min(int(part), 255):02x}" for part in match.groups())
    return _COLORS.get(color, color)


def _background(node: LexborNode) -> str:
    """Return the background that a reader sees behind a node; white where none is set."""
    for above in islice(chain((node,), _above(node)), 40):
        attributes = above.attributes
        if "background" in attributes:
            return "image"
        color = _color(_BACKGROUND, _style(attributes)) or _plain(attributes.get("bgcolor") or "")
        if color:
            return color
    return "#ffffff"


def _hidden_by_sheet(tree: LexborHTMLParser, sheets: list[str]) -> Iterator[LexborNode]:
    for sheet in sheets:
        # Rules for small screens or print hide what every other reader sees.
        css = _MEDIA.sub("", re.sub(r"/\*.{0,2000}?\*/", "", sheet[:50_000], flags=re.S))
        for selectors, body in _RULE.findall(css):
            if not _HIDES.search(re.sub(r"\s+", "", body).lower()):
                continue
            for selector in selectors.split(","):
                selector = " ".join(selector.split())
                if _SELECTOR.match(selector) and ("." in selector or "#" in selector):
                    yield from tree.css(selector)
