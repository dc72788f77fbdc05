"""Recognise receipts: orders, invoices, deliveries and bookings, by structured data or by words and an amount."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from brody_agents.items import MailItem
from brody_email.signals import is_desk, is_reply, machine_reason

_SCHEMA_TYPES = {
    "Order": "an order",
    "Invoice": "an invoice",
    "ParcelDelivery": "a delivery",
    "FlightReservation": "a flight",
    "TrainReservation": "a train journey",
    "BusReservation": "a bus journey",
    "LodgingReservation": "a stay",
    "EventReservation": "tickets",
    "FoodEstablishmentReservation": "a table",
    "RentalCarReservation": "a rented car",
    "TaxiReservation": "a taxi",
    "Reservation": "a booking",
    "ReservationPackage": "a booking",
}
_SUBJECT = re.compile(
    r"\b(?:receipt|e-?receipt|invoice|order\s+(?:confirm\w+|number|no\b|#|received|shipped)|your\s+order|payment\s+"
    r"(?:received|confirm\w+|receipt|successful)|your\s+payment|booking\s+confirm\w+|reservation\s+confirm\w+"
    r"|confirmation\s+of\s+your\s+(?:order|booking|payment)|your\s+(?:booking|purchase|e-?ticket|itinerary|subscription\s+"
    r"payment)|(?:has\s+)?shipped|out\s+for\s+delivery|dispatch(?:ed)?"
    r"|rechnung|quittung|zahlungsbeleg|zahlungseingang|bestell(?:ung|bestätigung)|auftragsbestätigung"
    r"|buchungsbestätigung|reisebestätigung|versandbestätigung|lieferung|ihre\s+buchung)\b",
    re.I,
)
_TEXT = re.compile(
    r"\b(?:receipt|invoice|order|booking|reservation|confirmation)\s*(?:number|no\.?|nr\.?|id|code|#|reference)"
    r"|\bthank(?:s|\s+you)\s+for\s+(?:your\s+(?:order|purchase|payment)|riding|shopping)"
    r"|\b(?:rechnungs|bestell|auftrags|buchungs)nummer\b|\bvielen\s+dank\s+für\s+(?:ihre|deine)\s+bestellung\b",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    r"(?:[€£$¥₹]|\b(?:EUR|USD|GBP|CHF|SEK|NOK|DKK|PLN|CAD|AUD|JPY|INR)\b)\s{0,2}\d[\d.,' ]{0,12}"
    r"|\d[\d.,']{0,12}\s{0,2}(?:[€£]|(?:EUR|USD|GBP|CHF|SEK|NOK|DKK|PLN|CAD|AUD)\b)"
)
_TOTAL = re.compile(r"\b(?:grand\s+total|order\s+total|total|amount|gesamt\w*|summe|betrag|rechnungsbetrag)\b", re.I)
_LOOKED_AT = 20_000


def receipt_reason(mail: MailItem) -> str:
    """Say what makes the mail a receipt, or nothing.

    Words alone prove nothing: it takes schema.org data, or a subject of that kind with an amount in a mail that
    a company's desk or a machine sent on its own.
    """
    structured = next((name for kind in _types(mail.json_ld) if (name := _SCHEMA_TYPES.get(kind))), "")
    if structured:
        return f"The mail carries the data of {structured} (schema.org){_for(amount(mail))}."
    if is_reply(mail) or not (is_desk(mail) or machine_reason(mail)):
        return ""
    word = _SUBJECT.search(mail.subject)
    if word and (found := amount(mail)):
        return f'The subject says "{_plain(word[0])}" and the text names {found}.'
    word = _TEXT.search(mail.text[:_LOOKED_AT])
    if word and _TOTAL.search(mail.text[:_LOOKED_AT]) and (found := amount(mail)):
        return f'The text says "{_plain(word[0])}" and names {found}.'
    return ""


def _plain(words: str) -> str:
    return " ".join(words.split()).lower()


def amount(mail: MailItem) -> str:
    """Return the total that the mail names, such as ``84.90 EUR``, else the first amount, else nothing."""
    text = mail.text[:_LOOKED_AT]
    ends = (total.end() for total in _TOTAL.finditer(text))
    totals = (match for end in ends if (match := _AMOUNT.search(text, end, end + 80)))
    first = next(totals, None) or _AMOUNT.search(text)
    return _read(first[0]) if first else ""


def _read(text: str) -> str:
    from price_parser import Price  # type: ignore[attr-defined, unused-ignore]

    price = Price.fromstring(text)
    if price.amount is None or not price.currency:
        return ""
    return f"{price.currency}{price.amount}" if price.currency in "$£¥₹" else f"{price.amount} {price.currency}"


def _for(found: str) -> str:
    return f" for {found}" if found else ""


def _types(blocks: Iterable[str]) -> Iterator[str]:
    for block in blocks:
        try:
            yield from _types_in(json.loads(block))
        except (ValueError, RecursionError):
            continue


def _types_in(value: object, depth: int = 0) -> Iterator[str]:
    """Walk the ``@type`` of the things that a block is about, not of all that they are made of."""
    if isinstance(value, list):
        for item in value[:50]:
            yield from _types_in(item, depth)
    elif isinstance(value, dict) and depth < 3:
        kinds = value.get("@type")
        yield from (str(kind).rpartition("/")[2] for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind)
        yield from _types_in(value.get("@graph"), depth + 1)
