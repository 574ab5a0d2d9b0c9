"""Text to tokens, in one pass and in time that grows with the text alone.

A token is what a phrase can be made of: a word, a number, a single sign of a script written without spaces.
Quoted text is one opaque token: it is never an order, whatever stands in it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from mcp_server.language.addresses import addresses, medium_of

WORD: Final = "word"
NUMBER: Final = "number"
RATIO: Final = "ratio"
SIZE: Final = "size"
ID: Final = "id"
QUOTE: Final = "quote"
ADDRESS: Final = "address"
"""A web address or a file: its key is what kind of medium its ending says."""
MARK: Final = "mark"
"""A sign or emoji: it means nothing here, but it belongs to the text."""
CLAUSE: Final = "clause"
COLON: Final = "colon"
SENTENCE: Final = "sentence"
OPENING: Final = "opening"
CLOSING: Final = "closing"


class Token(NamedTuple):
    """A piece of the text, with the key that phrases are looked up by."""

    key: str
    start: int
    end: int
    kind: str
    glued: bool
    """Written together with the token before, so that both are one word to a reader: `4` and `k`, `Kling-Video`."""


_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
"""Full-width signs are their plain selves; the text keeps its length, so places in it stay true."""

_KANA = "\u3040-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_HANGUL = "\uac00-\ud7a3\u1100-\u11ff\u3130-\u318f"
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u3005\u3007"
_NEVER = "(?!)"
_LETTER = rf"[^\W\d_{_KANA}{_HANGUL}{_HAN}]"


def _pattern(elisions: Iterable[str], possessives: Iterable[str]) -> re.Pattern[str]:
    """The tokens of a text, in a grammar that writes these words elided ("d'") and these endings apart ("'s")."""
    elided = "|".join(map(re.escape, elisions)) or _NEVER
    ending = "|".join(re.escape(ending.lstrip("'")) for ending in possessives) or _NEVER
    return re.compile(
        rf"""
        (?P<size>\d{{3,4}}[x×*]\d{{3,4}}(?!\d))
      | (?P<ratio>(?<![\d.])(?<!\d:)\d{{1,2}}(?:[:/x×]|\ [:x×]\ )\d{{1,2}}(?![\d:.]\d|\d))
      | (?P<number>\d{{1,9}}(?:\.\d{{1,9}})?)
      | (?P<elision>(?:{elided})['’](?={_LETTER}))
      | (?P<possessive>(?<=\w)['’](?:{ending})(?!\w))
      | (?P<word>{_LETTER}+(?:['’](?!(?:{ending})\b){_LETTER}+)*)
      | (?P<sign>[{_KANA}{_HANGUL}{_HAN}])
      | (?P<flag>--+)
      | (?P<join>[-_‐‑/](?=\w))
      | (?P<space>\s)
        """,
        re.VERBOSE | re.IGNORECASE,
    )


_JOINED_RUN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]++(?:[-._/]++[A-Za-z0-9]++)+")
"""What an id can look like: every one of them has a joint."""

_SIGNS: Final = {
    sign: kind
    for kind, signs in (
        (CLAUSE, ",;、|·・→—–-~〜•/"),
        (COLON, ":="),
        (SENTENCE, ".!?。…\n"),
        (OPENING, "([{【〔¿¡"),
        (CLOSING, ")]}】〕"),
    )
    for sign in signs
}
_INVISIBLE: Final = frozenset(("Cf", "Cc", "Mn", "Me"))

_CLOSERS: Final = {
    '"': re.compile('"'),
    "“": re.compile("[”“]"),
    "”": re.compile("”"),
    "„": re.compile("[“”]"),
    "«": re.compile("»"),
    "‹": re.compile("›"),
    "「": re.compile("」"),
    "『": re.compile("』"),
    "《": re.compile("》"),
    "`": re.compile("`"),
    "‘": re.compile(r"’(?!\w)"),
    "'": re.compile(r"(?<=\S)'(?!\w)"),
}


def composed(text: str) -> str:
    """The text with each letter in one piece."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def plain(text: str) -> str:
    """A composed text as it is compared: full-width signs are plain ones, and every place stays where it was."""
    return text if text.isascii() else text.translate(_WIDE)


def fold(word: str) -> str:
    """How words are compared: without case, and without accents in alphabets that have them."""
    word = word.casefold().replace("’", "'")
    if word.isascii():
        return word
    return "".join(sign for sign in unicodedata.normalize("NFD", word) if unicodedata.category(sign) != "Mn")


_Matcher = Callable[[str, int], re.Match[str] | None]


class Tokeniser:
    """Cuts texts, and the phrases they are compared with, into tokens in one and the same way."""

    def __init__(self, elisions: Iterable[str], possessives: Iterable[str]) -> None:
        self._match = _pattern(elisions, possessives).match

    def tokens(self, text: str, is_id: Callable[[str], bool]) -> list[Token]:
        """The tokens of a `plain` text. `is_id` says whether a run such as `kling-v3-pro` is a vendor's own id."""
        return _Scan(self._match, text, _whole(text, is_id), quotes=True).run()

    def phrase(self, phrase: str) -> tuple[list[str], int]:
        """The keys a phrase is found by, and how many of them are written in one piece with the first."""
        if phrase.isascii() and phrase.replace(" ", "").isalpha():
            return phrase.lower().split(), 1
        text = plain(composed(phrase))
        # "d'" is a word of its own only before another, "'s" only after one.
        before, after = text.startswith("'"), text.endswith("'")
        found = _Scan(self._match, f"{'x' * before}{text}{'x' * after}", {}, quotes=False).run()
        found = found[before : len(found) - after]
        return [token.key for token in found], next(
            (at for at in range(1, len(found)) if not found[at].glued), len(found)
        )

    def first_keys(self, phrases: Iterable[str]) -> frozenset[str]:
        """The first key of each phrase: what a word is compared with where only the first decides."""
        return frozenset(keys[0] for phrase in phrases if (keys := self.phrase(phrase)[0]))


def _whole(text: str, is_id: Callable[[str], bool]) -> dict[int, Token]:
    """What is one token whatever stands in it, vendors' ids, addresses and files, by its place."""
    found = {
        run.start(): Token(run.group(), run.start(), run.end(), ID, glued=False)
        for run in _JOINED_RUN.finditer(text)
        if is_id(run.group())
    }
    for start, end in addresses(text).items():
        found[start] = Token(medium_of(text[start:end]), start, end, ADDRESS, glued=False)
    return found


class _Scan:
    def __init__(self, match: _Matcher, text: str, whole: Mapping[int, Token], *, quotes: bool) -> None:
        self.match = match
        self.text = text
        self.whole = whole
        self.quotes = quotes
        self.tokens: list[Token] = []
        self.unclosed: set[str] = set()
        """Opening quotes known to have no partner further on: each kind is looked for in vain only once."""
        self.joined = -1
        """Where a hyphen ended that joins what comes next to what came before."""
        self.word_end = -1
        """Where the last word, number or id ended: what begins there touches it."""

    def run(self) -> list[Token]:
        text, match, whole = self.text, self.match, self.whole
        at = 0
        while at < len(text):
            if text[at] == " ":
                at += 1
            elif (token := whole.get(at)) is not None:
                self.tokens.append(token)
                at = token.end
                self.word_end = at if token.kind == ID else -1
            else:
                found = match(text, at)
                at = self._other(at) if found is None else self._take(found)
        return self.tokens

    def _take(self, found: re.Match[str]) -> int:
        start, end = found.span()
        group = found.lastgroup or ""
        kind = _KINDS.get(group)
        if kind is not None:
            key = found.group() if group in _EXACT else fold(found.group())
            glued = start in (self.joined, self.word_end) and (start == self.joined or self._is_one_word(start, group))
            self.tokens.append(Token(key, start, end, kind, glued))
            self.word_end = end
        elif group == "join" and start == self.word_end:
            self.joined = end
        elif group != "space":
            self.tokens.append(Token(found.group(), start, end, CLAUSE, glued=False))
        elif found.group() == "\n":
            self.tokens.append(Token("\n", start, end, SENTENCE, glued=False))
        return end

    def _is_one_word(self, start: int, group: str) -> bool:
        """Whether what begins here, right after another word, is part of it to a reader."""
        before, here = self.text[start - 1], self.text[start]
        if group == "sign":
            return _script(before) == _script(here) != ""
        han = "\u3040" <= before <= "\u309f" or "\u3400" <= before <= "\u9fff"
        return _script(before) == "" and before not in "'’" and not han

    def _other(self, at: int) -> int:
        sign = self.text[at]
        end = at + 1
        if self.quotes and (closed := self._quote(at)):
            medium = medium_of(self.text[at + 1 : closed - 1])
            self.tokens.append(Token(medium, at, closed, ADDRESS if medium else QUOTE, glued=False))
            return closed
        kind = _SIGNS.get(sign, MARK)
        if kind != MARK or unicodedata.category(sign) not in _INVISIBLE:
            self.tokens.append(Token(sign, at, end, kind, glued=False))
        return end

    def _quote(self, at: int) -> int:
        """Where the quotation that opens here closes; 0 when nothing is quoted here."""
        sign = self.text[at]
        closer = _CLOSERS.get(sign)
        if closer is None or sign in self.unclosed:
            return 0
        if sign in "'‘`" and at and (self.text[at - 1].isalnum() or self.text[at + 1 : at + 2].isspace()):
            return 0
        found = closer.search(self.text, at + 1)
        if found is None:
            self.unclosed.add(sign)
            return 0
        return found.end()


_KINDS: Final = {
    "size": SIZE, "ratio": RATIO, "number": NUMBER, "elision": WORD, "possessive": WORD, "word": WORD, "sign": WORD,
}  # fmt: skip
"""What a group of the pattern finds."""
_EXACT: Final = frozenset(("number", "sign"))
"""Groups whose text has no case and no accents to be folded."""


def _script(sign: str) -> str:
    """Scripts whose words are written in one piece, although each sign is a token of its own."""
    if "\u30a0" <= sign <= "\u30ff" or "\uff66" <= sign <= "\uff9f":
        return "katakana"
    return "hangul" if "\uac00" <= sign <= "\ud7a3" else ""
