#!/usr/bin/python3
"""Maps a function over machines: each input is worked on in its own microVM, taken from a pool.

usage: pool_map.py [NUMBER...]

Prints each number's prime factors, found by `factor` in a guest: a stand-in for code that nobody has a reason to trust.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import fireclaw


def factor(pool: fireclaw.Pool, number: str) -> str:
    with pool.take() as vm:  # The machine is for this number only, and ends with the block.
        result = vm.exec(["factor", number], timeout=30)
    return result.text.strip() if result.ok else f"{number}: {result.err_text.strip() or 'no answer'}"


def main(numbers: list[str]) -> None:
    host = fireclaw.Host.open()
    with host.vms().pool(fireclaw.PoolConfig(size=2)) as pool, ThreadPoolExecutor(2) as threads:
        for line in threads.map(lambda number: factor(pool, number), numbers):
            print(line)


if __name__ == "__main__":
    main(sys.argv[1:] or ["42", "97", "3599"])
