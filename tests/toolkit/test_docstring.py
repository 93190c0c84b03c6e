from __future__ import annotations

import pytest

from agentrt.toolkit.docstring import Docstring, read_docstring

OWN = """Forecast for a city.

city: name of the city,
  in any language.
days: how many days: 1 to 7

Raises ValueError for a city that is unknown.
"""
GOOGLE = """
    Forecast for a city.

    It is made up.

    Args:
        city (str, optional): name of the city,
            in any language.
        days: how many days: 1 to 7

    Returns:
        city: what is said here is not for the model.
    """
NUMPY = """Forecast for a city.

Parameters
----------
city : str
    name of the city,
    in any language.
days
    how many days: 1 to 7

Returns
-------
city : str
    Not for the model.
"""
FIELDS = """Forecast for a city.

:param city: name of the city,
    in any language.
:param int days: how many days: 1 to 7
:returns: the forecast
:raises ValueError: city: is not known
"""


@pytest.mark.parametrize("text", [OWN, GOOGLE, NUMPY, FIELDS], ids=["own", "google", "numpy", "fields"])
def test_every_style_of_docstring_says_the_same(text: str) -> None:
    assert read_docstring(text, ["city", "days"]) == Docstring(
        "Forecast for a city.", {"city": "name of the city, in any language.", "days": "how many days: 1 to 7"}
    )


def test_the_description_is_the_first_paragraph_on_one_line() -> None:
    assert read_docstring("Adds\n    two numbers.\n\n    Slowly.", []).description == "Adds two numbers."


def test_a_parameter_may_follow_the_description_directly() -> None:
    assert read_docstring("Adds.\na: the first", ["a"]) == Docstring("Adds.", {"a": "the first"})


def test_a_word_that_is_no_parameter_starts_no_description() -> None:
    doc = read_docstring("Adds.\n\nnote: both are kept\na: the first\n  number", ["a", "b"])
    assert doc == Docstring("Adds.", {"a": "the first number"})


@pytest.mark.parametrize("text", [None, "", "\n\n"])
def test_no_docstring_says_nothing(text: str | None) -> None:
    assert read_docstring(text, ["a"]) == Docstring("", {})


def test_a_word_that_could_be_a_header_is_a_description_when_it_stands_alone() -> None:
    assert read_docstring("Notes", []).description == "Notes"
