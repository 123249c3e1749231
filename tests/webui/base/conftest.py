import os
import threading
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from tests.webui.base.parts_app import make_app
from tests.webui.base.payloads import storable_payloads


@pytest.fixture
def app():
    return make_app(storable_payloads())


@pytest.fixture
def client(app):
    app.config["WTF_CSRF_ENABLED"] = False
    return app.test_client()


@pytest.fixture
def store(app):
    return app.extensions["drafts"]


@pytest.fixture
def address(app):
    """The address of the application behind a real socket."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import sync_playwright

    path = os.environ.get("HITL_TEST_CHROMIUM", "/usr/bin/chromium")
    if not Path(path).exists():
        if os.environ.get("CI"):
            pytest.fail(f"Chromium is missing at {path}")
        pytest.skip(f"NOT TESTED: Chromium is missing at {path}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, address):
    """A page of its own whose errors and violations of the security policy fail the test."""
    context = chromium.new_context(base_url=address, viewport={"width": 1280, "height": 800})
    page = context.new_page()
    said = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text) if "Content Security Policy" in message.text else None)
    yield page
    context.close()
    assert not said
