from datetime import date

import pytest

from cluster.keys import Endpoint, Price
from cluster.prices import _table, listed_price

OPENAI, GOOGLE = "https://api.openai.com/v1", "https://generativelanguage.googleapis.com/v1beta/openai"


def test_the_table_is_whole_and_dated():
    table = _table()
    assert len(table) >= 5
    for models in table.values():
        for known in models.values():
            price = known.price
            assert 0 < price.input <= price.output
            assert price.cached_input is None or 0 < price.cached_input < price.input
            assert known.as_of and date(2026, 1, 1) <= known.as_of <= date.today()


@pytest.mark.parametrize(
    ("url", "model", "price"),
    [
        (OPENAI, "gpt-4o-mini", Price(0.15, 0.6, 0.075)),
        (OPENAI, "gpt-4o-mini-2024-07-18", Price(0.15, 0.6, 0.075)),
        (OPENAI, "gpt-4o-2024-08-06", Price(2.5, 10, 1.25)),
        (OPENAI, "gpt-4o-2024-05-13", Price(5, 15)),
        ("https://API.openai.com:443/v1", "gpt-5-mini", Price(0.25, 2, 0.025)),
        (GOOGLE, "models/gemini-2.5-flash-lite", Price(0.1, 0.4, 0.01)),
        (GOOGLE, "gemini-2.5-flash-001", Price(0.3, 2.5, 0.03)),
        ("https://api.anthropic.com/v1/", "claude-haiku-4-5-20251001", Price(1, 5)),
        ("https://api.mistral.ai/v1", "mistral-small-2506", Price(0.1, 0.3)),
    ],
)
def test_a_model_is_found_at_its_providers_host_by_its_name_and_dated_versions(url, model, price):
    known = listed_price(url, model)
    assert known and known.price == price


@pytest.mark.parametrize(
    ("url", "model"),
    [
        ("http://127.0.0.1:8000/v1", "gpt-4o-mini"),
        ("https://openrouter.ai/api/v1", "gpt-4o-mini"),
        ("https://api.openai.com.example.org/v1", "gpt-4o-mini"),
        ("embedded", "gpt-4o-mini"),
        (OPENAI, "ft:gpt-4o-mini-2024-07-18:mine::a1"),
        (OPENAI, "gpt-4o-audio-preview"),
        (OPENAI, "gpt-6-sol"),
        ("https://api.mistral.ai/v1", "mistral-small-2312"),
        (OPENAI, "gemini-2.5-flash"),
    ],
)
def test_another_host_or_model_has_no_price(url, model):
    assert listed_price(url, model) is None


def test_cached_tokens_cost_what_they_cost():
    assert Price(2.0, 8.0, 0.5).cost(1000, 100, 400) == pytest.approx((600 * 2 + 400 * 0.5 + 100 * 8) / 1e6)
    assert Price(2.0, 8.0).cost(1000, 100, 400) == Price(2.0, 8.0).cost(1000, 100)


def test_each_model_of_an_endpoint_has_a_price_of_its_own():
    endpoint = Endpoint("e", "http://e", "m", [], {"judge": "big"}, price=Price(1, 2), role_prices={"big": Price(3, 4)})
    assert endpoint.price_for(endpoint.model_for("persona")) == Price(1, 2)
    assert endpoint.price_for(endpoint.model_for("judge")) == Price(3, 4)
    assert endpoint.price_for("other") is None
