import threading

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
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def page(browser, address):
    """A page of its own whose errors and violations of the security policy fail the test."""
    context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 800})
    page = context.new_page()
    said = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text) if "Content Security Policy" in message.text else None)
    yield page
    context.close()
    assert not said
