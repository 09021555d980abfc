"""Tells tests of memory limits whether AddressSanitizer, which takes far more memory, is in the tested programs."""

from pathlib import Path


def is_sanitized(program: str) -> bool:
    return b"libasan.so" in Path(program).read_bytes()
