# SPDX-License-Identifier: Apache-2.0
"""No chain of calls needs more stack than BPF gave it before Linux 6.13: 512 bytes in all, each function's part
rounded up to 32, eight functions deep. Newer kernels do not mind, so loading the programs here shows nothing.

Usage: stack_depth.py OBJECT...
"""

import struct
import sys
from dataclasses import dataclass, field

from elftools.elf.elffile import ELFFile

MOST_BYTES, MOST_CALLS, ROUND_TO = 512, 8, 32
CALL, OF_PROGRAM, FRAME_POINTER = 0x85, 1, 10
MOVE, ADD = 0xBF, 0x07
STORES_AND_LOADS = (0x61, 0x69, 0x71, 0x79, 0x62, 0x6A, 0x72, 0x7A, 0x63, 0x6B, 0x73, 0x7B, 0xC3, 0xDB)


@dataclass
class Function:
    name: str
    stack: int = 0
    calls: set = field(default_factory=set)  # names


def relocations_of(elf, section):
    """Offset in the section -> the symbol."""
    found = elf.get_section_by_name(".rel" + section.name)
    symbols = elf.get_section_by_name(".symtab")
    return {one["r_offset"]: symbols.get_symbol(one["r_info_sym"]) for one in found.iter_relocations()} if found else {}


def touched(code, source, target, offset, value, moved):
    """How far below the frame pointer the instruction reaches; `moved`: a register that holds a copy of it."""
    base = source if code & 7 == 1 else target
    if code in STORES_AND_LOADS and base == FRAME_POINTER:
        return -offset
    return -value if code == ADD and target == moved and value < 0 else 0


def read(path):
    """All functions by name; those that begin a program stand in sections of their own."""
    with open(path, "rb") as file:
        elf = ELFFile(file)
        symbols = [symbol for symbol in elf.get_section_by_name(".symtab").iter_symbols()
                   if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_shndx"] != "SHN_UNDEF"]
        at = {(symbol["st_shndx"], symbol["st_value"]): symbol.name for symbol in symbols}
        functions, first = {}, []
        for symbol in symbols:
            section = elf.get_section(symbol["st_shndx"])
            relocated = relocations_of(elf, section)
            function = functions[symbol.name] = Function(symbol.name)
            if section.name != ".text":
                first.append(function)
            text = section.data()[symbol["st_value"]:symbol["st_value"] + symbol["st_size"]]
            moved = None
            for offset in range(0, len(text), 8):
                code, registers, jump, value = struct.unpack_from("<BBhi", text, offset)
                source, target = registers >> 4, registers & 15
                function.stack = max(function.stack, touched(code, source, target, jump, value, moved))
                moved = target if code == MOVE and source == FRAME_POINTER else None
                if code != CALL or source != OF_PROGRAM:
                    continue
                here = symbol["st_value"] + offset
                called = relocated.get(here)
                if called is not None and called["st_shndx"] == "SHN_UNDEF":
                    continue  # a function of the kernel
                if called is None:
                    key = (symbol["st_shndx"], here + 8 * (1 + value))
                elif called["st_info"]["type"] == "STT_FUNC":
                    key = (called["st_shndx"], called["st_value"])
                else:  # a section and a distance
                    key = (called["st_shndx"], 8 * (1 + value))
                function.calls.add(at[key])
        return functions, first


def rounded(stack):
    return max(1, -(-stack // ROUND_TO)) * ROUND_TO


def chains(functions, function, path=()):
    """All ways down from it."""
    assert function not in path, f"{function.name} calls itself"
    path += (function,)
    if not function.calls:
        yield path
    for name in function.calls:
        yield from chains(functions, functions[name], path)


def bytes_of(chain):
    return sum(rounded(function.stack) for function in chain)


def main():
    assert len(sys.argv) > 1, __doc__
    for path in sys.argv[1:]:
        functions, first = read(path)
        assert first and any(function.calls for function in first), f"no programs that call anything in {path}"
        every = [chain for function in first for chain in chains(functions, function)]
        for worst in max(every, key=bytes_of), max(every, key=len):
            shown = ", ".join(f"{function.name} {function.stack}" for function in worst)
            print(f"{path}: {bytes_of(worst)} bytes, {len(worst)} deep: {shown}")
            assert bytes_of(worst) <= MOST_BYTES, f"{MOST_BYTES} bytes at most"
            assert len(worst) <= MOST_CALLS, f"{MOST_CALLS} functions deep at most"


if __name__ == "__main__":
    main()
