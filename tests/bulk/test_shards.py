from hypothesis import given
from hypothesis import strategies as st

from kogner.bulk.shards import Cut, cut
from kogner.records import Document

lengths = st.lists(st.integers(0, 30), max_size=40)


@given(lengths, st.integers(1, 5), st.integers(1, 40), st.integers(5, 30))
def test_every_document_is_in_one_shard_in_its_order(lengths, documents, characters, longest):
    given_ = [Document(str(number), "x" * length) for number, length in enumerate(lengths)]
    limits = Cut(documents, characters, longest)
    shards = list(cut(given_, limits, input=3))
    assert [document.id for shard in shards for document in shard.documents] == [one.id for one in given_]
    assert [shard.key for shard in shards] == [(3, number) for number in range(len(shards))]
    at = 0
    for shard in shards:
        assert shard.first == at and 1 <= len(shard.documents) <= documents
        for place, document in enumerate(shard.documents):
            too_long = lengths[at + place] > longest
            assert (place in shard.refused) == too_long
            assert document.text == ("" if too_long else given_[at + place].text)
        assert sum(len(one.text) for one in shard.documents[:-1]) < characters
        at += len(shard.documents)
    odd = {shard.number: len(shard.documents) for shard in shards if shard.number % 2}
    assert list(cut(given_, limits, input=3, done=odd)) == [shard for shard in shards if shard.number not in odd]
    other = {number: count - 1 for number, count in odd.items()}
    assert list(cut(given_, limits, input=3, done=other)) == shards
