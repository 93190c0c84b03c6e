from __future__ import annotations

import pytest

from tests.tools.conftest import Ask

CONVERT = "units.py:convert_units"


@pytest.mark.parametrize(
    ("value", "source", "target", "result"),
    [
        (10, "miles", "km", "10 mi = 16.09344 km"),
        (5.5, "feet", "metres", "5.5 ft = 1.6764 m"),
        (100, "°C", "°F", "100 °C = 212 °F"),
        (98.6, "fahrenheit", "degrees celsius", "98.6 °F = 37 °C"),
        (0, "K", "C", "0 K = -273.15 °C"),
        (1, "GiB", "MB", "1 GiB = 1073.741824 MB"),
        (100, "Mb", "MB", "100 Mbit = 12.5 MB"),
        (1, "MW", "mW", "1 MW = 1000000000 mW"),
        (90, "km/h", "miles per hour", "90 km/h = 55.9234073 mph"),
        (2, "square metres", "sq ft", "2 m² = 21.52782083 ft²"),
        (1, "US gallon", "litres", "1 gal = 3.785411784 l"),
        (1.5, "Hours", "MIN", "1.5 h = 90 min"),
        (1, "kilowatt hour", "MJ", "1 kWh = 3.6 MJ"),
        (30, "psi", "bar", "30 psi = 2.068427188 bar"),
        (180, "deg", "rad", "180 ° = 3.141592654 rad"),
        (1, "inches", "cm", "1 in = 2.54 cm"),
        (4, "ounces", "grams", "4 oz = 113.3980925 g"),
        (3, "metres per second", "kn", "3 m/s = 5.831533477 kn"),
        (1e-7, "m", "nm", "1e-07 m = 100 nm"),
    ],
)
async def test_a_measurement_is_converted(ask: Ask, value: float, source: str, target: str, result: str) -> None:
    answer = await ask(CONVERT, value=value, from_unit=source, to_unit=target)
    assert answer.output == result
    assert answer.error is None


@pytest.mark.parametrize(
    ("source", "target", "text"),
    [
        ("km", "kg", "km is length and kg is mass. Units of length: m, km"),
        ("kilometer", "mils", "Did you mean"),
        ("bananas", "kg", "Kinds of units: length, area"),
    ],
)
async def test_a_conversion_that_makes_no_sense_says_what_would(ask: Ask, source: str, target: str, text: str) -> None:
    answer = await ask(CONVERT, value=1, from_unit=source, to_unit=target)
    assert answer.error == "exception"
    assert text in answer.output


async def test_a_result_beyond_all_numbers_is_refused(ask: Ask) -> None:
    answer = await ask(CONVERT, value=1e308, from_unit="ly", to_unit="nm")
    assert "too large" in answer.output
