from __future__ import annotations

import pytest

from kogner import hardware
from kogner.annotate.packing import can_pack


@pytest.mark.skipif(not can_pack(), reason="this build of torch has no oneDNN linear layers")
@pytest.mark.parametrize(
    ("cpuinfo", "outruns", "pays"),
    [
        ("vendor_id : AuthenticAMD\nflags : fpu avx2 avx512f\n", True, True),
        ("vendor_id : AuthenticAMD\nflags : fpu avx2\n", False, False),
        ("vendor_id : GenuineIntel\nflags : fpu avx2 avx512f\n", False, True),
        (None, False, True),
    ],
)
def test_onednn_outruns_mkl_on_amd_with_avx512_and_packing_pays_without_avx2_alone(
    monkeypatch, tmp_path, cpuinfo, outruns, pays
):
    file = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        file.write_text(cpuinfo, encoding="ascii")
    monkeypatch.setattr(hardware, "Path", lambda _: file)
    questions = (hardware.onednn_outruns_mkl, hardware.packing_pays)
    for question in questions:
        question.cache_clear()
    try:
        assert [question() for question in questions] == [outruns, pays]
    finally:
        for question in questions:
            question.cache_clear()
