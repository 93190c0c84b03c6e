"""Values that a JSON Schema accepts: judging a candidate, making up the least one.

Known: type, enum, const, default, anyOf/oneOf/allOf/not, $ref inside of the document, the limits of numbers, strings,
arrays and objects, pattern (see patterns.py) and the common formats. Not known, and so never kept on purpose:
if/then/else, dependent*, unevaluated*, propertyNames, contains. The full validator (jsonschema) belongs to the toolkit;
this is a stand-in model's idea of a schema, with a budget, because schemas come from strangers.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

from agentrt.engine.message import JsonObject, JsonValue
from agentrt.models.demo.scalars import (
    finite,
    is_same,
    is_type,
    is_within,
    number_fits,
    numbers,
    text_fits,
    texts,
    whole,
)

_BUDGET = 4_000
_MAX_DEPTH = 24
_MAX_ITEMS = 256
_ALL_TYPES = ("string", "number", "boolean", "array", "object", "null")
_KEYWORD_TYPES = (
    ("object", ("properties", "required", "additionalProperties", "minProperties", "patternProperties")),
    ("array", ("items", "prefixItems", "minItems", "maxItems", "uniqueItems")),
    ("string", ("minLength", "maxLength", "pattern", "format")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
)
_UPPER_LIMITS = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_LOWER_LIMITS = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})


class Blueprint:
    """One schema document and a budget of steps for working with it. Make a new one for each request."""

    def __init__(self, root: JsonObject, *, checks_formats: bool = True) -> None:
        self.root = root
        self.checks_formats = checks_formats
        self._budget = _BUDGET

    def resolve(self, schema: JsonValue) -> JsonObject:
        """The schema with $ref followed and allOf folded in; `true` and what cannot be found become {}."""
        if not isinstance(schema, dict):
            return {}
        if "$ref" not in schema and "allOf" not in schema:
            return schema
        return self._fold(schema, set())

    def types(self, schema: JsonObject) -> tuple[str, ...]:
        """The types a resolved schema allows, the likeliest first."""
        named = schema.get("type")
        if isinstance(named, str):
            return (named,)
        if isinstance(named, list):
            return tuple(name for name in named if isinstance(name, str)) or _ALL_TYPES
        for type_, keywords in _KEYWORD_TYPES:
            if any(keyword in schema for keyword in keywords):
                return (type_,)
        return _ALL_TYPES

    def options(self, schema: JsonObject) -> list[JsonObject]:
        """The alternatives of a resolved schema (anyOf, oneOf), each complete; [schema] when it has none."""
        for key in ("anyOf", "oneOf"):
            branches = schema.get(key)
            if isinstance(branches, list) and branches:
                rest: JsonObject = {name: value for name, value in schema.items() if name != key}
                return [_merge(self.resolve(branch), rest) for branch in branches if branch is not False]
        return [schema]

    def accepts(self, value: JsonValue, schema: JsonValue, depth: int = 0) -> bool:
        """Whether value is valid, by the keywords that are known here. Out of budget counts as yes."""
        if schema is False:
            return False
        self._budget -= 1
        if self._budget < 0 or depth > _MAX_DEPTH or not isinstance(schema, dict):
            return True
        schema = self.resolve(schema)
        if not any(is_type(value, type_) for type_ in self.types(schema)) and "type" in schema:
            return False
        if "const" in schema and not is_same(value, schema["const"]):
            return False
        enum = schema.get("enum")
        if isinstance(enum, list) and not any(is_same(value, allowed) for allowed in enum):
            return False
        return self._keeps_limits(value, schema, depth) and self._keeps_branches(value, schema, depth)

    def minimal(self, schema: JsonValue, depth: int = 0) -> JsonValue:
        """The least value the schema accepts; the best try when it accepts none that can be found here."""
        self._budget -= 1
        if self._budget < 0 or depth > _MAX_DEPTH:
            return None
        first: list[JsonValue] = []
        for candidate in self._candidates(self.resolve(schema), depth):
            if self.accepts(candidate, schema, depth):
                return candidate
            first = first or [candidate]
        return first[0] if first else None

    def _candidates(self, schema: JsonObject, depth: int) -> Iterator[JsonValue]:
        if "const" in schema:
            yield schema["const"]
        for key in ("enum", "examples"):
            listed = schema.get(key)
            if isinstance(listed, list):
                yield from listed
        if "default" in schema:
            yield schema["default"]
        options = self.options(schema)
        if options != [schema]:
            for option in sorted(options, key=lambda option: "null" not in self.types(option)):
                yield self.minimal(option, depth + 1)
        types = self.types(schema)
        for type_ in sorted(types, key=lambda name: name != "null") if "type" in schema else types:
            yield from self._of_type(type_, schema, depth)

    def _of_type(self, type_: str, schema: JsonObject, depth: int) -> Iterator[JsonValue]:
        match type_:
            case "null":
                yield None
            case "boolean":
                yield from (False, True)
            case "integer" | "number":
                yield from numbers(schema, is_integer=type_ == "integer")
            case "string":
                yield from texts(schema)
            case "array":
                yield self._array(schema, depth)
            case "object":
                yield self._object(schema, depth)

    def _array(self, schema: JsonObject, depth: int) -> JsonValue:
        n_items = min(whole(schema.get("minItems")), _MAX_ITEMS)
        leading, rest = _item_schemas(schema)
        items: list[JsonValue] = []
        for position in range(n_items):
            item = leading[position] if position < len(leading) else rest
            value = self.minimal(item, depth + 1)
            if schema.get("uniqueItems") is True and any(is_same(value, other) for other in items):
                value = self._another(item, items, value)
            items.append(value)
        return items

    def _another(self, item: JsonValue, taken: list[JsonValue], value: JsonValue) -> JsonValue:
        """A value for an item that is none of those taken, as far as simple steps find one."""
        resolved = self.resolve(item)
        enum = resolved.get("enum")
        step = resolved.get("multipleOf")
        variants: list[JsonValue] = list(enum) if isinstance(enum, list) else [False, True]
        for number in range(1, len(taken) + 2):
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                by = number * (step if isinstance(step, (int, float)) else 1)
                variants += [value + by, value - by]
            if isinstance(value, str):
                variants += [f"{value}{number}", f"{value[:-1]}{number}"]
        for variant in variants:
            if not any(is_same(variant, other) for other in taken) and self.accepts(variant, item):
                return variant
        return value

    def _object(self, schema: JsonObject, depth: int) -> JsonValue:
        properties = as_object(schema.get("properties"))
        needed = required_names(schema)
        values: JsonObject = {}
        for name in [
            *(name for name in properties if name in needed),
            *(name for name in needed if name not in properties),
        ]:
            values[name] = self.minimal(properties.get(name, schema.get("additionalProperties", {})), depth + 1)
        for name, property_ in properties.items():
            if len(values) >= whole(schema.get("minProperties")):
                break
            values.setdefault(name, self.minimal(property_, depth + 1))
        for number in range(len(values), min(whole(schema.get("minProperties")), _MAX_ITEMS)):
            values.setdefault(f"key_{number + 1}", self.minimal(schema.get("additionalProperties", {}), depth + 1))
        return values

    def _keeps_branches(self, value: JsonValue, schema: JsonObject, depth: int) -> bool:
        any_of, one_of = schema.get("anyOf"), schema.get("oneOf")
        if isinstance(any_of, list) and not any(self.accepts(value, branch, depth + 1) for branch in any_of):
            return False
        if isinstance(one_of, list) and sum(self.accepts(value, branch, depth + 1) for branch in one_of) != 1:
            return False
        return "not" not in schema or not self.accepts(value, schema["not"], depth + 1)

    def _keeps_limits(self, value: JsonValue, schema: JsonObject, depth: int) -> bool:
        if isinstance(value, bool) or value is None:
            return True
        if isinstance(value, str):
            return text_fits(value, schema, checks_formats=self.checks_formats)
        if isinstance(value, list):
            return self._array_fits(value, schema, depth)
        if isinstance(value, dict):
            return self._object_fits(value, schema, depth)
        return number_fits(value, schema)

    def _array_fits(self, value: list[JsonValue], schema: JsonObject, depth: int) -> bool:
        if not is_within(len(value), schema, "minItems", "maxItems"):
            return False
        if schema.get("uniqueItems") is True and any(is_same(a, b) for i, a in enumerate(value) for b in value[:i]):
            return False
        leading, rest = _item_schemas(schema)
        return all(
            self.accepts(item, leading[i] if i < len(leading) else rest, depth + 1) for i, item in enumerate(value)
        )

    def _object_fits(self, value: JsonObject, schema: JsonObject, depth: int) -> bool:
        if not is_within(len(value), schema, "minProperties", "maxProperties"):
            return False
        properties = as_object(schema.get("properties"))
        other = schema.get("additionalProperties", {}) if "patternProperties" not in schema else {}
        return all(name in value for name in required_names(schema)) and all(
            self.accepts(item, properties.get(name, other), depth + 1) for name, item in value.items()
        )

    def _fold(self, schema: JsonObject, seen: set[str]) -> JsonObject:
        # Every reference once: folding it in again changes nothing, and cycles end.
        folded: JsonObject = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
        parts: list[JsonValue] = []
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in seen:
            seen.add(reference)
            parts.append(self._look_up(reference))
        all_of = schema.get("allOf")
        if isinstance(all_of, list):
            parts += all_of
        for part in parts:
            if isinstance(part, dict):
                folded = _merge(self._fold(part, seen), folded)
        return folded

    def _look_up(self, reference: str) -> JsonValue:
        found: JsonValue = self.root
        if not reference.startswith("#"):
            return {}
        for step in unquote(reference[1:]).split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and name.isdecimal() and int(name[:6]) < len(found):
                found = found[int(name[:6])]
            elif isinstance(found, dict):
                found = found.get(name, {})
            else:
                return {}
        return found


def as_object(value: JsonValue) -> JsonObject:
    """The value when it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def required_names(schema: JsonObject) -> list[str]:
    """The `required` of a resolved schema, in its order, without what is not a name."""
    names = schema.get("required")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _item_schemas(schema: JsonObject) -> tuple[list[JsonValue], JsonValue]:
    """The schemas of the leading items, and the one of all others (`items` as a list is the older prefixItems)."""
    prefix, items = schema.get("prefixItems"), schema.get("items", {})
    if isinstance(items, list):
        return items, schema.get("additionalItems", {})
    return prefix if isinstance(prefix, list) else [], items


def _merge(first: JsonObject, second: JsonObject) -> JsonObject:
    """Both schemas at once, as far as one object can say it; second wins where they cannot be joined."""
    merged: JsonObject = {**first, **second}
    for key in first.keys() & second.keys():
        a, b = first[key], second[key]
        if key == "properties" and isinstance(a, dict) and isinstance(b, dict):
            merged[key] = {**a, **b, **{name: {"allOf": [a[name], b[name]]} for name in a.keys() & b.keys()}}
        elif key == "required" and isinstance(a, list) and isinstance(b, list):
            merged[key] = a + [name for name in b if name not in a]
        elif key in ("type", "enum"):
            ours, theirs = (value if isinstance(value, list) else [value] for value in (a, b))
            both = [value for value in theirs if any(is_same(value, other) for other in ours)]
            merged[key] = both or b
        elif key in _UPPER_LIMITS | _LOWER_LIMITS and finite(a) is not None and finite(b) is not None:
            merged[key] = (min if key in _UPPER_LIMITS else max)(finite(a) or 0, finite(b) or 0)
    return merged
