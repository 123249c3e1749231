"""The ways webhooks say no."""

from hitl.core.errors import Invalid


class UrlUnacceptable(Invalid):
    """Write the address of your application: https://…"""

    code = "url_unacceptable"


class KindsUnacceptable(Invalid):
    """Choose at least one of what can be told."""

    code = "kinds_unacceptable"


class TooManyWebhooks(Invalid):
    """A project has at most ten webhooks."""

    code = "too_many_webhooks"
