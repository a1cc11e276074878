"""What the bytes of a text file are, before anybody parses them: UTF-8, whole, and a table at all."""

import codecs
import csv
import io
from collections.abc import Iterator

from evergreen.data.formats.places import DataFile
from evergreen.errors import DataError

PIECE = 4 << 20
LONGEST_ROW = 8 << 20  # longer is no row of a table but a quotation mark that was never closed
BOM = codecs.BOM_UTF8
OTHER_BOMS = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32"}
OTHER_BOMS |= {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}
MAGIC = {b"PK\x03\x04": "a zip archive or an Excel workbook", b"\xd0\xcf\x11\xe0": "an old Excel workbook"}
MAGIC |= {b"%PDF": "a PDF document", b"BZh": "a bzip2 file", b"\xfd7zXZ": "an xz file", b"(\xb5/\xfd": "a zstd file"}


def check_bytes(file: DataFile) -> tuple[int, int]:
    """How many lines and quotation marks a file has, once it is known to be whole UTF-8 text.

    Raises `DataError` for another encoding, NUL bytes, a byte order mark in the middle (two files
    joined) and a row without end, with the line where it shows.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines, quotes = 0, 0
    for piece, last in _pieces(file):
        for bad, reason in (b"\x00", "a NUL byte"), (BOM, "a byte order mark"):
            if bad in piece:
                where = 1 + lines + piece[: piece.index(bad)].count(b"\n")
                raise DataError(f"{file.name}: {reason} in line {where}; the file is damaged or files were joined.")
        try:
            decoder.decode(piece, final=last)
        except UnicodeDecodeError as error:
            raise DataError(_not_utf8(file.name, 1 + lines + piece[: error.start].count(b"\n"), piece, error)) from None
        lines += piece.count(b"\n")
        quotes += piece.count(b'"')
    return lines, quotes


def _pieces(file: DataFile) -> Iterator[tuple[bytes, bool]]:
    """The bytes without a leading byte order mark, in pieces that end where a line ends."""
    with file.stream() as stream:
        rest = bytes(stream.read(len(BOM))).removeprefix(BOM)
        while piece := bytes(stream.read(PIECE)):
            whole, newline, rest_of_piece = (rest + piece).rpartition(b"\n")
            yield whole + newline, False
            rest = rest_of_piece
            if len(rest) > LONGEST_ROW:
                raise DataError(f"{file.name}: a row is longer than {LONGEST_ROW >> 20} MB; is this a table?")
        yield rest, True


def check_start(file: DataFile) -> None:
    """Refuse a file that begins like something else than a table in UTF-8 text."""
    with file.stream() as stream:
        start = bytes(stream.read(4096))
    for bom, encoding in OTHER_BOMS.items():
        if start.startswith(bom):
            raise DataError(f"{file.name}: the text is {encoding}; expected UTF-8. Save it again as UTF-8.")
    for magic, kind in MAGIC.items():
        if start.startswith(magic):
            raise DataError(f"{file.name}: this is {kind}; expected CSV, Parquet or Feather. Export the table.")
    text = start.removeprefix(BOM).lstrip().lower()
    if not text:
        raise DataError(f"{file.name}: the file holds nothing but blank lines; expected a table with a header.")
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<")):
        raise DataError(f"{file.name}: this is a web page or XML, not a table. Was a log-in page downloaded?")
    if text.startswith((b"{", b"[")):
        raise DataError(f"{file.name}: this looks like JSON; expected CSV, Parquet or Feather.")


def _not_utf8(name: str, line: int, piece: bytes, error: UnicodeDecodeError) -> str:
    begin = piece.rfind(b"\n", 0, error.start) + 1
    end = piece.find(b"\n", error.start)
    shown = piece[begin : end if end >= 0 else None][:80].decode("latin-1").strip()
    return f"{name}: line {line} is not UTF-8 text (it may be Latin-1: {shown!r}). Save the file again as UTF-8."


def check_quotes(file: DataFile, delimiter: str) -> None:
    """Raise `DataError` when a quotation mark is opened and not closed, or closed in the middle of a value.

    A row-by-row look, slow: for files whose quotation marks don't pair, or that have line ends within values.
    """
    with file.stream() as stream:
        text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        begins = 1
        try:
            for _ in reader:
                begins = reader.line_num + 1
        except csv.Error as error:
            where = f"{file.name}: a quotation mark in line {begins}"
            raise DataError(f"{where} is not closed, or not where a value ends ({error}).") from None
