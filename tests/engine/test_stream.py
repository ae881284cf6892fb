"""``python -m bitdrop stream``: bits of the specification, behaviour in a pipe, arguments."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bitdrop import _stream
from numpy.typing import NDArray

from tests.helpers import noise_oracle, oracle

COMMAND = [sys.executable, "-P", "-m", "bitdrop", "stream"]  # -P: never import from the current folder
KEY = (2**64 - 3, 7)
MORE_THAN_A_CHUNK = 2 * _stream._CHUNK_BYTES + 13


def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, check=False, timeout=120)


def stream(*arguments: str) -> bytes:
    process = run(*arguments)
    assert process.returncode == 0, process.stderr
    assert not process.stderr
    return process.stdout


def expected(choice: str, stream: int, p: float, start: int, nbytes: int) -> bytes:
    """Return the bytes of the oracle for a choice."""
    kept: list[NDArray[np.bool_]] = []
    words = start, start + -(-nbytes // 4)
    match choice:
        case "words":
            return noise_oracle.random_bits(KEY, stream, *words).astype("<u4").tobytes()[:nbytes]
        case "normals":
            return noise_oracle.normals(KEY, stream, *words).astype("<f4").tobytes()[:nbytes]
        case "bits":
            kept = [oracle.kept(KEY, stream, p, start, start + 8 * nbytes)]
        case "rows":
            blocks = -(-nbytes // 128)
            whole = oracle.kept(KEY, stream, p, start, start + 4096 * blocks)
            kept = [whole.reshape(blocks, 4, 1024)[:, 0]]
        case "lane":
            rows = -(-nbytes // 8)
            whole = oracle.kept(KEY, stream, p, start, start + 1024 * rows)
            kept = [whole.reshape(rows, 16, 64)[:, 0]]
        case "streams":
            streams = range(stream, stream + -(-nbytes // 128))
            kept = [oracle.kept(KEY, number, p, start, start + 1024) for number in streams]
    return np.packbits(np.concatenate(kept).ravel(), bitorder="little").tobytes()[:nbytes]


@pytest.mark.parametrize("choice", _stream.CHOICES)
@pytest.mark.parametrize(
    ("number", "p", "start"), [(0, 0.5, 0), (9, 0.1, 7 * 1024), (2**63, 1 / 3, 2**40 + 3072)]
)
def test_written_bits_equal_oracle(choice: str, number: int, p: float, start: int) -> None:
    key = ["--key", str(KEY[0]), hex(KEY[1])]
    written = stream(
        choice, *key, "-p", repr(p), "--stream", str(number), "--start", str(start), "--bytes", "5001"
    )
    assert written == expected(choice, number, p, start, 5001)


@pytest.mark.parametrize(
    ("choice", "start"),
    [("bits", 8), ("rows", 3072), ("lane", 15 * 64), ("words", 1024), ("normals", 5 * 1024)],
)
def test_chunks_continue_without_gap(choice: str, start: int) -> None:
    key = ["--key", str(KEY[0]), str(KEY[1])]
    written = stream(choice, *key, "--start", str(start), "--bytes", str(MORE_THAN_A_CHUNK))
    assert written == expected(choice, 0, 0.5, start, MORE_THAN_A_CHUNK)


def test_streams_continue_across_chunks() -> None:
    written = stream("streams", "--key", str(KEY[0]), str(KEY[1]), "--bytes", str(MORE_THAN_A_CHUNK))
    assert len(written) == MORE_THAN_A_CHUNK
    seam = _stream._CHUNK_BYTES // 128  # streams in a chunk
    for number in (seam - 1, seam, 2 * seam - 1):
        row = oracle.packed(KEY, number, 0.5, 0, 1024).tobytes()
        assert written[128 * number : 128 * (number + 1)] == row


def test_default_choice_writes_bits_in_order() -> None:
    assert (
        stream("--bytes", "8").hex() == "264ab7d0dd246b4b"
    )  # from docs/reference/mask-format.md: key (1, 2), p = 0.5
    assert stream("--bytes", "0") == b""


def test_output_ends_with_last_index_or_stream() -> None:
    last = str(2**64 - 1024)
    assert stream("--start", last) == oracle_end("bits")
    assert stream("streams", "--stream", str(2**64 - 2)) == oracle_end("streams")
    assert len(stream("lane", "--start", str(2**64 - 2048))) == 2 * 8
    assert len(stream("words", "--start", last)) == 1024 * 4


def oracle_end(choice: str) -> bytes:
    if choice == "streams":
        rows = [oracle.packed((1, 2), number, 0.5, 0, 1024).tobytes() for number in (2**64 - 2, 2**64 - 1)]
        return b"".join(rows)
    return oracle.packed((1, 2), 0, 0.5, 2**64 - 1024, 2**64).tobytes()


def test_partial_write_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    written = bytearray()

    class Part(io.RawIOBase):
        """Stream that accepts partial writes, like a pipe with a paused writer."""

        def write(self, data: Any) -> int:
            written.extend(data[:1000])
            return min(len(data), 1000)

    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=Part()))
    chunks = [np.full(size, number, np.uint8) for number, size in enumerate((2500, 1, 3000))]
    _stream._write(iter(chunks), 5000)
    assert written == np.concatenate(chunks)[:5000].tobytes()


def test_closed_pipe_ends_process_without_error() -> None:
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(8).hex() == "264ab7d0dd246b4b"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


@pytest.fixture
def interrupts_not_ignored() -> Iterator[None]:
    """Children react to SIGINT, even if a shell started the tests in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts_not_ignored")
def test_interrupt_ends_process_without_traceback() -> None:
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(8)  # now it blocks in a write
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert errors == b""
        assert process.returncode == 130


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no device that is always full")
def test_full_device_is_reported_in_one_sentence() -> None:
    with open("/dev/full", "wb") as full:
        process = subprocess.run(COMMAND, stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)
    assert process.returncode == 1
    assert process.stderr == b"The bytes cannot be written: No space left on device.\n"


def test_output_to_terminal_is_refused() -> None:
    terminal, end = pytest.importorskip("pty").openpty()
    process = subprocess.run(COMMAND, stdout=end, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(end)
    os.close(terminal)
    assert process.returncode == 2
    assert b"standard output is a terminal" in process.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "1.5"], "argument -p: p must be in [0, 1], but got 1.5."),
        (["-p", "nan"], "argument -p: p must be in [0, 1], but got nan."),
        (["-p", "half"], "argument -p: must be a number, but got 'half'."),
        (["--key", "1"], "argument --key: expected 2 arguments"),
        (["--key", "1", "2.5"], "argument --key: must be an integer, but got '2.5'."),
        (["--stream", "-1"], "argument --stream: number must be in [0, 2**64), but got -1."),
        (["--bytes", str(2**64)], f"argument --bytes: number must be in [0, 2**64), but got {2**64}."),
        (["--start", "4"], "--start must be a multiple of 8, but got 4."),
        (["rows", "--start", "64"], "--start must be a multiple of 1024, but got 64."),
        (["streams", "--start", "64"], "--start must be a multiple of 1024, but got 64."),
        (["lane", "--start", "8"], "--start must be a multiple of 64, but got 8."),
        (["columns"], "argument choice: invalid choice: 'columns'"),
    ],
)
def test_bad_argument_is_reported_in_one_sentence(arguments: list[str], message: str) -> None:
    process = run(*arguments)
    assert process.returncode == 2
    assert process.stdout == b""
    error = process.stderr.decode().splitlines()[-1]
    assert error.startswith(f"python -m bitdrop stream: error: {message}")
