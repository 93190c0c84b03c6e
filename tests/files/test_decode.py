"""Bytes → text, whatever somebody saved it as."""

from __future__ import annotations

import codecs

import pytest

from agentrt.errors import ExtractionError
from agentrt.files.formats.decode import decode

ENGLISH = "The quick brown fox jumps over the lazy dog, and nobody knows why.\r\n" * 5
FRENCH = "Où est passé l’été ? À l’école, les élèves lisent « Les Misérables » ; c’est déjà Noël.\n" * 5
RUSSIAN = "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему.\n" * 5
GREEK = "Μῆνιν ἄειδε θεά. Η γλώσσα είναι ελληνική και το σπίτι μικρό στην άκρη της θάλασσας.\n" * 5
MODERN_GREEK = GREEK.replace("Μῆνιν ἄειδε θεά", "Καλημέρα")
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n" * 5
CHINESE = "我们的生活是一个人在这个世界上要走的路，有的人走得快，有的人走得慢。\n" * 5
TAIWANESE = "我們的生活是一個人在這個世界上要走的路，有的人走得快，有的人走得慢。\n" * 5
KOREAN = "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 이것은 우리의 말이다.\n" * 5
HEBREW = "בראשית ברא אלהים את השמים ואת הארץ והארץ היתה תהו ובהו וחשך על פני תהום\n" * 5
ARABIC = "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق وقد وهبوا عقلا وضميرا\n" * 5
THAI = "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ\n" * 5
EVERYTHING = [ENGLISH, FRENCH, RUSSIAN, GREEK, JAPANESE, CHINESE, KOREAN, ARABIC, THAI, "😀 𝒙"]


@pytest.mark.parametrize("text", EVERYTHING)
@pytest.mark.parametrize(
    ("mark", "codec"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_unicode_is_read_whatever_its_form(text: str, mark: bytes, codec: str) -> None:
    assert decode(mark + text.encode(codec)) == text


@pytest.mark.parametrize("text", [ENGLISH, FRENCH, RUSSIAN, JAPANESE, CHINESE, KOREAN])
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_needs_no_mark(text: str, codec: str) -> None:
    assert decode(text.encode(codec)) == text


@pytest.mark.parametrize("codec", ["utf-32-le", "utf-32-be"])
def test_utf_32_needs_no_mark(codec: str) -> None:
    assert decode(ENGLISH.encode(codec)) == ENGLISH


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        (FRENCH, "cp1252"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8_r"),
        (RUSSIAN, "cp866"),
        (MODERN_GREEK, "cp1253"),
        (JAPANESE, "cp932"),
        (JAPANESE, "euc_jp"),
        (CHINESE, "gb18030"),
        (TAIWANESE, "big5"),
        (KOREAN, "cp949"),
        (HEBREW, "cp1255"),
        (ARABIC, "cp1256"),
        (THAI, "cp874"),
    ],
)
def test_an_old_encoding_is_told_by_its_letters(text: str, codec: str) -> None:
    assert decode(text.encode(codec)) == text


def test_a_few_broken_bytes_do_not_spoil_a_text_in_utf_8() -> None:
    data = (RUSSIAN + "here: ").encode() + b"\xff\xfe" + RUSSIAN.encode()
    assert decode(data) == RUSSIAN + "here: \ufffd\ufffd" + RUSSIAN


def test_a_text_that_was_cut_in_a_letter_is_read_up_to_there() -> None:
    assert decode(RUSSIAN.encode()[:101])[:40] == RUSSIAN[:40]
    assert decode(codecs.BOM_UTF16_LE + ENGLISH.encode("utf-16-le")[:-1])[:40] == ENGLISH[:40]


def test_an_encoding_that_a_page_names_is_believed() -> None:
    assert decode("Żółw".encode("iso-8859-2"), declared="iso-8859-2") == "Żółw"


def test_an_encoding_that_does_not_exist_is_not() -> None:
    assert decode(FRENCH.encode("cp1252"), declared="x-unknown") == FRENCH
    assert decode(FRENCH.encode("cp1252"), declared="utf-16\0") == FRENCH


def test_letters_without_a_language_are_refused_and_not_made_rubbish() -> None:
    with pytest.raises(ExtractionError, match="Save it as UTF-8"):
        decode(bytes(range(0xC0, 0x100)) * 20)
