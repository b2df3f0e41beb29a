"""The maps of a distilled student: what is written is what training had, and compares spans with rows as it did."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kogner.config import DistilConfig
from kogner.errors import ArtifactError
from kogner.student.distil import DistilHead
from kogner.student.maps import FILE, Maps


def made(**settings):
    torch.manual_seed(0)
    bank = np.random.default_rng(0).standard_normal((40, 12)).astype(np.float32)
    head = DistilHead(DistilConfig(parts=("Z", "Z'"), kg_hidden=6, **settings), hidden=8, bank=bank, columns=[8, 4])
    return head, bank


@pytest.mark.parametrize(
    "settings", [{}, {"student_map": "linear"}, {"target": "pca"}, {"target": "none", "student_map": "linear"}]
)
def test_what_is_written_maps_as_the_head_did(tmp_path, settings):
    head, bank = made(**settings)
    Maps.of(head, bank="0" * 64).save(tmp_path)
    maps = Maps.load(tmp_path)
    assert maps.parts == ("Z", "Z'") and maps.bank == "0" * 64
    spans = torch.randn(5, 8)
    with torch.inference_mode():
        wanted = torch.nn.functional.normalize(head.student_map(spans), dim=-1)
        rows = torch.nn.functional.normalize(head.teacher_map(head.bank[torch.tensor([3, 7])]), dim=-1)
    np.testing.assert_allclose(maps.of_spans(spans.numpy()), wanted.numpy(), atol=1e-6)
    np.testing.assert_allclose(maps.of_rows(bank[[3, 7]]), rows.numpy(), atol=1e-5)


def test_a_student_without_maps(tmp_path):
    with pytest.raises(ArtifactError, match="was not distilled"):
        Maps.load(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"x" * 100])
def test_damaged_maps(tmp_path, damage):
    Maps.of(made()[0], bank="0").save(tmp_path)
    (tmp_path / FILE).write_bytes(damage)
    with pytest.raises(ArtifactError, match="holds no maps"):
        Maps.load(tmp_path)
