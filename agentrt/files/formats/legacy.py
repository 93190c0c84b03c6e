"""Which old encoding a text is in, when it is certain enough: by how often a language's commonest letters come up.

Western texts are told by what they do not have: most of their letters are ASCII. Polish, Czech, Turkish and their
neighbours look the same; they are read as cp1252, which garbles some accents and leaves the words searchable.
"""

from __future__ import annotations

from typing import Final

_CHINESE: Final = "的一是不了在人有我他中上大和地到以要就出可也你生能而子那得下自之年后作里，。、"
_RUSSIAN: Final = "оеаинтсрвлкмдпуя"
_JAPANESE: Final = "のにはをたがでてとしれさいるもなかこあっらりすまンスルトイー、。"
_KOREAN: Final = "이다는에의을가고하지로서를은한도기사니어리시"

# Codec, its commonest letters, and what share of the letters outside ASCII they have in ordinary prose.
_PAIRS: Final = (
    ("cp932", _JAPANESE, 0.55),
    ("euc_jp", _JAPANESE, 0.55),
    ("gb18030", _CHINESE + "这个们来为国说时会对于着过发", 0.25),
    ("big5", _CHINESE + "這個們來為國說時會對於著過發", 0.25),
    ("cp949", _KOREAN, 0.35),
)
_SINGLES: Final = (
    ("cp1251", _RUSSIAN, 0.82),
    ("koi8_r", _RUSSIAN, 0.82),
    ("cp866", _RUSSIAN, 0.82),
    ("cp1253", "αοιετσνηυρπκμλςω", 0.75),
    ("cp1255", "יוהלאמרתבנש", 0.75),
    ("cp1256", "اليمنوتربةعدس", 0.75),
    ("cp874", "านรกอเงวมยลตดทส่้ั", 0.70),
)
_WIDE: Final = tuple(
    (codec, letters, share)
    for codec in ("utf_16_le", "utf_16_be")
    for letters, share in ((_JAPANESE, 0.55), (_CHINESE, 0.2), (_KOREAN, 0.35), (_RUSSIAN, 0.82))
)
_CERTAIN = 0.6
_MOSTLY_ASCII = 0.3


def guess_codec(sample: bytes, *, is_wide: bool) -> str | None:
    """A codec's name, None when no guess is good enough. is_wide: it has control characters, as UTF-16 has."""
    is_western = not is_wide and _is_mostly_ascii(sample)
    # A few accents between ASCII letters can be read as any alphabet, but not as pairs of bytes that make sense.
    candidates = _WIDE if is_wide else _PAIRS if is_western else _PAIRS + _SINGLES
    best = max(candidates, key=lambda candidate: _likelihood(sample, *candidate))
    if _likelihood(sample, *best) >= _CERTAIN:
        return best[0]
    return "cp1252" if is_western else None


def _likelihood(sample: bytes, codec: str, letters: str, share: float) -> float:
    """How far the sample has the letters that prose has: about 1 when it is such prose."""
    try:
        text = sample.decode(codec)
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 4:  # else the sample ends in the middle of a character
            return 0.0
        text = sample[: error.start].decode(codec)
    foreign = [char for char in text if char > "\x7f"]
    common = set(letters)
    return sum(char in common for char in foreign) / len(foreign) / share if foreign else 0.0


def _is_mostly_ascii(sample: bytes) -> bool:
    n_high = sum(byte >= 0x80 for byte in sample)
    n_letters = n_high + sum(chr(byte).isalpha() for byte in sample if byte < 0x80)
    return n_high < _MOSTLY_ASCII * n_letters
