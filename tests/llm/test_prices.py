import pytest

from kogner.errors import ConfigError
from kogner.llm.cache import Cache
from kogner.llm.prices import FREE, Price, Prices, Spending, estimate
from kogner.llm.request import ModelId, Reply, Request


def test_the_shipped_table():
    prices = Prices.load()
    assert prices.date and len(prices.models) >= 10
    mini = prices.of(ModelId("openai", "gpt-4o-mini", "https://api.openai.com/v1"))
    assert mini == Price(0.15, 0.6) == prices.of(ModelId("openai", "gpt-4o-mini-2024-07-18"))
    assert prices.of(ModelId("anthropic", "claude-haiku-4-5-20251001")) == Price(1.0, 5.0)
    assert prices.of(ModelId("openai", "gpt-99")) is None
    assert prices.of(ModelId("local", "any.gguf@0")) == FREE
    assert mini.cost(1_000_000, 500_000) == pytest.approx(0.45)


def test_a_table_of_ones_own(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("date: 2026-01-01\nmodels:\n  http://localhost:8000/v1:m: [0, 1.5]\n")
    assert Prices.load(file).of(ModelId("http", "m", "http://localhost:8000/v1")) == Price(0, 1.5)
    for text in (
        "[]",
        "models: []",
        "models: {a: 1}",
        "models: {a: [1, -1]}",
        "models: {a: [1, true]}",
        "a: [",
        "x: 1",
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=r"p\.yaml"):
            Prices.load(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        Prices.load(tmp_path / "none.yaml")


def test_the_budget_counts_what_may_still_come():
    request = Request(ModelId("http", "m"), "", "a" * 36, max_tokens=100)  # 36 bytes + 64
    spending = Spending(Price(1e4, 1e4), max_cost=5.0)
    assert spending.most(request) == pytest.approx(2.0)
    spending.reserve(request)
    spending.reserve(request)
    assert not spending.fits(request) and spending.fits(request, alone=True)
    spending.release(request)
    spending.pay(Reply("", "stop", 50, 50))
    spending.pay(Reply("", "stop", 25, 25, cached=True))
    spending.release(request)
    assert (spending.paid, spending.earlier, spending.total) == (1.0, 0.5, 1.5)
    assert spending.fits(request)
    spending.lose(request)
    assert spending.lost == pytest.approx(2.0) and not spending.fits(request, alone=True)


def test_a_limit_needs_a_price():
    with pytest.raises(ConfigError, match=r"prices\.yaml"):
        Spending(None, max_cost=1.0)
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="dollars"):
            Spending(FREE, max_cost=wrong)


def test_a_dry_run(tmp_path):
    requests = [Request(ModelId("http", "m"), "a" * 30, f"{n:010}", max_tokens=50) for n in range(10)]
    with Cache(tmp_path / "a.db") as cache:
        for one in requests[:4]:
            cache.put(one, Reply("{}", "stop", 1, 1))
        found = estimate(iter(requests), Price(1.0, 2.0), cache)
    assert found.to_dict() == {
        "requests": 10, "cached": 4, "estimated_input_tokens": 60, "output_tokens_at_most": 300,
        "estimated_cost": pytest.approx(660e-6), "cost_at_most": pytest.approx((6 * (40 + 64) + 600) * 1e-6),
    }  # fmt: skip
    assert found.cost == pytest.approx(sum(Spending(Price(1.0, 2.0)).most(one) for one in requests[4:]))
    assert estimate(requests, None).cost is None
