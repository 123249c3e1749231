"""Headers that keep captured text, which is hostile text, from doing anything but being read."""

from flask import Flask, Response, request

# No `unsafe-*`, no inline script or style, nothing from elsewhere; the icons' sprite counts as an image.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)

PERMISSIONS_POLICY = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer",
        "camera",
        "display-capture",
        "geolocation",
        "gyroscope",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "usb",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # A link in captured text must not tell its target which item is under review.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": PERMISSIONS_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

ONE_YEAR = "max-age=31536000"


def harden(response: Response) -> Response:
    """Add the security headers to a response; what a view has set itself stays.

    Answers are not stored by browsers or proxies unless the view says they may be: nearly every page shows captured
    text, and one left out by mistake would stay on a shared machine.
    """
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", ONE_YEAR)
    return response


def register_security(app: Flask) -> None:
    """Add the security headers to every response of the application."""
    app.after_request(harden)
