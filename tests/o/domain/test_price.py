"""What a request costs: cached tokens are part of the prompt, reasoning is part of the reply."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o.domain.model import Usage
from o.domain.price import Price, cost

PLAIN = Price(Decimal(3), Decimal(15))
CACHING = Price(Decimal(3), Decimal(15), cached_input=Decimal("0.3"), cache_write=Decimal("3.75"))

BANDED = Price(Decimal(3), Decimal(15), long_prompt=(1000, Price(Decimal(6), Decimal(30))))


@pytest.mark.parametrize(
    ("price", "usage", "usd"),
    [
        (PLAIN, Usage(), "0"),
        (PLAIN, Usage(prompt_tokens=1_000_000), "3"),
        (PLAIN, Usage(completion_tokens=1_000_000, reasoning_tokens=900_000), "15"),
        (PLAIN, Usage(prompt_tokens=1000, cached_input_tokens=600, cache_write_tokens=300), "0.003"),
        (CACHING, Usage(prompt_tokens=1000, cached_input_tokens=1000), "0.0003"),
        (CACHING, Usage(prompt_tokens=1000, cache_write_tokens=1000), "0.00375"),
        # 100 at 3, 600 at 0.3, 300 at 3.75, 10 at 15
        (CACHING, Usage(1000, 10, cached_input_tokens=600, cache_write_tokens=300), "0.001755"),
        (CACHING, Usage(prompt_tokens=10, cached_input_tokens=1000), "0.0003"),
        (Price(Decimal(0), Decimal(0)), Usage(1000, 1000), "0"),
        (BANDED, Usage(1000, 1), "0.003015"),
        (BANDED, Usage(1001, 1), "0.006036"),
    ],
)
def test_costs(price: Price, usage: Usage, usd: str) -> None:
    assert cost(price, usage) == Decimal(usd)


@given(st.lists(st.tuples(*[st.integers(0, 10**7)] * 4), max_size=20))
def test_the_cost_of_many_requests_is_the_cost_of_their_sum(counts: list[tuple[int, int, int, int]]) -> None:
    usages = [
        Usage(plain + read + written, reply, cached_input_tokens=read, cache_write_tokens=written)
        for plain, read, written, reply in counts
    ]
    whole = Usage(
        sum(usage.prompt_tokens for usage in usages),
        sum(usage.completion_tokens for usage in usages),
        cached_input_tokens=sum(usage.cached_input_tokens for usage in usages),
        cache_write_tokens=sum(usage.cache_write_tokens for usage in usages),
    )
    assert sum((cost(CACHING, usage) for usage in usages), Decimal(0)) == cost(CACHING, whole)
