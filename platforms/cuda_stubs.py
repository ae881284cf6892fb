"""Stub libraries for a CUDA build of PyTorch, so that it runs on a machine without CUDA.

    python platforms/cuda_stubs.py SITE-PACKAGES FOLDER

The loader asks for CUDA's libraries by name, and for their symbols. The stubs have both. Their functions do
nothing, and report that there is no device. Run Python with ``LD_LIBRARY_PATH=FOLDER``.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_LIBRARY = re.compile(r"lib(cu|nv|nccl)")
_SYMBOL = re.compile(r"(__)?(cu|CU|nccl|nv|nvtx)|.*(nccl|nvshmem)")
_NO_DEVICE = 100  # cudaErrorNoDevice

_SPECIAL = {
    "cudaGetDeviceCount": f"int cudaGetDeviceCount(int *count) {{ *count = 0; return {_NO_DEVICE}; }}",
    "cudaGetErrorString": 'const char *cudaGetErrorString(int error) { return "no CUDA"; }',
    "cudaGetErrorName": 'const char *cudaGetErrorName(int error) { return "cudaErrorNoDevice"; }',
    "__cudaRegisterFatBinary": (
        "static void *handle[8]; void **__cudaRegisterFatBinary(void *binary) { return handle; }"
    ),
}


def output_of(*command: str) -> str:
    """Return what a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def symbols(library: Path, *, defined: bool) -> Iterator[str]:
    """Yield the names of dynamic symbols that a library defines, or needs."""
    kind = "--defined-only" if defined else "--undefined-only"
    for line in output_of("nm", "-D", "--without-symbol-versions", kind, str(library)).splitlines():
        *_, kind, name = line.split()
        if kind != "w":  # weak: it may be missing
            yield name


def write_library(folder: Path, name: str, *arguments: str) -> None:
    """Compile a library of C code, or an empty one that links to others."""
    options = ("-w", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-Wl,--no-as-needed")
    subprocess.run(["gcc", *options, *arguments, "-o", str(folder / name)], check=True)


def main(site_packages: Path, folder: Path) -> None:
    """Write the stubs for the PyTorch in a folder of packages."""
    libraries = [*(site_packages / "torch/lib").glob("*.so*"), *(site_packages / "torch").glob("*.so")]
    needed = {
        name
        for library in libraries
        for name in re.findall(r"NEEDED.*\[(.*?)\]", output_of("readelf", "-dW", str(library)))
    }
    defined = {name for library in libraries for name in symbols(library, defined=True)}
    undefined = {name for library in libraries for name in symbols(library, defined=False)} - defined
    folder.mkdir(parents=True, exist_ok=True)
    code = folder / "stubs.c"
    functions = (
        _SPECIAL.get(name, f"long {name}(void) {{ return 0; }}")
        for name in sorted(undefined)
        if _SYMBOL.match(name)
    )
    code.write_text("\n".join(functions) + "\n")
    write_library(folder, "libstubs.so", str(code))
    links = ("-x", "c", "/dev/null", f"-L{folder}", "-lstubs", "-Wl,-rpath,$ORIGIN")
    for name in sorted(needed - {library.name for library in libraries}):
        if _LIBRARY.match(name):
            write_library(folder, name, *links)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]).resolve())
