from __future__ import annotations

import pytest
import torch

from kogner import hardware
from kogner.annotate.packing import can_pack


@pytest.mark.skipif(not can_pack(), reason="this build of torch has no oneDNN linear layers")
@pytest.mark.parametrize(
    ("cpuinfo", "outruns"),
    [
        ("vendor_id : AuthenticAMD\nflags : fpu avx2 avx512f\n", True),
        ("vendor_id : AuthenticAMD\nflags : fpu avx2\n", False),
        ("vendor_id : GenuineIntel\nflags : fpu avx2 avx512f\n", False),
        (None, False),
    ],
)
def test_onednn_outruns_mkl_on_amd_with_avx512(monkeypatch, tmp_path, cpuinfo, outruns):
    file = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        file.write_text(cpuinfo, encoding="ascii")
    monkeypatch.setattr(hardware, "Path", lambda _: file)
    hardware.onednn_outruns_mkl.cache_clear()
    try:
        assert hardware.onednn_outruns_mkl() is outruns
    finally:
        hardware.onednn_outruns_mkl.cache_clear()


@pytest.mark.parametrize(("capability", "pays"), [("AVX2", False), ("AVX512", True), ("DEFAULT", True)])
def test_packing_pays_but_for_processors_with_avx2_alone(monkeypatch, capability, pays):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    hardware.packing_pays.cache_clear()
    try:
        assert hardware.packing_pays() is pays
    finally:
        hardware.packing_pays.cache_clear()


@pytest.mark.parametrize(
    ("precision", "fast", "said"), [("bf16", False, True), ("bf16", True, False), ("auto", False, False)]
)
def test_bf16_where_it_is_slow_is_said(monkeypatch, capsys, precision, fast, said):
    monkeypatch.setattr(hardware, "bf16_is_fast", lambda _: fast)
    hardware.warn_of_bf16(precision, "cpu", instead="take fp32")
    assert ("no arithmetic for bf16" in capsys.readouterr().err) is said
