"""Why a record was refused, in the words of whoever sent it: the field, its value, what is allowed.

`msgspec` names the place and the rule; the value is found by decoding the record once more without rules, which costs
time only for what is refused anyway.
"""

import re
from typing import Any

import msgspec

_PLACE = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_FIELD = re.compile(r"field `(?P<field>[^`]*)`")
_STEP = re.compile(r"\.(?P<name>\w+)|\[(?P<index>\d+)\]|\[\.\.\.\]")
LONGEST_VALUE = 60
TOO_DEEP = "value: nested too deeply"


def explain(kind: type, value: bytes, error: Exception, library: Any) -> str:
    """One line on why `library` (``msgspec.json`` or ``msgspec.msgpack``) could not decode `value` as `kind`.

    It begins with a field that the record has, or with ``value``, never with a name of the sender's own making.
    """
    try:
        return _explained(kind, value, str(error), library)
    except RecursionError:
        return TOO_DEEP


def _explained(kind: type, value: bytes, text: str, library: Any) -> str:
    place = _PLACE.search(text)
    rule = _PLACE.sub("", text)
    try:
        loose = library.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return f"value: {text[0].lower()}{text[1:]}" if text[:4] != "JSON" else f"value: {text}"
    path = place["path"].lstrip(".") if place and _is_known(kind, place["path"]) else ""
    if field := _FIELD.search(rule):
        name = field["field"]
        if rule.startswith("Object missing"):
            return f"{path}.{name}: missing" if path else f"{name}: missing"
        return f"{path or 'value'}: unknown field {_short(name)} (known: {_known(kind)})"
    if not path:
        return rule if not rule.startswith("Expected") else f"value: {rule[0].lower()}{rule[1:]}"
    found = _at(loose, place["path"] if place else "")
    return f"{path}: {_short(found)} {_rule(kind, path, rule)}"


def _rule(kind: type, path: str, rule: str) -> str:
    """The rule that a value broke, as the end of a sentence."""
    if bounds := _bounds(kind, path):
        match = re.match(r"Expected `(?:int|float)` [<>]=?", rule)
        if match:
            return f"is outside {bounds}"
    if match := re.match(r"Expected `str` matching regex '(?P<pattern>.*)'", rule):
        return f"has characters that are not allowed (allowed: {match['pattern']})"
    if match := re.match(r"Expected `(?P<type>\w+)` of length (?P<bound>[<>]=) (?P<n>\d+)", rule):
        word = "at most" if match["bound"] == "<=" else "at least"
        return f"has the wrong length ({word} {match['n']})"
    if match := re.match(r"Expected `(?P<wanted>.+)`, got `(?P<got>.+)`", rule):
        return f"is of type {match['got']}, expected {match['wanted']}"
    return f"is refused: {rule}"


def _bounds(kind: type, path: str) -> str | None:
    """``low..high`` of a numeric field, or of a list's elements."""
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    steps = [match["name"] for match in _STEP.finditer("." + path) if match["name"]]
    wanted = msgspec.inspect.type_info(fields[steps[0]]) if len(steps) == 1 and steps[0] in fields else None
    options = wanted.types if isinstance(wanted, msgspec.inspect.UnionType) else (wanted,)
    for option in options:
        inner = option.item_type if isinstance(option, msgspec.inspect.ListType) and "[" in path else option
        if isinstance(inner, msgspec.inspect.IntType | msgspec.inspect.FloatType):
            low = inner.ge if inner.ge is not None else inner.gt
            high = inner.le if inner.le is not None else inner.lt
            if low is not None and high is not None:
                return f"{low:g}..{high:g}" if isinstance(low, float) else f"{low}..{high}"
    return None


def _is_known(kind: type, path: str) -> bool:
    """Whether a place is in the record: a name of the sender's may be made to look like one."""
    first = _STEP.match(path)
    return first is not None and first["name"] in {f.encode_name for f in msgspec.structs.fields(kind)}


def _known(kind: type) -> str:
    return ", ".join(field.encode_name for field in msgspec.structs.fields(kind))


def _at(loose: Any, path: str) -> Any:
    for match in _STEP.finditer(path):
        if match["name"] is not None and isinstance(loose, dict):
            loose = loose.get(match["name"])
        elif match["index"] is not None and isinstance(loose, list):
            loose = loose[int(match["index"])]
    return loose


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."
