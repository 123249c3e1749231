"""An application on LiteLLM. Runs where LiteLLM is installed: see scripts/test-clients.

Reads calls from standard input, a line of JSON each, makes them, and writes what came of each.
"""

import json
import sys

sys.path.pop(0)  # this file's folder, in which this file would be found as `litellm`

import litellm
import openai


def make(call):
    answer = litellm.completion(
        model=f"openai/{call['model']}",
        api_base=call["base_url"],
        api_key=call["api_key"],
        messages=call["messages"],
        stream=call["stream"],
        user=call["user"],
        allowed_openai_params=["user"],  # else it is left out for models that LiteLLM does not know
        extra_headers=call["headers"],
        extra_body={"metadata": call["metadata"]},
        max_retries=call["retries"],
        timeout=call["timeout_seconds"],
        **({"tools": call["tools"]} if call["tools"] else {}),
    )
    pieces = list(answer) if call["stream"] else [answer]
    whole = litellm.stream_chunk_builder(pieces) if call["stream"] else answer
    message = whole.choices[0].message
    tool_calls = [
        {"name": one.function.name, "arguments": json.loads(one.function.arguments)} for one in message.tool_calls or ()
    ]
    return {"text": message.content or "", "tool_calls": tool_calls, "pieces": len(pieces)}


def outcome_of(call):
    try:
        return make(call)
    except openai.APIError as error:  # LiteLLM's own are made from these
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {"error": kinds, "status": getattr(error, "status_code", None), "says": str(error)}


if __name__ == "__main__":
    outcomes, sys.stdout = sys.stdout, sys.stderr  # LiteLLM prints hints of its own
    for line in sys.stdin:
        print(json.dumps(outcome_of(json.loads(line))), file=outcomes, flush=True)
