"""The bank: what is written is read, a slice is a bank, unknown ids are named."""

import subprocess
import sys

import numpy as np
import pytest

from kogner.errors import ArtifactError, InputError
from kogner.teacher.bank import Bank, summary, write_bank

IDS = [f"T:{number}" for number in range(10)]


@pytest.fixture
def bank(tmp_path) -> Bank:
    rng = np.random.default_rng(0)
    parts = {name: rng.standard_normal((10, width)).astype(np.float16) for name, width in _WIDTHS.items()}
    write_bank(
        tmp_path / "bank",
        IDS,
        parts,
        keys={"Z": "k"},
        parents={"graph": "g"},
        recipe={"r": 1},
        metrics={"unimp": {"micro": 0.5}},
    )
    return Bank.open(tmp_path / "bank")


_WIDTHS = {"Z": 4, "Z'": 3, "Z''": 2}


def test_parts_lie_side_by_side(bank):
    assert bank.parts == {"Z": (0, 4), "Z'": (4, 7), "Z''": (7, 9)}
    assert (len(bank), bank.vectors.shape, bank.vectors.dtype) == (10, (10, 9), np.float16)
    assert isinstance(bank.vectors, np.memmap)
    assert (bank.row("T:3"), bank.row("T:99")) == (3, None)
    assert bank.artifact.parents == {"graph": "g"}


def test_take_gives_rows_and_columns_in_the_order_asked(bank):
    taken = bank.take(["T:7", "T:1", "T:7"], parts=("Z''", "Z"))
    assert taken.dtype == np.float32
    whole = np.asarray(bank.vectors, np.float32)
    np.testing.assert_array_equal(taken, whole[[7, 1, 7]][:, [7, 8, 0, 1, 2, 3]])
    assert bank.take([]).shape == (0, 9)


def test_unknown_ids_and_parts_are_named(bank):
    with pytest.raises(InputError, match=r"2 of 3 ids are not in the bank: X:1, X:2"):
        bank.take(["X:1", "T:1", "X:2"])
    with pytest.raises(InputError, match=r"\['Y'\]"):
        bank.take(["T:1"], parts=("Y",))


def test_a_slice_is_a_bank_of_its_own(bank, tmp_path):
    bank.slice(["T:5", "T:2", "T:5"], tmp_path / "small")
    small = Bank.open(tmp_path / "small")
    assert small.ids == ("T:5", "T:2")
    np.testing.assert_array_equal(small.take(["T:2", "T:5"]), bank.take(["T:2", "T:5"]))
    assert small.parts == bank.parts
    assert small.artifact.parents == {"graph": "g", "bank": bank.artifact.hash, "slice_of": bank.artifact.hash}
    assert small.keys == {}
    assert summary(small)["unimp"] == {"micro": 0.5}
    with pytest.raises(ArtifactError, match="is being sliced"):
        bank.slice(["T:5"], bank.path)


def test_opens_without_torch_and_pyarrow(bank):
    code = (
        "import sys; from kogner.teacher.bank import Bank; "
        f"print(Bank.open({str(bank.path)!r}).take(['T:1']).shape, 'torch' in sys.modules, 'pyarrow' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "(1, 9) False False"


def test_files_that_do_not_belong_together_are_refused(bank):
    with pytest.raises(ArtifactError, match="9 rows for 10"):
        write_bank(bank.path, IDS, {"Z": np.zeros((9, 2))}, keys={}, parents={}, recipe={}, metrics={})
    text = (bank.path / "ids.txt").read_text()
    (bank.path / "ids.txt").write_text(text.replace("T:1\n", "T1\n\n", 1))
    with pytest.raises(ArtifactError, match="11 ids"):
        Bank.open(bank.path)
