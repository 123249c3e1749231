"""All pages about accounts: each file adds its own to the blueprint."""

from webui.accounts import account, door, keys, members
from webui.accounts.blueprint import bp

__all__ = ["account", "bp", "door", "keys", "members"]
