"""What `--multi-label` and `--overlap` change in the output of `kogner annotate`."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from click.testing import CliRunner

from kogner import artifacts
from kogner.cli import cli
from kogner.errors import InputError
from kogner.student import checkpoint
from kogner.student.checkpoint import StudentInfo

TEXT = "aspirin lowered the fever of rats"


def words(span):
    return len(TEXT[span[0] : span[1]].split())


@pytest.fixture
def annotate(tiny_student, tmp_path):
    with artifacts.writing(tmp_path / "student", kind=checkpoint.KIND, version=checkpoint.VERSION) as folder:
        checkpoint.save(tiny_student, StudentInfo(default_threshold=0.02), folder)

    def run(*more):
        command = ["annotate", "-", "--model", str(tmp_path / "student"), "--labels", "chemical,disease", *more]
        done = CliRunner().invoke(cli, command, input=TEXT)
        if done.exception is not None:
            raise done.exception
        return [(e["start"], e["end"], e["type"]) for e in json.loads(done.stdout)["entities"]]

    return run


def test_policies_of_overlap(annotate):
    flat, everything = annotate(), annotate("--overlap", "all")
    several = annotate("--overlap", "all", "--multi-label")
    assert set(flat) < set(everything) < set(several)
    assert len({span[:2] for span in everything}) == len(everything)
    assert {span[:2] for span in several} == {span[:2] for span in everything}
    widest = {}
    for policy in ("score", "longest", "first", "best"):
        found = annotate("--overlap", policy)
        assert all(one[1] <= other[0] for one, other in pairwise(found))
        widest[policy] = max(words(span) for span in found)
    assert widest["longest"] == max(words(span) for span in everything)
    assert annotate("--overlap", "first")[0][0] == min(start for start, _, _ in everything)


def test_what_cannot_be_combined(annotate):
    with pytest.raises(InputError, match="for nested entities take overlap 'score'"):
        annotate("--overlap", "best", "--nested")
    with pytest.raises(InputError, match="cannot show entities that cross"):
        annotate("--overlap", "all", "--format", "html")
