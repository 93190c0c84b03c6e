"""Word lists of the demo model. Data only; English, lower case unless a word is a name."""

from __future__ import annotations


def _words(lines: str) -> frozenset[str]:
    return frozenset(lines.split())


def _pairs(lines: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in lines.split())


STOP_WORDS = _words(
    """
    a about after again all also am an and any anybody anything are as at be because been before being but by
    can cannot could did do does doing done down each either else ever every everybody few for from further had
    has have having he her here hers herself him himself his how however i if in into is it its itself just
    kindly let like may maybe me might more most much must my myself no nor not now of off often on once one
    only onto or other ought our ours ourselves out over own per perhaps please quite rather really same shall
    she should since so some somebody something still such than that the their theirs them themselves then there
    these they this those though through thus to too under until up upon us very via was we were what whatever
    when where whether which while who whom whose why will with within without would yet yes you your yours
    yourself hey hi hello ok okay thanks thank i'm i'd i'll i've it's let's that's what's where's who's how's
    don't doesn't didn't can't won't isn't aren't you're there's whats im
    """
)

# Verbs and fillers that say nothing about which tool is meant.
GENERIC_WORDS = _words(
    """
    ask available based call check contain contains current currently default defaults describe details do
    example execute fetch format function get gets getting give given gives go going information kind know make
    makes model name names need needs number object optional output parameter particular provide provided
    provides put request requested result results retrieve return returned returns run see set show shows
    specific specified string tell tool try type use used useful user users uses using value values want wants
    way whole work works
    """
)

# Words that many tools share; they count, but less than the thing they act on.
ACTION_WORDS = _words(
    """
    add change create delete edit find list new open read remove update write
    """
)

SYNONYMS = tuple(
    line.split()
    for line in """weather forecast temperature climate sunny warm cold degrees snow wind
rain rainy raining precipitation umbrella
probability likelihood chance odds
calculate calculator calc compute computation math maths arithmetic evaluate solve equation expression
email mail e-mail inbox
buy purchase order
cancel abort revoke
delete remove erase drop
create add make new register
find search lookup look google query
price cost quote fee worth expensive
stock share ticker equity
time clock hour timezone oclock date day calendar today
currency money exchange fx dollars euros
convert conversion converter exchange change
translate translation translator
remind reminder alarm
schedule book booking reserve reservation appointment meeting event
note memo jot
picture image photo
sum add plus total addition
multiply times product multiplication
subtract minus difference subtraction
divide division quotient
refund reimburse reimbursement
customer client user
dice die roll
coin flip toss heads tails
distance far miles kilometers kilometres
light lamp lights
ticket issue bug
document file docs
summarize summarise summary
celsius metric centigrade
fahrenheit imperial
flight fly plane
hotel room accommodation
restaurant table dinner
message text sms
music song play
cheap low
high urgent critical""".splitlines()
)

_TO_TWENTY = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty
    """
_TENS = {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
NUMBER_WORDS = {word: value for value, word in enumerate(_TO_TWENTY.split())} | _TENS | {"dozen": 12}
NUMBER_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000}

_CURRENCY_CODES = _words("USD EUR GBP JPY CHF NOK SEK DKK INR CNY PLN CZK HUF CAD AUD NZD BRL MXN ZAR TRY KRW SGD HKD")
_CURRENCY_NAMES = """
    $=USD €=EUR £=GBP ¥=JPY dollar=USD dollars=USD bucks=USD euro=EUR euros=EUR pound=GBP pounds=GBP yen=JPY franc=CHF
    francs=CHF krone=NOK kroner=NOK rupee=INR rupees=INR yuan=CNY zloty=PLN
    """
CURRENCIES = _pairs(_CURRENCY_NAMES) | {code.lower(): code for code in _CURRENCY_CODES}

UNITS = _words(
    """
    km kilometer kilometers kilometre kilometres mi mile miles m meter meters metre metres cm centimeter
    centimeters centimetre centimetres mm millimeter millimeters in inch inches ft foot feet yd yard yards g
    gram grams kg kilogram kilograms kilo kilos lb lbs pound pounds oz ounce ounces t ton tons tonne tonnes l
    liter liters litre litres ml gallon gallons pint pints cup cups c f k celsius fahrenheit kelvin s sec second
    seconds min minute minutes h hour hours day days week weeks month months year years mph kph kmh °c °f b kb mb gb
    tb byte bytes
    """
)

LANGUAGES = _words(
    """
    english german french spanish italian portuguese dutch norwegian swedish danish finnish icelandic polish
    czech slovak hungarian romanian bulgarian greek turkish russian ukrainian arabic hebrew persian hindi
    bengali urdu chinese mandarin japanese korean vietnamese thai indonesian malay swahili latin esperanto
    """
)

COUNTRIES = _words(
    """
    argentina australia austria belgium brazil canada chile china colombia croatia denmark egypt england estonia
    finland france germany greece hungary iceland india indonesia ireland israel italy japan kenya latvia
    lithuania malaysia mexico morocco netherlands nigeria norway pakistan peru philippines poland portugal
    romania russia scotland serbia singapore slovakia slovenia spain sweden switzerland thailand tunisia turkey
    ukraine uk usa vietnam wales
    """
)

# First words of place names that are written in two: "new york" is read whole even in lower case.
PLACE_PREFIXES = _words(
    """
    new san santa los las saint st. st north south east west el la le rio cape hong tel sao port fort
    """
)

# What follows "in" or "for" and is no place.
NO_PLACES = _words(
    """
    morning evening afternoon night day days week weeks month months year advance detail general total fact case dinner
    lunch breakfast example instance free sure celsius fahrenheit percent least words one two three
    """
)

_EUROPE = """
    oslo=Oslo london=London paris=Paris berlin=Berlin munich=Berlin madrid=Madrid barcelona=Madrid rome=Rome milan=Rome
    lisbon=Lisbon vienna=Vienna zurich=Zurich amsterdam=Amsterdam brussels=Brussels warsaw=Warsaw prague=Prague
    dublin=Dublin stockholm=Stockholm copenhagen=Copenhagen helsinki=Helsinki athens=Athens istanbul=Istanbul
    moscow=Moscow kyiv=Kyiv budapest=Budapest
    """
_AMERICA = """
    new_york=New_York boston=New_York washington=New_York miami=New_York toronto=Toronto chicago=Chicago denver=Denver
    los_angeles=Los_Angeles san_francisco=Los_Angeles seattle=Los_Angeles vancouver=Vancouver mexico_city=Mexico_City
    bogota=Bogota lima=Lima santiago=Santiago sao_paulo=Sao_Paulo rio=Sao_Paulo buenos_aires=Argentina/Buenos_Aires
    """
_ASIA = """
    tokyo=Tokyo osaka=Tokyo seoul=Seoul beijing=Shanghai shanghai=Shanghai hong_kong=Hong_Kong singapore=Singapore
    bangkok=Bangkok jakarta=Jakarta manila=Manila delhi=Kolkata mumbai=Kolkata bangalore=Kolkata dubai=Dubai
    tehran=Tehran karachi=Karachi
    """
_AFRICA = "cairo=Cairo nairobi=Nairobi lagos=Lagos johannesburg=Johannesburg casablanca=Casablanca"
_OCEANS = """
    sydney=Australia/Sydney melbourne=Australia/Melbourne perth=Australia/Perth brisbane=Australia/Brisbane
    auckland=Pacific/Auckland honolulu=Pacific/Honolulu reykjavik=Atlantic/Reykjavik
    """
# City, lower case with underscores, to its IANA zone.
ZONES = _pairs(_OCEANS) | {
    city: f"{region}/{zone}"
    for region, cities in (("Europe", _EUROPE), ("America", _AMERICA), ("Asia", _ASIA), ("Africa", _AFRICA))
    for city, zone in _pairs(cities).items()
}

LISTS = {
    "fruit": "apple banana cherry mango orange pear plum grape kiwi fig",
    "vegetable": "carrot potato leek onion spinach pumpkin beetroot cabbage fennel pea",
    "colour": "red green blue yellow orange purple black white pink grey",
    "animal": "cat dog otter horse owl whale hedgehog fox goat bee",
    "city": "Oslo Rome Tokyo Nairobi Lima Paris Cairo Sydney Toronto Prague",
    "country": "Norway Italy Japan Kenya Peru France Egypt Australia Canada Chile",
    "planet": "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune",
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "month": "January February March April May June July August September October November December",
    "season": "spring summer autumn winter",
    "continent": "Africa Antarctica Asia Australia Europe America",
    "language": "Python Rust Go C Haskell Lisp Ruby Java Julia Lua",
    "instrument": "piano violin flute drums guitar cello oboe harp trumpet tuba",
    "bird": "owl robin swan crow heron wren puffin stork lark finch",
    "tree": "oak birch pine maple willow ash beech larch elm yew",
    "flower": "rose tulip lily daisy iris poppy peony dahlia orchid aster",
    "drink": "water tea coffee juice milk cocoa lemonade cider kefir mate",
    "number": "1 2 3 4 5 6 7 8 9 10",
}

JOKES = (
    "A demo model walks into a bar. “What will it be?” – “It depends on the regex.”",
    "Why did the script never lose an argument? Its arguments were always validated.",
    "I know a joke about streaming, but I can only tell it one word at a time.",
)
HAIKU = "Rules in a short file,\nno key, no network, no thought:\nthe stream still arrives."
