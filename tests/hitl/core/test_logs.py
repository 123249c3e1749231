import pytest

from hitl.core.logs import hide_secrets


class TestHideSecrets:
    @pytest.mark.parametrize(
        "event",
        [
            {"password": "correct horse"},
            {"api_token": "x"},
            {"event": "key hitl_0123456789abcdefghijKLMNOP used"},
            {"header": "Authorization: Bearer abc.def"},
            {"url": "postgresql://hitl:canary-hitl_0123456789abcdefghijKLMNOP@db/hitl"},
            {"path": "/reset/0123456789abcdefghijKLMNOP"},
            {"path": "/invitation/0123456789abcdefghijKLMNOP"},
            {"path": "/sign-in?next=%2Finvitation%2F0123456789abcdefghijKLMNOP"},
        ],
    )
    def test_it_hides_what_must_not_be_read(self, event: dict[str, str]) -> None:
        canaries = ("correct horse", "0123456789abcdefghij", "abc.def", "canary")
        hidden = hide_secrets(None, "info", dict(event))

        assert hidden != event
        assert not any(canary in str(value) for value in hidden.values() for canary in canaries)

    def test_it_leaves_other_words_alone(self) -> None:
        event = {"event": "lease expired", "count": 3}

        assert hide_secrets(None, "info", dict(event)) == event
