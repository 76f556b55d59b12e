"""How many tokens a text takes, at most, without a vocabulary: a bound on the safe side for every known tokenizer.

Method: a text is measured by what costs tokens (its words by length, capitals, seldom letters, digits, punctuation,
runs of white space, characters by script) and each measure has a price per tokenizer. Seldom letters tell prose from
noise: where j, q, x and z are frequent, as in keys and base64, a word is no word and breaks into pairs of letters.

The prices were found by linear programming: the least sum of bound/exact over 8,800 pieces of 250 to 1,500 characters
(chat, manuals, messages of programs in 36 languages, 13 programming and markup languages, logs, hex, base64, UUIDs,
numbers, emoji, white space, random letters and punctuation), so that bound >= 1.04 x exact. Exact were the
vocabularies themselves (o200k, cl100k, Llama 3, Qwen 3 from quicktok-v1 0.4.0; SmolLM2 from its GGUF file) and, for
Claude, whose tokenizer is not published, the larger count of its two generations in ctok 1.3.0, which reproduces
recorded answers of Anthropic's count_tokens. `bound` is for tokenizers nobody named: the largest of the five open ones.
Claude's newest generation takes up to 1.35 times the tokens of the one before (Anthropic's migration guide to Opus
4.7; 1.47 was measured by others); its prices hold for both.

Measured, bound/exact on average:
                  o200k  cl100k  llama3  qwen  claude  bound
  English prose    1.30    1.31    1.30  1.29    1.41   1.44
  code             1.35    1.35    1.34  1.33    1.34   1.36
  JSON             1.31    1.30    1.28  1.28    1.41   1.52
  hex, base64      1.35    1.35    1.34  1.28    1.52   1.31
  numbers          1.33    1.31    1.30  1.18    1.31   1.20
  Chinese          1.36    1.45    1.33  1.33    1.20   1.27
  Russian          1.73    1.83    1.96  1.85    1.65   1.44
  Hindi            1.44    1.69    3.07  1.60    2.36   2.36
Of pieces the programme had not seen, 0.3 % were above the bound, by 14 % at worst; of all pieces of one kind taken
together none was (lowest 1.03). Left out were Hangul syllables and ideographs drawn at random, which nobody writes:
they take more than twice as much. It is a bound of experience, no proof: who exceeds a window is told so by the vendor.
"""

import math
import re
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Mapping

TokenCounter = Callable[[str], int]

# Latin words break where a capital begins one, as vendors' vocabularies do: `parseHTTPBody` is parse, HTTPB, ody.
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_NUMBER = re.compile(r"[0-9]+")
_LINE = re.compile(r"-{5,}|={5,}|_{5,}|\*{5,}|#{5,}|\.{5,}")  # vocabularies have these long; others seldom
_SPACE = re.compile(r" {2,}|\t+|(?:\r?\n)+|\r")

# The first code point of each range of scripts that cost alike, and its name in the table.
_SCRIPTS = (
    (0x0080, "latin"),
    (0x0250, "ipa"),
    (0x0370, "greek"),
    (0x0400, "cyrillic"),
    (0x0530, "armenian"),
    (0x0590, "hebrew"),
    (0x0600, "arabic"),
    (0x0700, "other"),
    (0x0900, "indic"),
    (0x0E00, "thai"),
    (0x0E80, "other"),
    (0x1E00, "latin extended"),
    (0x2000, "marks"),
    (0x2100, "symbols"),
    (0x3000, "cjk marks"),
    (0x3040, "kana"),
    (0x3100, "symbols"),
    (0x3400, "rare han"),
    (0x4E00, "han"),
    (0xA000, "other"),
    (0xAC00, "hangul"),
    (0xD7B0, "other"),
    (0xF900, "rare han"),
    (0xFB00, "other"),
    (0xFF00, "full width"),
    (0x10000, "astral"),
)
_STARTS = [start for start, _ in _SCRIPTS]

# Tokens for one of what `_measure` finds, by tokenizer. `bound` covers SmolLM2 too.
_TOKENIZERS = ("o200k", "cl100k", "llama3", "qwen", "claude", "bound")
_PRICES = {
    "text": (2.00, 2.00, 2.00, 2.00, 2.00, 2.00),
    "word": (0.87, 0.93, 0.88, 0.87, 1.22, 1.20),
    "letter 4-7": (0.02, 0.00, 0.00, 0.00, 0.34, 0.05),
    "letter 8-12": (0.53, 0.57, 0.65, 0.62, 0.72, 0.88),
    "letter 13+": (0.20, 0.23, 0.24, 0.23, 1.06, 0.31),
    "letter jqxz": (1.89, 1.75, 1.61, 1.60, 2.55, 1.98),
    "letter kvwb": (0.74, 0.86, 0.95, 1.01, 0.87, 0.41),
    "capital": (0.11, 0.11, 0.12, 0.12, 0.71, 0.18),
    "number": (0.23, 0.55, 0.54, 0.20, 0.41, 0.20),
    "digit group": (1.19, 0.65, 0.68, 0.20, 1.41, 0.20),
    "digit": (0.14, 0.29, 0.28, 1.16, 0.00, 1.16),
    "punctuation": (0.73, 0.72, 0.71, 0.72, 1.01, 0.88),
    "repeated": (0.05, 0.05, 0.05, 0.05, 0.17, 0.07),
    "space run": (0.98, 0.84, 0.84, 0.85, 1.28, 1.02),
    "space after 8": (0.13, 0.14, 0.14, 0.14, 0.07, 0.26),
    "control": (1.00, 1.04, 1.04, 1.04, 1.00, 1.04),
    "latin": (1.23, 1.77, 1.68, 1.86, 1.00, 2.10),
    "ipa": (2.10, 2.10, 2.10, 1.96, 1.75, 2.08),
    "greek": (0.50, 1.21, 0.49, 1.11, 1.02, 1.18),
    "cyrillic": (0.50, 0.86, 0.67, 0.68, 0.73, 1.23),
    "armenian": (0.48, 2.26, 2.10, 1.22, 0.90, 2.24),
    "hebrew": (0.59, 1.21, 1.23, 0.57, 0.86, 1.34),
    "arabic": (0.49, 1.28, 0.91, 0.95, 1.12, 1.63),
    "other": (3.06, 3.10, 3.08, 3.10, 2.84, 3.14),
    "indic": (0.57, 2.09, 2.09, 1.85, 2.19, 3.29),
    "thai": (0.56, 1.08, 0.59, 0.72, 1.12, 2.04),
    "latin extended": (0.89, 0.80, 0.80, 0.80, 1.61, 1.36),
    "marks": (2.30, 2.69, 2.41, 2.14, 1.77, 2.43),
    "symbols": (2.00, 2.00, 2.00, 2.00, 2.65, 2.00),
    "cjk marks": (1.00, 2.80, 1.00, 1.66, 2.43, 3.30),
    "kana": (1.29, 1.59, 1.24, 1.10, 1.48, 2.06),
    "rare han": (3.30, 3.30, 3.30, 3.30, 4.00, 3.30),
    "han": (1.12, 1.55, 1.11, 1.04, 1.23, 2.08),
    "hangul": (1.05, 1.65, 1.05, 1.15, 1.60, 3.10),  # a tenth above what was found, on messages with much English
    "full width": (1.57, 1.89, 1.51, 1.04, 2.85, 2.44),
    "astral": (3.82, 3.82, 3.81, 2.66, 4.16, 3.86),
}
_PRICE_OF: Mapping[str, Mapping[str, float]] = {
    tokenizer: {found: prices[column] for found, prices in _PRICES.items()}
    for column, tokenizer in enumerate(_TOKENIZERS)
}

# Tokens of the largest picture a model reads. Claude from 4.7 on: 4,784 (platform.claude.com, Vision), before it 1,600.
# OpenAI at detail `high`: 2,500 patches x 1.2 (2,942 measured). Llama 3.2 and 4: four tiles of 1,601 (Together's docs).
_IMAGE = 3000
_IMAGE_OF = {"claude": 4784, "llama3": 6404}


def bound(text: str, tokenizer: str = "bound") -> int:
    """Tokens of a text, on the safe side. Takes any string, in time linear in its length (5 to 20 MB/s).

    Args:
        tokenizer: one that has prices here; any other name is priced as `bound`.
    """
    if not text:
        return 0
    price = _PRICE_OF.get(tokenizer, _PRICE_OF["bound"])
    return math.ceil(sum(price[found] * amount for found, amount in _measure(text).items()))


def image_bound(tokenizer: str) -> int:
    """Tokens of one picture, whatever its size."""
    return _IMAGE_OF.get(tokenizer, _IMAGE)


def _kind(char: str) -> str | None:
    """What a character counts as by itself; None where it only counts within its word or run."""
    code = ord(char)
    if code >= 0x80:
        return _SCRIPTS[bisect(_STARTS, code) - 1][1]
    if char.isdigit():
        return "digit"
    if char in " \t\r\n" or char.isalpha():
        return None
    return "control" if code < 0x20 or code == 0x7F else "punctuation"


def _measure(text: str) -> Counter[str]:
    """What of a text costs tokens, and how much of it there is."""
    found = Counter[str](text=1)
    for char, times in Counter(text).items():
        if (kind := _kind(char)) is not None:
            found[kind] += times
        elif char in "jqxzJQXZ":
            found["letter jqxz"] += times
        elif char in "kvwbKVWB":
            found["letter kvwb"] += times
        if "A" <= char <= "Z":
            found["capital"] += times
    for length, times in Counter(map(len, _WORD.findall(text))).items():
        found["word"] += times
        found["letter 4-7"] += times * min(max(length - 3, 0), 4)
        found["letter 8-12"] += times * min(max(length - 7, 0), 5)
        found["letter 13+"] += times * max(length - 12, 0)
    for length, times in Counter(map(len, _NUMBER.findall(text))).items():
        found["number"] += times
        found["digit group"] += times * math.ceil(length / 3)
    for length, times in Counter(map(len, _LINE.findall(text))).items():
        found["punctuation"] -= times * (length - 4)
        found["repeated"] += times * (length - 4)
    for length, times in Counter(map(len, _SPACE.findall(text))).items():
        found["space run"] += times
        found["space after 8"] += times * max(length - 8, 0)
    return found
