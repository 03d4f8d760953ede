"""The classes of AArch64 instructions in the plug-in of QEMU. A disassembler confirmed the encodings."""

import ctypes
import os
import shutil

import pytest

from edgefer.fleet.emulated_board import SOURCE, compile_plugin

INT8_MAC, FLOAT, LOAD_STORE, OTHER = range(4)
WORDS = {
    0x4E829420: INT8_MAC,  # sdot v0.4s, v1.16b, v2.16b
    0x6E829420: INT8_MAC,  # udot v0.4s, v1.16b, v2.16b
    0x4F82E020: INT8_MAC,  # sdot v0.4s, v1.16b, v2.4b[0]
    0x0E228020: INT8_MAC,  # smlal v0.8h, v1.8b, v2.8b
    0x4F422020: INT8_MAC,  # smlal2 v0.4s, v1.8h, v2.h[0]
    0x4E22C020: INT8_MAC,  # smull2 v0.8h, v1.16b, v2.16b
    0x4E606820: INT8_MAC,  # sadalp v0.4s, v1.8h
    0x6F420020: INT8_MAC,  # mla v0.8h, v1.8h, v2.h[0]
    0x4F821020: FLOAT,  # fmla v0.4s, v1.4s, v2.s[0]
    0x4E22CC20: FLOAT,  # fmla v0.4s, v1.4s, v2.4s
    0x4E22D420: FLOAT,  # fadd v0.4s, v1.4s, v2.4s
    0x1E222820: FLOAT,  # fadd s0, s1, s2
    0x1F020C20: FLOAT,  # fmadd s0, s1, s2, s3
    0x4E21A820: FLOAT,  # fcvtns v0.4s, v1.4s
    0x4E21D820: FLOAT,  # scvtf v0.4s, v1.4s
    0x9E660000: FLOAT,  # fmov x0, d0
    0x9E220000: FLOAT,  # scvtf s0, x0
    0x3DC00000: LOAD_STORE,  # ldr q0, [x0]
    0xA8C17BFD: LOAD_STORE,  # ldp x29, x30, [sp], #0x10
    0x4C407800: LOAD_STORE,  # ld1 {v0.4s}, [x0]
    0x0E214820: OTHER,  # sqxtn v0.8b, v1.8h
    0x2E212820: OTHER,  # sqxtun v0.8b, v1.8h
    0x0E612820: OTHER,  # xtn v0.4h, v1.4s
    0x4EA2B420: OTHER,  # sqdmulh v0.4s, v1.4s, v2.4s
    0x4EA28420: OTHER,  # add v0.4s, v1.4s, v2.4s
    0x6E024020: OTHER,  # ext v0.16b, v1.16b, v2.16b, #8
    0x4F000400: OTHER,  # movi v0.4s, #0
    0x9B027C20: OTHER,  # mul x0, x1, x2
    0x91000400: OTHER,  # add x0, x0, #1
    0xD65F03C0: OTHER,  # ret
}


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_each_instruction_has_its_class(tmp_path):
    path = tmp_path / "plugin.so"
    path.write_bytes(compile_plugin(SOURCE))
    # The functions of QEMU are not there, and are not called.
    plugin = ctypes.CDLL(str(path), mode=os.RTLD_LAZY)
    assert {word: plugin.instruction_class(ctypes.c_uint32(word)) for word in WORDS} == WORDS
