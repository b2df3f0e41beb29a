from __future__ import annotations

import numpy as np
import pytest
import yaml

from kogner.config import Recipe, TrainConfig
from kogner.data.batch import Example
from kogner.errors import ConfigError
from kogner.mapping import from_mapping, to_mapping
from kogner.recipe import load_recipe
from kogner.student.encoder import Encoded
from kogner.train.sampling import OWN_NAME, SIBLING, Sampler, within

TYPES = ["chemical", "disease", "gene", "species"]
MASK = 4


def example(kinds=(), known=(0, 1, 2, 3), words=6) -> Example:
    """Two sub-tokens a word, one special token on each side; a mention of one word per kind."""
    ids = np.arange(100, 100 + 2 * words + 2)
    spans = np.array([(at, at, kind, -1) for at, kind in enumerate(kinds)], dtype=np.int64).reshape(-1, 4)
    return Example(Encoded(ids, np.arange(1, 2 * words, 2)), spans, np.isin(np.arange(4), known))


def sampler(**settings) -> Sampler:
    return Sampler(TrainConfig(**settings), TYPES, mask_id=MASK, specials=(1, 1))


def test_without_options_a_step_sees_its_sentences_as_they_are():
    examples = [example([0, 1]), example()]
    view = sampler().view(examples, step=3)
    assert view.labels == TYPES
    assert all(a is b for a, b in zip(view.examples, examples, strict=True))
    assert view.siblings is None


def test_gold_types_are_always_scored_and_others_up_to_the_limit():
    draws = sampler(max_types=2)
    seen = set()
    for step in range(40):
        view = draws.view([example([2]), example([], known=(1, 2))], step=step)
        assert len(view.labels) == 2
        assert "gene" in view.labels
        seen |= set(view.labels)
        at = view.labels.index("gene")
        assert view.examples[0].spans[0, 2] == at
        known = [TYPES.index(label) in (1, 2) for label in view.labels]
        assert view.examples[1].types.tolist() == known
    assert seen == set(TYPES)


def test_more_gold_types_than_the_limit_are_all_kept():
    view = sampler(max_types=1).view([example([0, 1, 3])], step=0)
    assert view.labels == ["chemical", "disease", "species"]
    assert view.examples[0].spans[:, 2].tolist() == [0, 1, 2]


def test_types_that_no_sentence_of_the_step_annotates_are_not_drawn():
    draws = sampler(max_types=3)
    for step in range(20):
        assert set(draws.view([example([0], known=(0, 1))], step=step).labels) == {"chemical", "disease"}


def test_a_view_depends_on_seed_and_step_alone():
    settings = {
        "max_types": 2, "mask_words": 0.5, "label_names": {"chemical": ("drug",)},
        "label_siblings": {"chemical": ("food",)},
    }  # fmt: skip
    examples = [example([0]), example([0], words=9)]

    def shown(seed, step):
        view = sampler(seed=seed, **settings).view(examples, step=step)
        return view.labels, [e.encoded.ids.tolist() for e in view.examples]

    assert shown(0, 7) == shown(0, 7)
    assert len({str(shown(seed, step)) for seed in range(3) for step in range(3)}) == 9


def test_a_type_goes_by_its_own_name_half_of_the_time():
    draws = sampler(label_names={"chemical": ("drug", "chemical compound")})
    found = [draws.view([example([0])], step=step).labels for step in range(400)]
    assert {tuple(labels[1:]) for labels in found} == {tuple(TYPES[1:])}
    share = {
        name: sum(labels[0] == name for labels in found) / 400 for name in ("chemical", "drug", "chemical compound")
    }
    assert share["chemical"] == pytest.approx(OWN_NAME, abs=0.08)
    assert share["drug"] == pytest.approx((1 - OWN_NAME) / 2, abs=0.08)
    assert sum(share.values()) == 1


def test_a_sibling_is_added_now_and_then_and_only_beside_a_mention_of_its_type():
    draws = sampler(label_siblings={"gene": ("protein family", "gene expression")})
    added = 0
    for step in range(200):
        assert draws.view([example([0])], step=step).labels == TYPES
        view = draws.view([example([0]), example([2])], step=step)
        assert view.labels[:4] == TYPES
        extra = view.labels[4:]
        added += len(extra)
        if extra:
            assert extra[0] in ("protein family", "gene expression")
            assert np.argwhere(view.siblings).tolist() == [[2, 4]]
            assert not any(e.types[4] for e in view.examples)  # no corpus annotates it
        else:
            assert view.siblings is None
    assert added / 200 == pytest.approx(SIBLING, abs=0.1)


def test_a_sibling_that_is_a_type_of_the_run_needs_no_label_of_its_own():
    view = sampler(label_siblings={"gene": ("species",)}).view([example([2])], step=0)
    assert view.labels == TYPES
    assert np.argwhere(view.siblings).tolist() == [[2, 3]]


def test_masking_replaces_whole_words_and_nothing_else():
    draws = sampler(mask_words=0.3)
    before = example([1], words=5)
    share = []
    for step in range(200):
        ids = draws.view([before], step=step).examples[0].encoded.ids
        masked = ids == MASK
        assert not masked[0]
        assert not masked[-1]
        words = masked[1:-1].reshape(5, 2)
        assert (words[:, 0] == words[:, 1]).all()
        assert (ids[~masked] == before.encoded.ids[~masked]).all()
        share.append(words[:, 0].mean())
    assert np.mean(share) == pytest.approx(0.3, abs=0.05)


def test_the_longest_labels_bound_every_view():
    draws = sampler(label_names={"chemical": ("chemical compound", "drug")}, label_siblings={"gene": ("a", "a family")})
    assert draws.longest(len) == ["chemical compound", "disease", "gene", "species", "a family"]


def test_the_longest_labels_are_those_of_most_sub_tokens_and_each_sibling_counts_once():
    names, siblings = {"chemical": ("drug", "a b c")}, {"gene": ("x y z", "u"), "disease": ("x y z", "v w")}
    draws = sampler(label_names=names, label_siblings=siblings)

    def count(label: str) -> int:
        return len(label.split())

    assert draws.longest(count) == ["a b c", "disease", "gene", "species", "v w", "x y z"]
    examples = [example([1, 2])]
    most = max(sum(map(count, draws.view(examples, step=step).labels)) for step in range(300))
    assert most == sum(map(count, draws.longest(count)))


def in_a_row(**settings) -> Sampler:
    return Sampler(TrainConfig(**settings), TYPES, mask_id=MASK, specials=(1, 1), in_a_row=True)


def test_a_uni_encoder_sees_its_types_shuffled_with_all_that_belongs_to_them():
    draws = in_a_row(drop_types=0.0, label_siblings={"gene": ("family", "species")})
    examples = [example([2, 0], known=(0, 2)), example([1], known=(1, 3))]
    orders, with_sibling = set(), 0
    for step in range(200):
        view = draws.view(examples, step=step)
        assert sorted(view.labels) == sorted([*TYPES, *(["family"] if "family" in view.labels else [])])
        for seen, before in zip(view.examples, examples, strict=True):
            names = [view.labels[kind] for kind in seen.spans[:, 2]]
            assert names == [TYPES[kind] for kind in before.spans[:, 2]]
            known = {label for label, is_known in zip(view.labels, seen.types, strict=True) if is_known}
            assert known == {name for name, is_known in zip(TYPES, before.types, strict=True) if is_known}
        excluded = {(view.labels[a], view.labels[b]) for a, b in np.argwhere(view.siblings)}
        assert excluded == {("gene", "species")} | ({("gene", "family")} if "family" in view.labels else set())
        orders.add(tuple(label for label in view.labels if label in TYPES))
        with_sibling += view.labels[-1] == "family"
    assert len(orders) == 24
    assert 0 < with_sibling < 0.3 * 200  # nor does a sibling always stand at the end


def test_a_uni_encoder_does_not_always_see_all_types():
    draws = in_a_row(drop_types=0.3)
    examples = [example([0, 1]), example([1])]
    seen = [draws.view(examples, step=step) for step in range(1000)]
    counts = {name: sum(name in view.labels for view in seen) / 1000 for name in TYPES}
    assert counts["gene"] == pytest.approx(0.7 * 0.7, abs=0.06)  # left out by itself, or in a step of few
    assert counts["chemical"] == pytest.approx(1 - 0.3 / 4, abs=0.03)  # one of two in half of those steps
    for view in seen:
        assert {"chemical", "disease"} & set(view.labels)
        names = [view.labels[kind] for kind in view.examples[0].spans[:, 2]]
        assert names == [name for name in ("chemical", "disease") if name in view.labels]
        assert all(len(one.types) == len(view.labels) for one in view.examples)
    assert draws.view(examples, step=5).labels == draws.view(examples, step=5).labels
    assert all(in_a_row(drop_types=0.9).view([example()], step=step).labels for step in range(50))


def test_pieces_of_a_batch_keep_within_the_budget():
    examples = [example(words=words) for words in (2, 3, 3, 9, 30, 1)]
    sizes = [len(one.encoded.ids) for one in examples]
    for budget, prompt in ((20, 0), (40, 5), (1000, 0), (1, 0)):
        pieces = list(within(examples, budget, prompt=prompt))
        assert [one for piece in pieces for one in piece] == examples
        for piece in pieces:
            most = max(len(one.encoded.ids) for one in piece) + prompt
            assert len(piece) == 1 or most * len(piece) <= budget
    assert [len(piece) for piece in within(examples, 0)] == [len(sizes)]
    assert list(within([], 20)) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label_names": {"chemicals": ("drug",)}}, "did you mean 'chemical'"),
        ({"label_siblings": {"organ": ("tissue",)}}, "'organ', which is no type of the training data"),
        ({"label_names": {"chemical": ("Disease",)}}, "it stands for 'disease' as well"),
        ({"label_names": {"chemical": ("agent",), "species": ("agent",)}}, "it stands for 'chemical' as well"),
        ({"label_names": {"chemical": (" ",)}}, "blank label for 'chemical'"),
        ({"label_names": {"gene": ("locus",)}, "label_siblings": {"gene": ("locus",)}}, "it is a name of 'gene'"),
    ],
)
def test_labels_that_would_stand_for_two_things_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        sampler(**settings)


def test_mappings_in_a_recipe_are_strict_and_survive_a_round_trip():
    recipe = load_recipe("small", ["train.label_names={chemical: [drug, chemical compound]}"])
    assert recipe.train.label_names == {"chemical": ("drug", "chemical compound")}
    assert from_mapping(Recipe, yaml.safe_load(yaml.safe_dump(to_mapping(recipe))), where="again") == recipe
    for value, message in (
        ("[drug]", "must be a mapping"),
        ("{chemical: drug}", r"label_names\.chemical must be a list"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_recipe("small", [f"train.label_names={value}"])


def test_masking_needs_a_mask_token():
    with pytest.raises(ConfigError, match="has no mask token"):
        Sampler(TrainConfig(mask_words=0.1), TYPES, mask_id=None, specials=(1, 1))
