"""How the doubles answer as drivers: names, versions, streams, faults on request, fork."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.nvidia_fake.hosts import Host

HostMaker = Callable[[str | Path], Host]

LIBRARY = """
cuda = ctypes.CDLL("libcuda.so.1")

def look_up(name, version=13000, flags=0):
    found, status = ctypes.c_void_p(), ctypes.c_int(-1)
    result = cuda.cuGetProcAddress_v2(name, ctypes.byref(found), version, ctypes.c_uint64(flags), ctypes.byref(status))
    return result, found.value, status.value

def address(name):
    return ctypes.cast(getattr(cuda, name), ctypes.c_void_p).value
"""


def header(name: str) -> str:
    """The text of a vendor header."""
    spec = find_spec("nvidia")
    assert spec
    roots = [Path(root) for root in spec.submodule_search_locations or ()]
    (file,) = (found for root in roots for found in root.glob(f"*/include/{name}"))
    return file.read_text(encoding="utf-8", errors="replace")


def test_every_function_of_the_headers_is_exported(host: HostMaker) -> None:
    cuda = sorted(set(re.findall(r"^CUresult CUDAAPI (cu\w+)\(", header("cuda.h"), re.MULTILINE)))
    nvml = sorted(set(re.findall(r"^nvmlReturn_t DECLDIR (nvml\w+)\(", header("nvml.h"), re.MULTILINE)))
    assert len(cuda) > 400
    assert len(nvml) > 200
    missing = host("t4").python(
        f"""
        libraries = {{"libcuda.so.1": {cuda!r}, "libnvidia-ml.so.1": {nvml!r}}}
        answer = [n for file, names in libraries.items() for n in names if not hasattr(ctypes.CDLL(file), n)]
        """
    )
    assert missing == []


def test_a_function_without_meaning_says_that_it_is_not_supported(host: HostMaker) -> None:
    answer = host("t4").python(
        """
        nvml.nvmlInit()
        try:
            nvml.nvmlDeviceGetFanSpeed(nvml.nvmlDeviceGetHandleByIndex(0))
            fan = "known"
        except nvml.NVMLError_NotSupported:
            fan = "not supported"
        answer = [ctypes.CDLL("libcuda.so.1").cuMulticastCreate(None, None), fan]
        """
    )
    assert answer == [801, "not supported"]


def test_proc_address_gives_the_abi_of_the_callers_version(host: HostMaker) -> None:
    answer = host("t4").python(
        LIBRARY
        + """
names = ["cuCtxCreate", "cuCtxCreate_v2", "cuCtxCreate_v3", "cuCtxCreate_v4"]
by_address = {address(name): name for name in names}
answer = [by_address.get(look_up(b"cuCtxCreate", version)[1]) for version in (2000, 3020, 11040, 12050)]
"""
    )
    assert answer == ["cuCtxCreate", "cuCtxCreate_v2", "cuCtxCreate_v3", "cuCtxCreate_v4"]


def test_proc_address_keeps_kinds_of_streams_apart(host: HostMaker) -> None:
    answer = host("t4").python(
        LIBRARY
        + """
names = ["cuLaunchKernel", "cuLaunchKernel_ptsz", "cuMemcpyHtoD_v2", "cuMemcpyHtoD_v2_ptds", "cuMemAlloc_v2"]
by_address = {address(name): name for name in names}
answer = [by_address.get(look_up(name, flags=flags)[1])
          for name in (b"cuLaunchKernel", b"cuMemcpyHtoD", b"cuMemAlloc") for flags in (0, 1, 2)]
"""
    )
    assert answer == [
        *["cuLaunchKernel", "cuLaunchKernel", "cuLaunchKernel_ptsz"],
        *["cuMemcpyHtoD_v2", "cuMemcpyHtoD_v2", "cuMemcpyHtoD_v2_ptds"],
        *["cuMemAlloc_v2"] * 3,
    ]


def test_proc_address_says_what_it_does_not_find(host: HostMaker) -> None:
    answer = host("t4").python(
        LIBRARY
        + """
answer = {
    "unknown": look_up(b"cuNothing"), "too_old": look_up(b"cuGraphLaunch", 9000),
    "newer_than_driver": look_up(b"cuInit", 13010)[0],
    "newer_in_header": look_up(b"cuLogicalEndpointCreate", 13000),
    "first_abi": cuda.cuGetProcAddress(b"cuNothing", ctypes.byref(ctypes.c_void_p()), 12000, ctypes.c_uint64(0)),
}
"""
    )
    assert answer == {
        "unknown": [0, None, 1],
        "too_old": [0, None, 2],
        "newer_than_driver": 1,
        "newer_in_header": [0, None, 1],
        "first_abi": 500,
    }


def test_there_are_no_private_tables(host: HostMaker) -> None:
    answer = host("t4").python(
        LIBRARY + "table = ctypes.c_void_p(1)\n"
        "answer = [cuda.cuGetExportTable(ctypes.byref(table), bytes(16)), table.value]"
    )
    assert answer == [500, None]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("cuMemAlloc_v2@2=2", [0, 2, 0, 0]),
        ("cuMemAlloc_v2@3+=719", [0, 0, 719, 719]),
        ("cuMemAlloc_v2=999", [999, 999, 999, 999]),
        ("cuMemFree_v2=1", [0, 0, 0, 0]),
    ],
)
def test_a_fault_hits_the_calls_it_names(host: HostMaker, rule: str, expected: list[int]) -> None:
    code_of_four = """
        begin()
        free = ok(cu.cuMemGetInfo())[0]
        results = [code(cu.cuMemAlloc(512)) for _ in range(4)]
        answer = [results, (free - ok(cu.cuMemGetInfo())[0]) // 512]
        """
    assert host("t4").python(code_of_four, HAMI_FAKE_FAULTS=rule) == [expected, expected.count(0)]


def test_a_fault_on_a_per_thread_name_spares_the_other(host: HostMaker) -> None:
    answer = host("t4").python(
        LIBRARY
        + """
begin()
function = ctypes.c_void_p(int(kernel(b"plain")))
shape = [ctypes.c_uint(1)] * 6 + [ctypes.c_uint(0)]
answer = [getattr(cuda, name)(function, *shape, None, None, None) for name in ("cuLaunchKernel", "cuLaunchKernel_ptsz")]
""",
        HAMI_FAKE_FAULTS="cuLaunchKernel_ptsz=700",
    )
    assert answer == [0, 700]


def test_the_driver_calls_its_own_exports_when_asked_to(host: HostMaker) -> None:
    program = """
        begin()
        allocated = code(cu.cuMemAlloc(512))
        answer = [allocated, code(cu.cuMemGetInfo())]
        """
    # The first call of cuMemGetInfo_v2 fails: the driver's own one, where it makes one, else the program's.
    machine, faults = host("t4"), "cuMemGetInfo_v2@1=999"
    assert machine.python(program, HAMI_FAKE_FAULTS=faults) == [0, 999]
    assert machine.python(program, HAMI_FAKE_FAULTS=faults, HAMI_FAKE_SELF_CALLS="1") == [0, 0]


def test_a_forked_child_has_no_driver(host: HostMaker) -> None:
    answer = host("t4").python(
        """
        begin()
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.write(writing, bytes([code(cu.cuInit(0)), code(cu.cuMemAlloc(512))]))
            os._exit(0)
        answer = [list(os.read(reading, 2)), code(cu.cuMemAlloc(512))]
        """
    )
    assert answer == [[3, 3], 0]


def test_small_allocations_can_take_whole_pages_of_the_card(host: HostMaker) -> None:
    answer = host("t4").python(
        """
        begin()
        before = ok(cu.cuMemGetInfo())[0]
        ok(cu.cuMemAlloc(1))
        answer = before - ok(cu.cuMemGetInfo())[0]
        """,
        HAMI_FAKE_GRANULARITY="2097152",
    )
    assert answer == 2 << 20


def test_memory_beyond_the_backing_limit_reads_as_zero(host: HostMaker) -> None:
    answer = host("t4").python(
        """
        begin()
        pointer = ok(cu.cuMemAlloc(8 << 30))
        ok(cu.cuMemsetD8(pointer, 7, 8 << 30))
        ends = []
        for offset in (0, (1 << 20) - 1, 1 << 20, (8 << 30) - 1):
            byte = bytearray(b"?")
            ok(cu.cuMemcpyDtoH(byte, int(pointer) + offset, 1))
            ends.append(byte[0])
        answer = ends
        """,
        HAMI_FAKE_BACKING_MIB="1",
    )
    assert answer == [7, 7, 0, 0]
