"""What a model request costs, from its price and the tokens it used."""

from dataclasses import dataclass
from decimal import Decimal

from o.domain.model import Usage

_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a model in USD per million tokens, each ≥ 0.

    Attributes:
        cached_input: of prompt tokens that the provider read from its cache; None: as other input.
        cache_write: of prompt tokens that it wrote to its cache; None: as other input.
        long_prompt: for prompts of more tokens than the first, the second price holds for all of the request.
    """

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    long_prompt: tuple[int, "Price"] | None = None


def cost(price: Price, usage: Usage) -> Decimal:
    """USD of one model request, exact.

    `usage` is as every adapter gives it: `prompt_tokens` is the whole prompt, so it includes `cached_input_tokens` and
    `cache_write_tokens`, which do not overlap; `completion_tokens` includes `reasoning_tokens`, priced as output. Where
    a provider counts more cached tokens than prompt, nothing is left at the plain price.
    """
    if price.long_prompt is not None and usage.prompt_tokens > price.long_prompt[0]:
        price = price.long_prompt[1]
    cached_input = price.input if price.cached_input is None else price.cached_input
    cache_write = price.input if price.cache_write is None else price.cache_write
    plain = max(0, usage.prompt_tokens - usage.cached_input_tokens - usage.cache_write_tokens)
    return (
        plain * price.input
        + usage.cached_input_tokens * cached_input
        + usage.cache_write_tokens * cache_write
        + usage.completion_tokens * price.output
    ) / _MILLION
