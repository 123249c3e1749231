"""A tool call's arguments: OpenAI's JSON text, or the object that chat templates want.

Templates write the arguments with `tojson`, so text would come out quoted twice (Qwen 2.5, Llama 3, gpt-oss) or fail
(most others); TRL's own examples hold an object. https://huggingface.co/docs/trl/dataset_formats#tool-calling
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from exporters.errors import RowRefused
from exporters.plain import ensure_plain


def arguments_for_datasets(text: Any, tool: str) -> dict[str, Any]:
    """The arguments as an object that `datasets` reads back as it was."""
    arguments = arguments_object(text, tool)
    ensure_numbers_survive(arguments, tool)
    return arguments


def arguments_text(text: Any, tool: str) -> str:
    """The arguments as they were captured, once they are known to be an object."""
    ensure_plain(arguments_object(text, tool), f"the arguments of {tool}")
    return str(text).strip() or "{}"


def arguments_object(text: Any, tool: str) -> dict[str, Any]:
    """The arguments as an object. Empty text means none, as providers send it for tools without parameters."""
    if isinstance(text, str) and not text.strip():
        return {}
    try:
        arguments = json.loads(text, object_pairs_hook=unique_members, parse_constant=no_constant)
    except (TypeError, ValueError, RecursionError) as error:
        raise RowRefused(f"the arguments of {tool} are no JSON text", "tool_arguments_not_json") from error
    if not isinstance(arguments, dict):
        raise RowRefused(f"the arguments of {tool} are JSON but no object", "tool_arguments_not_an_object")
    return arguments


def no_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")  # NaN and the infinities, which Python would read


def unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("the same name twice in one object")
    return members


def ensure_numbers_survive(value: Any, tool: str) -> None:
    """Refuse fractions that `datasets` would change on loading: {"price": 0.6} would train 0.6000000000000001."""
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for member in members:
        if isinstance(member, float) and not survives_loading(member):
            raise RowRefused(f"{member!r} in the arguments of {tool} changes on loading", "number_would_change")
        ensure_numbers_survive(member, tool)


def survives_loading(number: float) -> bool:
    """Whether `datasets` 5.2 reads back this number as it was written.

    Its `Json` columns go through pandas' ujson, which writes at most ten decimals and reads a fraction as
    whole + decimals * 10**-n, two roundings instead of none.
    Source: pandas/_libs/src/vendored/ujson/lib/ujsondec.c, createDouble; datasets/utils/json.py, json_encode_field.
    """
    if number == 0:
        return str(number) == "0.0"  # -0.0 loses its sign
    whole, _, decimals = repr(abs(number)).partition(".")
    if not (whole + decimals).isdecimal() or len(whole + decimals) > 15 or len(decimals) > 10:
        return False  # an exponent, an infinity, or more digits than it keeps
    return int(whole) + int(decimals) * TENTHS[len(decimals)] == abs(number)


# As ujson spells them: 10.0**-3 is not always the number that is written 0.001.
TENTHS = [float(f"1e-{n}") for n in range(11)]
