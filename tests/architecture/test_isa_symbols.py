"""The check of the object files finds what it is for; CTest runs it on the objects of the build."""

from __future__ import annotations

import pytest

from .isa_symbols import leaks


@pytest.mark.parametrize(
    "line",
    [
        "0000000000000000 W _ZNSt6vectorIfSaIfEE17_M_realloc_insertIJRKfEEEvv",
        "0000000000000000 W _ZN6pylstm6detail3dotEPKf",
        "0000000000000010 T _ZN6pylstm7kernels4stepINS_4simd6avx512EEEvv",
        "0000000000000010 u _ZZN6pylstm5cacheEvE5table",
    ],
)
def test_a_shared_symbol_that_does_not_name_the_isa_is_a_leak(line: str) -> None:
    assert leaks(line, "avx2") == [line.rsplit(maxsplit=1)[-1]]


@pytest.mark.parametrize(
    "line",
    [
        "0000000000000010 W _ZN6pylstm7kernels4stepINS_4simd4avx2EEEvv",
        "0000000000000000 V _ZN6pylstm4simd4avx24nameE",
        "0000000000000000 R _ZN6pylstm8dispatch10avx2_floatE",
        "0000000000000000 t _ZN12_GLOBAL__N_14stepEv",
        "0000000000000000 V DW.ref.__gxx_personality_v0",
        "0000000000000000 V _ZTISt9exception",
        "",
    ],
)
def test_other_symbols_are_none(line: str) -> None:
    assert leaks(line, "avx2") == []
