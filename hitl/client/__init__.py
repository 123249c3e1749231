"""Sends what a model answered in production, and what its users said, from the program where it happens.

    client = Client()  # HITL_URL, HITL_KEY, HITL_PROJECT
    client.capture(messages=[{"role": "user", "content": "When do you open?"}], output="At nine.", model="bot-4")

For conversations that people may step into while they go on, see hitl/client/live.py.

Calls return at once and raise nothing: rows wait in bounded memory, a thread in the background sends them. This package
imports nothing but Python's own library, so that it weighs nothing in the program that uses it.
"""

from hitl.client.client import Client
from hitl.client.limits import Limits, Misconfigured
from hitl.client.live import LiveClient, LiveRefused, LiveUnreachable
from hitl.client.problems import Problem
from hitl.client.statistics import Statistics

__all__ = [
    "Client",
    "Limits",
    "LiveClient",
    "LiveRefused",
    "LiveUnreachable",
    "Misconfigured",
    "Problem",
    "Statistics",
]
