"""Batches without padding against transformers' padded ones, and where batches are cut."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.annotate.test_packing import DTYPES, ENCODERS

from kogner.annotate import attention, unpadded
from kogner.annotate.batching import MOST_PADDED, batches, cuts
from kogner.annotate.engine import Engine
from kogner.annotate.packing import can_pack, prepared
from kogner.student.encoder import Encoder

needs_onednn = pytest.mark.skipif(not can_pack(), reason="this build of torch has no oneDNN linear layers")
LENGTHS = {
    "sorted": [24, 21, 21, 9, 2, 1],
    "in any order": [3, 24, 9, 9, 17, 3, 9],
    "one length": [7, 7, 7],
    "one text": [19],
}


@pytest.fixture(autouse=True)
def ours(monkeypatch):
    """Our attention is tested on processors too where torch's own is faster."""
    monkeypatch.setattr(attention, "pays", lambda dtype: True)


def encoders(kind, hidden=32):
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(kind, **ENCODERS[kind])).eval()
    return Encoder(model, hidden).eval()


def unpadded_of(encoder, dtype=torch.float32):
    ready = prepared(encoder, dtype=dtype)
    assert unpadded.fits(ready)
    assert unpadded.register()
    return unpadded.UnpaddedEncoder(ready)


@needs_onednn
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("kind", unpadded.KINDS)
def test_vectors_are_those_of_transformers_with_padding(kind, lengths, dtype, monkeypatch):
    monkeypatch.setattr(unpadded, "A_GROUP", 4)  # so that a few texts make several groups
    encoder = encoders(kind, hidden=20)  # with a projection
    found = unpadded_of(encoder, dtype)
    sizes = torch.tensor(LENGTHS[lengths])
    ids = torch.randint(4, 60, (len(sizes), int(sizes.max())))
    mask = (torch.arange(ids.shape[1]) < sizes[:, None]).long()
    ids = ids.masked_fill(mask == 0, 0)
    index = torch.stack([torch.zeros_like(sizes), sizes // 2, sizes - 1], 1)
    tolerance = 2e-5 if dtype == torch.float32 else 0.1
    with torch.inference_mode():
        for name, arguments in (("tokens", ()), ("at", (index,)), ("pooled", ())):
            expected, ours = (getattr(one, name)(ids, mask, *arguments).float() for one in (encoder, found))
            if name == "tokens":
                assert not ours[mask == 0].any()
                expected, ours = expected[mask == 1], ours[mask == 1]
            torch.testing.assert_close(ours, expected, atol=tolerance, rtol=tolerance)


@needs_onednn
def test_tokens_that_the_model_has_no_row_for_are_unknown():
    encoder = encoders("bert")
    encoder.unknown = 5
    ids, mask = torch.tensor([[7, 60, 8], [9, 61, 0]]), torch.tensor([[1, 1, 1], [1, 1, 0]])
    with torch.inference_mode():
        expected, found = encoder.tokens(ids, mask), unpadded_of(encoder).tokens(ids, mask)
    torch.testing.assert_close(found[mask == 1], expected[mask == 1], atol=2e-5, rtol=2e-5)


@needs_onednn
def test_threads_do_not_see_each_others_texts():
    encoder = encoders("bert")
    ready = unpadded_of(encoder)
    torch.manual_seed(1)
    work = []
    for length in range(2, 26):
        ids = torch.randint(4, 60, (5, length))
        work.append((ids, (torch.arange(length) < torch.tensor([length, 1, length, 2, 1])[:, None]).long()))

    def read(pair):
        with torch.inference_mode():
            return ready.tokens(*pair)

    alone = [read(pair) for pair in work]
    with ThreadPoolExecutor(4) as pool:
        for expected, found in zip(alone * 4, pool.map(read, work * 4), strict=True):
            torch.testing.assert_close(found, expected)


@needs_onednn
@pytest.mark.parametrize("kind", sorted(ENCODERS.keys() - set(unpadded.KINDS)))
def test_other_kinds_are_padded(kind):
    assert not unpadded.fits(prepared(encoders(kind)))


@needs_onednn
def test_the_model_itself_stays_as_it_is(tiny_student):
    before = tiny_student.text_encoder.model.config._attn_implementation
    engine = Engine(tiny_student)
    assert isinstance(engine.reader.text_encoder, unpadded.UnpaddedEncoder)
    assert type(tiny_student.text_encoder) is Encoder
    assert tiny_student.text_encoder.model.config._attn_implementation == before
    assert before not in (unpadded.NAME, attention.NAME)
    assert engine.each is None


@pytest.mark.parametrize("seed", range(20))
def test_groups_hold_every_sub_token_once(seed):
    draw = np.random.default_rng(seed)
    lengths = draw.integers(1, 40, draw.integers(1, 30))
    seen = []
    for group in unpadded.groups(lengths):
        rows = group.rows if group.places is None else group.places
        assert group.here is None or torch.equal(rows, torch.arange(group.here.start, group.here.stop))
        assert group.mask is None or int(group.mask.sum()) == len(rows)
        seen += rows.tolist()
    assert sorted(seen) == list(range(lengths.sum()))


def windows_of(lengths):
    return [(number, SimpleNamespace(encoded=SimpleNamespace(ids=[0] * length))) for number, length in lengths]


@pytest.mark.parametrize("seed", range(30))
def test_padded_batches_are_cut_where_that_costs_least(seed):
    draw = np.random.default_rng(seed)
    lengths = np.sort(draw.integers(1, 60, draw.integers(1, 11)))[::-1]
    budget, each = int(draw.integers(10, 200)), int(draw.integers(0, 60))

    def cost(ends):
        starts = [0, *ends[:-1]]
        padded = [int(lengths[start]) * (end - start) for start, end in zip(starts, ends, strict=True)]
        allowed = all(size <= budget or end - start == 1 for size, start, end in zip(padded, starts, ends, strict=True))
        return sum(padded) + each * len(ends) if allowed else None

    ways = (
        [*inner, len(lengths)]
        for count in range(len(lengths))
        for inner in itertools.combinations(range(1, len(lengths)), count)
    )
    best = min(found for way in ways if (found := cost(way)) is not None)
    assert cost(cuts(lengths, budget=budget, each=each)) == best


@pytest.mark.parametrize("seed", range(20))
def test_batches_without_padding_are_full_and_bounded(seed):
    draw = np.random.default_rng(seed)
    lengths = sorted(draw.integers(1, 300, draw.integers(1, 80)).tolist(), reverse=True)
    found = list(batches(windows_of(enumerate(lengths)), token_budget=500))
    assert [number for batch in found for number, _ in batch] == list(range(len(lengths)))
    sizes = [[len(window.encoded.ids) for _, window in batch] for batch in found]
    for size, following in zip(sizes, [*sizes[1:], None], strict=True):
        assert len(size) == 1 or (sum(size) <= 500 and len(size) * size[0] <= MOST_PADDED * 500)
        if following is not None:  # no room for another
            assert sum(size) + following[0] > 500 or (len(size) + 1) * size[0] > MOST_PADDED * 500
    assert list(batches([], token_budget=500)) == []
    assert list(batches([], token_budget=500, each=9)) == []
