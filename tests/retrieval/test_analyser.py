"""Terms: what is found with what, in which language, and that two roads to them lead to the same place."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.retrieval.analyser import Analyser, query_terms
from agentrt.retrieval.languages import STOP_WORDS, detect_language

ENGLISH = "The house at the end of the street was sold to a family who had been looking for it for years."
GERMAN = "Das Haus am Ende der Straße wurde an eine Familie verkauft, die seit Jahren danach gesucht hatte."
FRENCH = "La maison au bout de la rue a été vendue à une famille qui la cherchait depuis des années."
SPANISH = "La casa al final de la calle se vendió a una familia que la había buscado durante muchos años."
RUSSIAN = "Дом в конце улицы был продан семье, которая искала его уже много лет и наконец нашла."
UKRAINIAN = "Будинок у кінці вулиці був проданий родині, яка шукала його вже багато років і нарешті знайшла."
JAPANESE = "通りの端にある家は、何年も探していた家族に売られました。"


def finds(question: str, text: str, language: str = "english") -> bool:
    """Whether every word of the question is in the text."""
    terms = set(Analyser(language).terms(text))
    return all(terms & set(term.variants) for term in query_terms(question, [language]))


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("house", "Houses are sold."),
        ("RUNNING", "he runs"),
        ("cafe", "the Café"),
        ("café", "the cafe"),
        ("naïve résumé", "naive resumes"),
        ("create task", "asyncio.create_task(x)"),
        ("create_task", "asyncio.create_task(x)"),
        ("get response", "def getHTTPResponseCode():"),
        ("HTTP", "def getHTTPResponseCode():"),
        ("getHTTPResponseCode", "def getHTTPResponseCode():"),
        ("C++", "written in C++."),
        ("c#", "C# and others"),
        ("３００", "300 items"),
        ("ﬁnance", "finances"),
        ("m2", "a room of 20 m²"),
        ("B12", "vitamin b12"),
        ("straße", "Strasse"),
        ("σεισμός", "ΣΕΙΣΜΌΣ"),
        ("их еще", "Их ещё нет"),
        ("猫である", "吾輩は猫である。"),
        ("東京", "東京都に住む"),
        ("ภาษาไทย", "เรียนภาษาไทยวันนี้"),
        ("한국어", "한국어를 배우다"),
        ("हिन्दी", "वह हिन्दी बोलता है"),
        ("product", "Product™ is new"),
    ],
)
def test_a_question_finds_a_text(question: str, text: str) -> None:
    assert finds(question, text)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("c", "C++"),
        ("house", "horse"),
        ("京都", "東京で"),
        ("мой", "мои"),
        ("task", "asyncio.sleep"),
        ("tm", "Product™"),
    ],
)
def test_a_question_does_not_find_another_text(question: str, text: str) -> None:
    assert not finds(question, text)


def test_words_are_counted_as_often_as_they_come() -> None:
    assert sorted(Analyser("english").terms("A dog, two dogs and the DOG.")) == [
        "a",
        "and",
        "dog",
        "dog",
        "dog",
        "the",
        "two",
    ]


def test_terms_are_short_and_have_no_spaces() -> None:
    terms = Analyser("english").terms("x" * 5000 + " " + "é" * 5000 + "\n\t a\u3000b")
    assert max(map(len, terms)) == 64
    assert not any(char.isspace() for term in terms for char in term)


@settings(max_examples=300)
@given(st.text(st.characters(codec="cp1252"), max_size=60))
def test_the_fast_road_for_western_text_leads_where_the_slow_one_does(text: str) -> None:
    # One letter of another script sends the text down the slow one.
    fast, slow = Analyser("english").terms(text), Analyser("english").terms(text + " ж")
    assert [term for term in slow if term != "ж"] == fast


@settings(max_examples=200)
@given(st.text(max_size=80))
def test_any_text_has_terms_that_a_store_takes(text: str) -> None:
    for term in Analyser("").terms(text.replace("\0", "").encode(errors="replace").decode()):
        assert term
        assert not set(term) & set(' "\0:^')
        term.encode()


# Questions -----------------------------------------------------------------------------------------------------------


def test_common_words_are_left_out_of_questions() -> None:
    assert [term.word for term in query_terms("What are the effects of vitamin C?", ["english"])] == [
        "effects",
        "vitamin",
        "c",
    ]


def test_a_question_of_common_words_alone_keeps_them() -> None:
    assert [term.word for term in query_terms("to be or not to be", ["english"])] == ["to", "be", "or", "not"]


def test_a_word_that_is_said_twice_counts_twice() -> None:
    (term,) = query_terms("dog dogs", ["english"])
    assert (term.variants, term.n) == (("dog",), 2)


def test_a_word_stands_for_its_stems_in_all_languages_of_the_documents() -> None:
    (houses,) = query_terms("houses", ["english", "german", ""])
    assert houses.variants == ("hous", "houses")


def test_the_common_words_of_a_question_are_those_of_its_own_language() -> None:
    asked = query_terms("was ist die Haftung nach dem Unfall", ["english", "german"])
    assert [term.word for term in asked] == ["haftung", "unfall"]
    assert [term.word for term in query_terms("die cast models of cars", ["english", "german"])] == [
        "die",
        "cast",
        "models",
        "cars",
    ]


def test_an_empty_question_has_no_terms() -> None:
    assert query_terms("", ["english"]) == query_terms("?!…", []) == []


# Languages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "english"),
        (GERMAN, "german"),
        (FRENCH, "french"),
        (SPANISH, "spanish"),
        (RUSSIAN, "russian"),
        (UKRAINIAN, ""),
        (JAPANESE, ""),
        ("Quarterly revenue 2024: Berlin, Paris, London", "english"),
        ("def main() -> int:\n    return run(sys.argv)\n", "english"),
        ("", ""),
    ],
)
def test_a_language_is_told_when_it_is_certain(text: str, language: str) -> None:
    assert detect_language(text) == language


def test_every_language_has_a_stemmer() -> None:
    for language in STOP_WORDS:
        assert Analyser(language).terms("test")


def test_stop_words_are_words_as_they_are_counted() -> None:
    for words in STOP_WORDS.values():
        for word in words:
            assert [term.word for term in query_terms(word, [])] == [word]


def test_nothing_is_imported_before_it_is_needed() -> None:
    code = "import sys, agentrt.retrieval.analyser, agentrt.retrieval.chunk; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"Stemmer", "numpy", "sqlalchemy", "pydantic"} & set(done.stdout.split())
