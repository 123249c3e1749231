"""All pages about accounts: each file adds its own to the blueprint."""

from webui.accounts import account, door, invitations, keys, members, settings
from webui.accounts.blueprint import bp

__all__ = ["account", "bp", "door", "invitations", "keys", "members", "settings"]
