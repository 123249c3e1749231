"""A bot that answers as somebody once did: it looks up the shipped STAR dialogues. It is no language model.

The answer is the one that an agent gave where the conversation before it is most like this one: the words of the newest
message count most, those of the message before it a little, rare words more than common ones (the weights of BM25).
"""

import math
import re
from collections import Counter, defaultdict
from functools import cache
from typing import Any, NamedTuple

from hitl.demo.real_data import star_exchanges

NAME = "star-retrieval"
LABEL = "Looks up what people answered in the STAR dialogues; no language model."
CONTEXT_WEIGHT = 0.3  # of the words before the newest message
SATURATION, LENGTH_SHARE = 1.2, 0.75  # k1 and b of BM25
NOTHING_LIKE_IT = "I am sorry, I do not know what to say to that."


class Answer(NamedTuple):
    """What the bot says."""

    text: str
    source: str | None  # the dialogue that it is from


class _Exchange(NamedTuple):
    words: Counter[str]
    length: int
    answer: Answer


class Bot:
    """An index of what was asked and how people answered it."""

    def __init__(self) -> None:
        self._exchanges = [
            _Exchange(words := Counter(_words(asked)), words.total(), Answer(answered, source))
            for source, asked, answered in star_exchanges()
        ]
        self._holding: dict[str, list[int]] = defaultdict(list)
        for place, exchange in enumerate(self._exchanges):
            for word in exchange.words:
                self._holding[word].append(place)
        self._usual_length = sum(exchange.length for exchange in self._exchanges) / len(self._exchanges)

    def answer(self, messages: list[dict[str, Any]]) -> Answer:
        """Return what was said to the words that are most like the newest ones of this conversation."""
        said = [
            str(message.get("content") or "") for message in messages if message.get("role") in ("user", "assistant")
        ]
        scores: dict[int, float] = defaultdict(float)
        for text, weight in ((said[-1] if said else "", 1.0), (" ".join(said[-3:-1]), CONTEXT_WEIGHT)):
            for word in set(_words(text)):
                self._score(word, weight, scores)
        if not scores:
            return Answer(NOTHING_LIKE_IT, None)
        earlier = set(said)
        best = sorted(scores, key=lambda place: (-scores[place], place))[:10]
        fresh = [place for place in best if self._exchanges[place].answer.text not in earlier]
        return self._exchanges[(fresh or best)[0]].answer

    def _score(self, word: str, weight: float, scores: dict[int, float]) -> None:
        places = self._holding.get(word, ())
        rarity = math.log(1 + (len(self._exchanges) - len(places) + 0.5) / (len(places) + 0.5))
        for place in places:
            exchange = self._exchanges[place]
            count = exchange.words[word]
            damping = SATURATION * (1 - LENGTH_SHARE + LENGTH_SHARE * exchange.length / self._usual_length)
            scores[place] += weight * rarity * count * (SATURATION + 1) / (count + damping)


@cache
def bot() -> Bot:
    """Return the bot, whose index is made once."""
    return Bot()


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())
