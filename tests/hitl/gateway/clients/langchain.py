"""An application on LangChain's ChatOpenAI. Runs where LangChain is installed: see scripts/test-clients.

Reads calls from standard input, a line of JSON each, makes them, and writes what came of each.
"""

import json
import sys

import openai
from langchain_core.messages import convert_to_messages
from langchain_openai import ChatOpenAI


def make(call):
    chat = ChatOpenAI(
        model=call["model"],
        base_url=call["base_url"],
        api_key=call["api_key"],
        default_headers=call["headers"],
        max_retries=call["retries"],
        timeout=call["timeout_seconds"],
        stream_usage=False,
        extra_body={"user": call["user"], "metadata": call["metadata"]},
    )
    chat = chat.bind_tools(call["tools"]) if call["tools"] else chat
    messages = convert_to_messages(call["messages"])
    pieces = list(chat.stream(messages)) if call["stream"] else [chat.invoke(messages)]
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    tool_calls = [{"name": one["name"], "arguments": one["args"]} for one in whole.tool_calls]
    return {"text": whole.text, "tool_calls": tool_calls, "pieces": len(pieces)}


def outcome_of(call):
    try:
        return make(call)
    except openai.APIError as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {"error": kinds, "status": getattr(error, "status_code", None), "says": str(error)}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(outcome_of(json.loads(line))), flush=True)
