"""Linear layers through oneDNN give what torch's own give, forwards and backwards."""

from __future__ import annotations

import time

import pytest
import torch
from torch.nn import functional

from kogner.train.linear import linear

pytestmark = pytest.mark.skipif(
    not hasattr(torch.ops.mkldnn, "_linear_pointwise"), reason="this torch was built without oneDNN"
)
# A sum of 384 products of numbers near 1, in another order: float32 keeps 7 digits of it.
TOLERANCE = {"atol": 2e-4, "rtol": 1e-4}


def gradients(multiply, x, weight, bias) -> list[torch.Tensor]:
    given = [None if t is None else t.detach().clone().requires_grad_() for t in (x, weight, bias)]
    result = multiply(*given)
    # Unequal weights, so that each gradient is a sum of its own.
    (result * torch.linspace(-1, 1, result.numel()).view_as(result)).sum().backward()
    return [result.detach(), *(t.grad for t in given if t is not None)]


@pytest.mark.parametrize("shape", [(7, 384), (2, 5, 384), (3, 1, 4, 384), (1, 384)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_result_and_gradients_are_those_of_torch(shape, with_bias):
    torch.manual_seed(0)
    x, weight = torch.randn(shape), torch.randn(96, 384)
    bias = torch.randn(96) if with_bias else None
    for ours, theirs in zip(
        gradients(linear, x, weight, bias), gradients(functional.linear, x, weight, bias), strict=True
    ):
        torch.testing.assert_close(ours, theirs, **TOLERANCE)


def test_strided_arguments():
    torch.manual_seed(0)
    wide = torch.randn(64, 768, requires_grad=True)
    x = torch.randn(10, 6, 384).transpose(0, 1)
    expected = functional.linear(x, wide[:, 384:])
    torch.testing.assert_close(linear(x, wide[:, 384:]), expected, **TOLERANCE)
    (wanted,) = torch.autograd.grad(expected.sum(), wide)
    (found,) = torch.autograd.grad(linear(x, wide[:, 384:]).sum(), wide)
    torch.testing.assert_close(found, wanted, **TOLERANCE)


def test_a_slice_of_a_weight_is_no_slower():
    # Given as it lies, it took a thousand times as long (oneDNN's reference implementation).
    wide = torch.randn(512, 768)
    x, whole = torch.randn(32, 384), wide[:, :384].contiguous()
    times = []
    for weight in (whole, wide[:, :384]):
        begun = time.process_time()
        for _ in range(3):
            linear(x, weight)
        times.append(time.process_time() - begun)
    assert times[1] < 20 * times[0] + 0.05


def test_only_what_is_asked_for_is_computed():
    x, weight = torch.randn(4, 8), torch.randn(3, 8, requires_grad=True)
    linear(x, weight).sum().backward()
    assert x.grad is None
    frozen = torch.randn(3, 8)
    seen = torch.randn(4, 8, requires_grad=True)
    linear(seen, frozen).sum().backward()
    assert seen.grad is not None and frozen.grad is None
