"""What the processor is fast at."""

import pathlib

_CPU_INFO = pathlib.Path("/proc/cpuinfo")
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def fast_compute_dtype() -> str:
    """Returns "bfloat16" where the processor has instructions for it, else "float32".

    There, training is 1.3 to 1.7 times faster in bfloat16; elsewhere it is slower.
    """
    if not _CPU_INFO.exists():
        return "float32"
    has = _BFLOAT16_FLAGS & set(_CPU_INFO.read_text().split())
    return "bfloat16" if has else "float32"
