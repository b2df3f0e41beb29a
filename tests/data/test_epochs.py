from __future__ import annotations

import itertools

import numpy as np
import pytest

from kogner.data.batch import Example
from kogner.data.epochs import Readings, order, steps_of, stream, take
from kogner.student.encoder import Encoded

BEGIN, END = 101, 102


def sentence(words: int, *, document: int, mention: int | None = None, whole: bool = True) -> Example:
    """A sentence of words of two sub-tokens each, numbered by document so that they can be told apart."""
    inner = np.repeat(1000 * (document + 1) + np.arange(words), 2)
    spans = np.array([] if mention is None else [[mention, mention + 1, 0, 7]], dtype=np.int64).reshape(-1, 4)
    ids = np.concatenate([[BEGIN], inner, [END]])
    return Example(Encoded(ids, 1 + 2 * np.arange(words)), spans, np.array([True]), document=document, whole=whole)


@pytest.fixture
def corpus() -> list[Example]:
    """20 documents of 8 sentences, and a long sentence of the first that was cut in two."""
    made = [
        sentence(3 + (5 * document + number) % 9, document=document, mention=number % 2 or None)
        for document in range(20)
        for number in range(8)
    ]
    return [*made[:4], sentence(4, document=0, whole=False), sentence(5, document=0, whole=False), *made[4:]]


PLAIN = Readings()
JOINED = Readings(0.5, 100, (1, 1))


@pytest.mark.parametrize("readings", [PLAIN, JOINED])
def test_an_epoch_holds_every_sentence_once_and_depends_on_its_arguments_only(corpus, readings):
    first = order(corpus, batch_size=4, seed=1, epoch=0, readings=readings)
    assert sorted(i for batch in first for passage in batch for i in passage) == list(range(len(corpus)))
    assert order(corpus, batch_size=4, seed=1, epoch=0, readings=readings) == first
    assert order(corpus, batch_size=4, seed=1, epoch=1, readings=readings) != first
    assert order(corpus, batch_size=4, seed=2, epoch=0, readings=readings) != first


@pytest.mark.parametrize("readings", [PLAIN, JOINED])
def test_a_resumed_stream_goes_on_with_the_same_batches(corpus, readings):
    whole = list(itertools.islice(stream(corpus, batch_size=4, seed=1, start=0, readings=readings), 120))
    resumed = list(itertools.islice(stream(corpus, batch_size=4, seed=1, start=97, readings=readings), 23))
    assert whole[97:] == resumed


def test_passages_are_neighbours_of_one_document_within_the_limits(corpus):
    batches = order(corpus, batch_size=4, seed=1, epoch=0, readings=JOINED)
    passages = [passage for batch in batches for passage in batch]
    long = [passage for passage in passages if len(passage) > 1]
    documents = {corpus[passage.start].document for passage in long}
    assert 5 <= len(documents) <= 15
    for passage in long:
        assert all(corpus[i].whole for i in passage)
        assert len({corpus[i].document for i in passage}) == 1
    for batch in batches:
        assert sum(map(len, batch)) <= 4 or len(batch) == 1
        assert all(len(example.encoded.ids) <= 100 for example in take(corpus, batch, JOINED))


def test_a_passage_keeps_words_mentions_and_links(corpus):
    for batch in order(corpus, batch_size=4, seed=3, epoch=0, readings=JOINED):
        for passage, example in zip(batch, take(corpus, batch, JOINED), strict=True):
            parts = [corpus[i] for i in passage]
            assert example.sentences == len(parts)
            ids, first = example.encoded.ids, example.encoded.first
            assert ids[0] == BEGIN
            assert ids[-1] == END
            assert np.isin(ids[1:-1], (BEGIN, END)).sum() == 0
            assert ids[first].tolist() == [t for part in parts for t in part.encoded.ids[part.encoded.first]]
            found = [ids[first[a : b + 1]].tolist() for a, b, _, _ in example.spans]
            wanted = [p.encoded.ids[p.encoded.first[a : b + 1]].tolist() for p in parts for a, b, _, _ in p.spans]
            assert found == wanted
            assert (example.spans[:, 3] == 7).all()


def test_a_share_of_nothing_is_the_order_without_passages(corpus):
    plain = order(corpus, batch_size=4, seed=1, epoch=0)
    assert order(corpus, batch_size=4, seed=1, epoch=0, readings=Readings(0.0, 100, (1, 1))) == plain
    assert {len(passage) for batch in plain for passage in batch} == {1}


def test_steps_are_the_batches_of_their_epochs(corpus):
    def batches(epoch):
        return len(order(corpus, batch_size=4, seed=1, epoch=epoch, readings=JOINED))

    def steps(epochs):
        return steps_of(corpus, epochs=epochs, batch_size=4, seed=1, readings=JOINED)

    assert steps(3) == batches(0) + batches(1) + batches(2)
    assert steps(1.5) == batches(0) + round(batches(1) / 2)
    assert steps(0.001) == 1
    assert steps_of(corpus, epochs=2, batch_size=4, seed=1) == 2 * -(-len(corpus) // 4)
