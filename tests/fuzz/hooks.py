"""What Schemathesis asks us while it makes requests: real names for some of the addresses that it makes up.

Read by its command through SCHEMATHESIS_HOOKS; FUZZ_NAMES holds, by parameter, what there is, as JSON.
"""

import json
import os
import zlib
from typing import Any

import schemathesis

NAMES: dict[str, list[str]] = json.loads(os.environ.get("FUZZ_NAMES", "{}"))
KEPT_SHARE = 8  # one in so many stays as it was made up


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Let most addresses lead somewhere; which, depends on nothing but what was made up, so that a seed repeats it."""
    for name, made_up in (path_parameters or {}).items():
        known = NAMES.get(name)
        chosen = zlib.crc32(repr(made_up).encode())
        if known and chosen % KEPT_SHARE:
            path_parameters[name] = known[chosen // KEPT_SHARE % len(known)]  # type: ignore[index]
    return path_parameters
