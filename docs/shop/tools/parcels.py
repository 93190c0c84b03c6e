"""What a parcel costs: a tool that the server runs."""

from agentrt import tool

DAYS = {"Norway": 3, "Germany": 2, "Japan": 8}
BASE_EUR = {"Norway": 9.0, "Germany": 4.5, "Japan": 19.0}


@tool
def shipping_cost(weight_kg: float, country: str) -> str:
    """What it costs to send a parcel, and how long it takes.

    weight_kg: how heavy the parcel is, in kg.
    country: where it goes.
    """
    if country not in DAYS:
        raise ValueError(f"the shop does not send to {country}, only to {', '.join(DAYS)}")
    price_eur = BASE_EUR[country] + 1.6 * weight_kg
    return f"{weight_kg:g} kg to {country} cost {price_eur:.2f} EUR and take {DAYS[country]} days."
