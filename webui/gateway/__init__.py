"""The settings page of the gateway: where a project's calls go, and what they may cost."""
