"""Check that the kernels of one ISA cannot replace those of another at link time.

Of two definitions of one weak symbol the linker keeps one. Where that is compiled for AVX-512, a machine without
it crashes in a function that has nothing to do with kernels. So every shared symbol of an object of an ISA names it.

Usage: ``python isa_symbols.py [--nm NM] OBJECT...``; objects not called ``isa_<name>.*`` are ignored.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

SHARED_TYPES = frozenset("TWVuBDRSGC")
"""Letters of nm for symbols that other objects see: code, data, weak, unique."""

NOT_CODE = re.compile(r"^_*(DW\.ref\.|ZT[ISV])")
"""Pointers to run-time functions and type information: equal whatever the flags."""


def leaks(nm_output: str, isa: str) -> list[str]:
    """Shared symbols of an object compiled for ``isa`` that do not name it.

    Parameters
    ----------
    nm_output : str
        What ``nm --defined-only`` prints for the object, names mangled.
    isa : str
        Name of a tag in ``pylstm::simd``.

    Returns
    -------
    list of str
        Mangled names.
    """
    tag = re.compile(rf"\d{isa}(?![a-z])")
    found = []
    for line in nm_output.splitlines():
        fields = line.split()
        if len(fields) < 2:
            continue
        kind, name = fields[-2:]
        if kind in SHARED_TYPES and not NOT_CODE.search(name) and not tag.search(name):
            found.append(name)
    return found


def main() -> int:
    """Print the leaks of each object; 1 if there are any, 2 if no object was an ISA's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nm", default="nm")
    parser.add_argument("objects", nargs="+", type=Path)
    arguments = parser.parse_args()
    checked = failed = 0
    for path in arguments.objects:
        named = re.match(r"isa_([a-z0-9]+)\.", path.name)
        if named is None:
            continue
        command = [arguments.nm, "--defined-only", str(path)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = leaks(output, named[1])
        print(
            f"{path.name}: {len(output.splitlines())} symbols defined, {len(found)} shared ones do not name {named[1]}"
        )
        print(*(f"  {name}" for name in found), sep="\n", end="\n" if found else "")
        checked += 1
        failed += bool(found)
    if not checked:
        print("no object of an ISA among the arguments")
        return 2
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
