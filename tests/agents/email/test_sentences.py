"""Cutting mail into sentences, and telling requests from commitments."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brody_email.sentence_model import SentenceModel
from brody_email.sentences import SentenceKind, classify_sentence, split_sentences

PIECES = [*"abIJ Z.,!?:;-*)(\n\t\r'\"1›…•\u00a0\u2028", "Dr. ", "e.g. ", "please ", "https://x.example/a. "]
MAIL_TEXT = st.lists(st.sampled_from(PIECES)).map("".join)


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


class TestSplitting:
    def test_sentences_end_at_marks_before_white_space(self) -> None:
        assert split_sentences("Come at 5. Bring Ada! Will it rain? I doubt it...") == (
            ["Come at 5.", "Bring Ada!", "Will it rain?", "I doubt it..."]
        )

    def test_wrapped_lines_are_joined(self) -> None:
        text = "Could you please send the signed contract to the office of\nMs Ito before Friday\nat noon?"

        assert split_sentences(text) == [" ".join(text.split())]

    def test_a_salutation_stands_alone(self) -> None:
        assert split_sentences("hi ada,\ncan you call me?") == ["hi ada,", "can you call me?"]

    def test_blank_lines_and_rules_separate(self) -> None:
        assert split_sentences("one\n\ntwo\n-----\nthree") == ["one", "two", "-----", "three"]

    def test_short_lines_before_a_capital_are_lines_of_their_own(self) -> None:
        assert split_sentences("Best wishes\nAda\nExample Ltd.") == ["Best wishes", "Ada", "Example Ltd."]

    @pytest.mark.parametrize("marker", ["-", "*", "•", "1.", "2)", "(3)", "a)"])
    def test_list_items_are_sentences_with_their_wrapped_rest(self, marker: str) -> None:
        text = f"Please:\n{marker} send the slides\n   to Ada\n{marker} book the room"

        assert split_sentences(text) == ["Please:", f"{marker} send the slides to Ada", f"{marker} book the room"]

    @pytest.mark.parametrize(
        "sentence",
        [
            "Ask Dr. Ito about it.",
            "Bring fruit, e.g. apples, and bread.",
            "See fig. 3 and no. 12 of the report.",
            "The call is at 9 a.m. on Monday.",
            "Write to J. Doe at Example Inc. about it.",
            "It costs 3.50 or 4.20 there.",
            "Look at https://docs.example/page?id=1.2&x=y!z for more.",
            "We can wait... or leave.",
            '(He said "no.")',
        ],
    )
    def test_dots_inside_a_sentence_do_not_cut_it(self, sentence: str) -> None:
        assert split_sentences(f"{sentence} Thanks.") == [sentence, "Thanks."]

    @pytest.mark.parametrize(
        "end", ["etc.", "at 9 a.m.", "by I.", "in Jan.", "to Example Ltd.", "at https://a.example."]
    )
    def test_an_abbreviation_can_end_a_sentence(self, end: str) -> None:
        assert split_sentences(f"Send it {end} Call me.") == [f"Send it {end}", "Call me."]

    @given(MAIL_TEXT | st.text())
    @settings(deadline=None)
    def test_nothing_but_white_space_is_lost(self, text: str) -> None:
        sentences = split_sentences(text)

        assert "".join("".join(sentences).split()) == "".join(text.split())
        assert all(sentence == " ".join(sentence.split()) != "" for sentence in sentences)

    @given(MAIL_TEXT)
    @settings(deadline=None)
    def test_paragraphs_are_cut_independently(self, text: str) -> None:
        assert split_sentences(f"{text}\n\n{text}") == split_sentences(text) * 2

    @pytest.mark.parametrize("unit", ["a", ".", "a.", "? ", "\n", "- \n", "(", '"', "a1", "a@", "http://", "you? "])
    def test_a_megabyte_of_garbage_is_cut_and_judged(self, unit: str) -> None:
        """With a quadratic step anywhere this would run for hours, into the suite's time limit."""
        text = unit * (1_000_000 // len(unit))
        sentences = split_sentences(text)

        assert sum(map(len, sentences)) <= len(text)
        assert classify_sentence(text).kind is SentenceKind.NONE
        assert 0 <= SentenceModel.load().score(text) <= 1


REQUESTS = """
Can you send me the budget by Friday?
Could you please review the attached contract?
Bob, call the supplier before noon.
If that fails, restart the server.
Reconcile the totals and email me the result.
- Update the slides with the new figures
2. please book the room for Monday
Kindly advise.
Review and sign the form please.
Let me know if Tuesday works.
Would you mind taking a look at the draft?
I would appreciate it if you could resend the invoice.
We need your approval before Thursday.
Your approval is required by Monday.
You’ll need to renew the licence by 1 March.
Let's meet on Monday to discuss the plan.
When can you deliver the samples?
Thanks in advance for sending the signed copy.
"""
COMMITMENTS = """
I'll send you the draft tomorrow.
I’ll call him this afternoon.
I will definitely look into it.
We will deliver the parts next week.
We shall forward the documents shortly.
I will have the report ready by Monday.
You'll have my comments by noon.
Let me check with the team and get back to you.
I'm going to fix the bug tonight.
I can send you the file this evening.
I'd be happy to write the introduction.
I promise to finish it before the holidays.
I plan to submit the paper on Thursday.
Will do.
"""
NEGATED = """
Please do not reply to this email.
Don't worry about it.
I won't be able to attend.
I will not send the report.
We can't deliver the parts.
You don't need to do anything.
There is no need to call back.
No action is required.
"""
MASS_MAIL = """
Click here to claim your prize.
Buy now and save 50% off.
Please click below to confirm your subscription.
To unsubscribe, visit our site.
If you no longer wish to receive these messages, tell us.
"""
PAST = """
I sent you the report yesterday.
Thanks for sending the report.
Thank you for letting me know.
I have attached the minutes.
I asked you to send it last week.
As promised, I uploaded the photos.
He told me to call her.
"""
POLITE = """
If you have any questions, feel free to contact me.
Please don't hesitate to call.
Please find attached the invoice.
Have a great weekend!
Take care,
We look forward to working with you.
"""
STATEMENTS = """
The meeting went well.
My flight lands at 10.
I will be out of office until Monday.
We'll see.
Your parcel will arrive on Tuesday.
Best regards,
"""


class TestKinds:
    @pytest.mark.parametrize("sentence", lines(REQUESTS))
    def test_what_is_asked_of_the_reader_is_a_request(self, sentence: str) -> None:
        assert classify_sentence(sentence).kind is SentenceKind.REQUEST

    @pytest.mark.parametrize("sentence", lines(COMMITMENTS))
    def test_what_the_writer_takes_on_is_a_commitment(self, sentence: str) -> None:
        assert classify_sentence(sentence).kind is SentenceKind.COMMITMENT

    @pytest.mark.parametrize(
        ("sentence", "reason"),
        [
            *((sentence, "negated") for sentence in lines(NEGATED)),
            *((sentence, "the words of a mass mailing") for sentence in lines(MASS_MAIL)),
            *((sentence, "about the past") for sentence in lines(PAST)),
        ],
    )
    def test_negated_advertising_and_past_sentences_are_neither(self, sentence: str, reason: str) -> None:
        verdict = classify_sentence(sentence)

        assert (verdict.kind, verdict.reason) == (SentenceKind.NONE, reason)

    @pytest.mark.parametrize("sentence", lines(POLITE) + lines(STATEMENTS))
    def test_courtesy_and_statements_are_neither(self, sentence: str) -> None:
        assert classify_sentence(sentence).kind is SentenceKind.NONE

    @pytest.mark.parametrize("text", ["", "   ", "-----", "• ", "?!", "word " * 1000])
    def test_what_is_no_sentence_is_neither(self, text: str) -> None:
        assert classify_sentence(text).reason == "not a sentence"

    @pytest.mark.parametrize(
        "sentence",
        [
            "I sent you the draft yesterday, please review it.",
            "I can't make it, could you take the minutes?",
            "Please don't forget to submit the report.",
            "Do not send it yet, please call me first.",
            "Attached please find the plan, and please let me know if it suits you.",
        ],
    )
    def test_a_request_beside_an_empty_phrase_still_counts(self, sentence: str) -> None:
        assert classify_sentence(sentence).kind is SentenceKind.REQUEST

    def test_a_request_outranks_a_commitment_in_one_sentence(self) -> None:
        assert classify_sentence("I'll send the plan, please sign it.").kind is SentenceKind.REQUEST

    def test_a_clear_request_is_surer_than_one_by_likeness_only(self) -> None:
        clear = classify_sentence("Could you please send me the report by Friday?")
        vague = classify_sentence("Any suggestions for the report?")

        assert clear.confidence > vague.confidence
        assert clear.reason == "asks the reader directly"

    @pytest.mark.parametrize(
        "forms", list(permutations(["Please call Ada.", "please  call\nAda.", "* Please call Ada."], 2))
    )
    def test_white_space_case_and_list_marks_do_not_matter(self, forms: tuple[str, str]) -> None:
        assert classify_sentence(forms[0]) == classify_sentence(forms[1])

    @given(MAIL_TEXT | st.text())
    @settings(deadline=None)
    def test_any_text_has_a_verdict(self, text: str) -> None:
        verdict = classify_sentence(text)

        assert 0 <= verdict.confidence <= 1
        assert verdict.reason

    def test_a_model_given_by_the_caller_is_used(self) -> None:
        eager = SentenceModel(bias=9.0, threshold=0.5, idf={}, weights={})

        assert classify_sentence("My flight lands at 10.", eager).kind is SentenceKind.REQUEST
