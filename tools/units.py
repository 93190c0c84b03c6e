"""Unit conversion by exact factors: length, area, volume, mass, temperature, speed, time, data, energy and more."""

from __future__ import annotations

import difflib
import math
from fractions import Fraction
from typing import NamedTuple

from agentrt import tool


class _Unit(NamedTuple):
    """base value = value * factor + offset"""

    symbol: str
    kind: str
    factor: Fraction
    offset: Fraction = Fraction(0)


@tool(timeout_s=5)
def convert_units(value: float, from_unit: str, to_unit: str) -> str:
    """Convert a measurement from one unit to another: length, area, volume, mass (weight), temperature, speed, time,
    data size, energy, power, pressure, force, angle or frequency.

    value: the number to convert.
    from_unit: the unit it is in, by name or symbol, such as `miles`, `kg`, `°F`, `km/h`, `GiB` or `square metres`.
    to_unit: the unit it is wanted in, of the same kind.
    """
    if not math.isfinite(value):
        raise ValueError("the value must be a finite number")
    source, target = _find(from_unit), _find(to_unit)
    if source.kind != target.kind:
        fitting = ", ".join(unit.symbol for unit in _units_of(source.kind))
        raise ValueError(
            f"{from_unit} is {source.kind} and {to_unit} is {target.kind}. Units of {source.kind}: {fitting}"
        )
    base = Fraction(str(value)) * source.factor + source.offset
    converted = (base - target.offset) / target.factor
    return f"{_show(Fraction(str(value)))} {source.symbol} = {_show(converted)} {target.symbol}"


def _show(value: Fraction) -> str:
    try:
        return f"{float(value):.10g}"
    except OverflowError:
        raise ValueError("the result is too large") from None


def _find(name: str) -> _Unit:
    wanted = " ".join(name.strip().replace("_", " ").split())
    # Symbols by their case first: MW and mW, Mb and MB are different units.
    if (unit := _BY_SYMBOL.get(wanted)) is not None:
        return unit
    plain = _plain(wanted)
    if (unit := _BY_NAME.get(plain)) is not None:
        return unit
    close = difflib.get_close_matches(plain, _BY_NAME, n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"Kinds of units: {', '.join(_TABLE)}."
    raise ValueError(f"unit {name!r} is unknown. {hint}")


def _plain(name: str) -> str:
    text = (
        name.lower()
        .replace("metre", "meter")
        .replace("litre", "liter")
        .removeprefix("degrees ")
        .removeprefix("degree ")
    )
    text = text.replace("²", "2").replace("³", "3").replace("^", "").replace(" per ", "/").replace("μ", "µ")
    return text.replace("squared ", "square ").replace("sq ", "square ").replace("cubed ", "cubic ")


def _units_of(kind: str) -> list[_Unit]:
    return list(dict.fromkeys(unit for unit in _BY_SYMBOL.values() if unit.kind == kind))


# kind → lines of `factor symbol, other names …`; a factor is the unit in the kind's first unit. Exact by definition
# where the unit is; names are in the singular, plurals are added.
_TABLE = {
    "length": """
        1 m, meter | 1000 km, kilometer | 1/10 dm, decimeter | 1/100 cm, centimeter | 1/1000 mm, millimeter
        1e-6 µm, um, micrometer, micron | 1e-9 nm, nanometer | 0.0254 in, inch, " | 0.3048 ft, foot, '
        0.9144 yd, yard | 1609.344 mi, mile | 1852 nmi, nautical mile | 149597870700 au, astronomical unit
        9460730472580800 ly, light year, light-year""",
    "area": """
        1 m², m2, sq m, square meter | 1e6 km², km2, sq km, square kilometer | 1e-4 cm², cm2, sq cm, square centimeter
        1e-6 mm², mm2, sq mm, square millimeter | 10000 ha, hectare | 100 a, are | 4046.8564224 ac, acre
        0.09290304 ft², ft2, sq ft, square foot, sqft | 0.00064516 in², in2, sq in, square inch
        0.83612736 yd², yd2, sq yd, square yard | 2589988.110336 mi², mi2, sq mi, square mile""",
    "volume": """
        1 l, L, liter | 1/10 dl, dL, deciliter | 1/100 cl, cL, centiliter | 1/1000 ml, mL, milliliter
        100 hl, hL, hectoliter | 1000 m³, m3, cubic meter | 1/1000 cm³, cm3, cc, cubic centimeter
        28.316846592 ft³, ft3, cubic foot | 0.016387064 in³, in3, cubic inch
        3.785411784 gal, gallon, us gallon | 4.54609 imp gal, imperial gallon, uk gallon
        0.946352946 qt, quart | 0.473176473 pt, pint, us pint | 0.56826125 imp pt, imperial pint, uk pint
        0.2365882365 cup, us cup | 0.0295735295625 fl oz, fluid ounce | 0.01478676478125 tbsp, tablespoon
        0.00492892159375 tsp, teaspoon | 158.987294928 bbl, barrel""",
    "mass": """
        1 kg, kilogram, kilo | 1/1000 g, gram | 1e-6 mg, milligram | 1e-9 µg, ug, mcg, microgram
        1000 t, tonne, metric ton | 0.45359237 lb, lbs, pound | 0.028349523125 oz, ounce | 6.35029318 st, stone
        907.18474 short ton, us ton, ton | 1016.0469088 long ton, imperial ton | 0.0002 ct, carat""",
    "temperature": "1 K, kelvin | 1 °C, C, celsius, centigrade | 5/9 °F, F, fahrenheit | 5/9 °R, R, rankine",
    "speed": """
        1 m/s, meter/second | 1/3.6 km/h, kmh, kph, kilometer/hour | 0.44704 mph, mile/hour, mi/h
        0.3048 ft/s, fps, foot/second | 1852/3600 kn, kt, knot | 299792458 c, speed of light""",
    "time": """
        1 s, sec, second | 1/1000 ms, millisecond | 1e-6 µs, us, microsecond | 1e-9 ns, nanosecond | 60 min, minute
        3600 h, hr, hour | 86400 d, day | 604800 week, wk | 1209600 fortnight | 2629800 month | 31557600 year, yr
        315576000 decade | 3155760000 century""",
    "data size": """
        1 B, byte | 1/8 bit, b | 1000 kB, KB, kilobyte | 1e6 MB, megabyte | 1e9 GB, gigabyte | 1e12 TB, terabyte
        1e15 PB, petabyte | 1024 KiB, kibibyte | 1048576 MiB, mebibyte | 1073741824 GiB, gibibyte
        1099511627776 TiB, tebibyte | 1125899906842624 PiB, pebibyte
        125 kbit, kb, kilobit | 125000 Mbit, Mb, megabit | 125e6 Gbit, Gb, gigabit | 125e9 Tbit, Tb, terabit""",
    "energy": """
        1 J, joule | 1000 kJ, kilojoule | 1e6 MJ, megajoule | 1e9 GJ, gigajoule | 3600 Wh, watt hour, watt-hour
        3.6e6 kWh, kilowatt hour, kilowatt-hour | 3.6e9 MWh, megawatt hour, megawatt-hour | 4.184 cal, calorie
        4184 kcal, Cal, kilocalorie, food calorie | 1055.05585262 BTU, btu, british thermal unit
        1.602176634e-19 eV, electronvolt | 1.3558179483314004 ft lb, ft·lbf, foot pound, foot-pound""",
    "power": """
        1 W, watt | 1/1000 mW, milliwatt | 1000 kW, kilowatt | 1e6 MW, megawatt | 1e9 GW, gigawatt
        745.69987158227022 hp, horsepower | 735.49875 PS, metric horsepower""",
    "pressure": """
        1 Pa, pascal | 100 hPa, hectopascal | 1000 kPa, kilopascal | 1e6 MPa, megapascal | 1e5 bar
        100 mbar, millibar | 101325 atm, atmosphere, standard atmosphere | 6894.757293168361 psi, pound/square inch
        101325/760 Torr, torr | 133.322387415 mmHg, mm hg, millimeter of mercury
        3386.388640341 inHg, in hg, inch of mercury""",
    "force": """
        1 N, newton | 1000 kN, kilonewton | 4.4482216152605 lbf, pound force, pound-force
        9.80665 kgf, kilogram force""",
    "angle": """
        1 rad, radian | 0.017453292519943295 °, deg, degree | 0.015707963267948967 gon, grad, gradian
        0.0002908882086657216 arcmin, arc minute | 4.84813681109536e-6 arcsec, arc second
        6.283185307179586 turn, revolution, full circle""",
    "frequency": "1 Hz, hertz | 1000 kHz, kilohertz | 1e6 MHz, megahertz | 1e9 GHz, gigahertz | 1/60 rpm",
}
_OFFSETS = {"°C": Fraction("273.15"), "°F": Fraction("459.67") * Fraction(5, 9)}
_PLURALS = {"foot": "feet", "inch": "inches", "century": "centuries", "hertz": "hertz", "celsius": "celsius"}


def _factor(text: str) -> Fraction:
    top, _, bottom = text.partition("/")
    return Fraction(top) / Fraction(bottom or "1")


def _read_table() -> tuple[dict[str, _Unit], dict[str, _Unit]]:
    by_symbol: dict[str, _Unit] = {}
    by_name: dict[str, _Unit] = {}
    for kind, lines in _TABLE.items():
        for entry in lines.replace("\n", " | ").split("|"):
            if not entry.strip():
                continue
            factor, _, names = entry.strip().partition(" ")
            symbol, *others = (name.strip() for name in names.split(","))
            unit = _Unit(symbol, kind, _factor(factor), _OFFSETS.get(symbol, Fraction(0)))
            for name in (symbol, *others):
                by_symbol[name] = unit
                for form in (name, *_plurals(name)):
                    by_name.setdefault(_plain(form), unit)
    return by_symbol, by_name


def _plurals(name: str) -> list[str]:
    """`meters/second` for meter/second, `feet` for foot; a symbol has none."""
    first, slash, rest = name.partition("/")
    words = first.split(" ")
    if len(words[-1]) < 3:
        return []
    plural = _PLURALS.get(words[-1], f"{words[-1]}s")
    return [" ".join((*words[:-1], plural)) + slash + rest]


_BY_SYMBOL, _BY_NAME = _read_table()
