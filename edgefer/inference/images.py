"""Find images and videos in files, folders, patterns and standard input.

    for source in iter_sources(expand_paths(["photos/", "clip.mp4", "-"])):
        source.name, source.read()                  # "clip.mp4#12", uint8 BGR (h, w, 3)

Images and videos are recognized by content, not by name. Images are decoded by read(), which another thread may
call. An unreadable image raises its own error and does not affect the others. A JPEG of more pixels than a board can
hold is decoded at a half, a quarter or an eighth of its size; DecodedImage.reduction has the factor.
"""

from __future__ import annotations

import errno
import io
import os
import re
import shlex
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from edgefer import files
from edgefer.contract.image_decoding import read_image
from edgefer.contract.image_header import MAX_MEMORY_BYTES, ImageHeader, memory_limit, read_header
from edgefer.errors import DataError
from edgefer.inference.image_source import DecodedImage, ImageSource
from edgefer.inference.media_type import VIDEO_SUFFIXES, is_media, media_type
from edgefer.inference.video_frames import iter_frames

__all__ = ["STDIN", "DecodedImage", "ImageSource", "expand_paths", "iter_sources"]

STDIN = "-"
WILDCARDS = set("*?[")
# A JPEG that needs more memory, 50 million pixels, is reduced while it is decoded.
REDUCED_MEMORY_BYTES = 300_000_000
REDUCTIONS = (1, 2, 4, 8)
HINT = "give an image such as face.png"


def _ignore(path: Path) -> None:
    """Ignore a file that is neither an image nor a video."""


def expand_paths(words: Sequence[str], *, on_other_file: Callable[[Path], None] = _ignore) -> tuple[str, ...]:
    """Return the files that ``words`` name, each once: files, images and videos in folders, and matches of patterns.

    Hidden files, trash folders and thumbnails in a folder are skipped. A folder that cannot be listed is returned
    itself, so that its error is reported with those of the images.

    Args:
        words: paths, patterns with * ? [], or "-" for standard input.
        on_other_file: called for each file in a folder that is neither an image nor a video.

    Raises:
        DataError: a folder or a pattern has no image and no video.
    """
    paths: list[str] = []
    for word in words:
        # Path.is_dir() raises an error for a name that is too long or in a folder without permission.
        if os.path.isdir(word):  # noqa: PTH112
            paths += _only_media(word, _folder_files(Path(word)), on_other_file)
        elif word != STDIN and not os.path.lexists(word) and WILDCARDS & set(word):
            paths += _only_media(word, _matches(word), on_other_file)
        else:
            # A missing file results in its own error, and the others are still read.
            paths.append(word)
    # "./a.jpg" is the a.jpg of a folder.
    unique: dict[str | Path, str] = {}
    for path in paths:
        unique.setdefault(path if path == STDIN else Path(path), path)
    return tuple(unique.values())


def _folder_files(folder: Path) -> list[Path]:
    walk = files.walk_files(folder)
    return sorted([*walk.files, *(path for path, _ in walk.unreadable)])


def _matches(pattern: str) -> list[Path]:
    """Return the files that match a pattern; a matching folder yields its files, as in a shell."""
    absolute = Path(pattern).is_absolute()
    anchor = Path(Path(pattern).anchor) if absolute else Path()
    # As in a shell, "**" beside other characters is "*". At the end of a pattern it stands for folders only before
    # Python 3.13, and files are wanted.
    words = [part if part == "**" else re.sub(r"\*+", "*", part) for part in Path(pattern).relative_to(anchor).parts]
    named = set(words)
    matches: list[Path] = []
    for path in sorted(anchor.glob("/".join([*words, "*"] if words[-1] == "**" else words))):
        if any(files.is_filesystem_leftover(part) for part in path.parts if part not in named):
            continue
        if not os.path.isdir(path):  # noqa: PTH112
            # A slash at the end selects folders; Python 3.10 ignores it.
            matches += [] if pattern.endswith("/") else [path]
        elif "**" not in named:
            matches += _folder_files(path)
    return matches


def _only_media(word: str, paths: Sequence[Path], on_other_file: Callable[[Path], None]) -> list[str]:
    media = []
    for path in paths:
        if os.path.isdir(path) or is_media(path):  # noqa: PTH112
            media.append(str(path))
        else:
            on_other_file(path)
    if not media:
        raise DataError(f"{word} has no pictures", why="expected images or videos", hint="pass the files themselves")
    return media


def iter_sources(paths: Sequence[str], *, every: int = 1) -> Iterator[ImageSource]:
    """Yield one source per image, and one for each ``every``-th frame of a video."""
    for path in paths:
        if path != STDIN and _is_video(Path(path)):
            yield from iter_frames(path, every=every)
        else:
            yield _ImageFile(path).source()


def _is_video(path: Path) -> bool:
    try:
        media = media_type(path)
    except OSError:  # decoding the image reports the error
        return False
    # Damaged content results in the error of a video if the name is that of a video.
    return media.kind == "video" if media is not None else path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()


class _ImageFile:
    """Image in a file, in a pipe or on standard input."""

    def __init__(self, name: str) -> None:
        self.name = name
        # The content of a pipe, which can be read only once.
        self._content: bytes | None = None

    def source(self) -> ImageSource:
        try:
            with self._open() as stream:
                _, memory_bytes = _choose_reduction(read_header(stream), _size_bytes(stream))
        except (DataError, OSError):  # decode() reports it
            memory_bytes = 0
        return ImageSource(self.name, self.decode, memory_bytes)

    def decode(self) -> DecodedImage:
        try:
            with self._open() as stream:
                reduction, _ = _choose_reduction(read_header(stream), _size_bytes(stream))
                stream.seek(0)
                content = stream.read()
            return DecodedImage(read_image(content, reduction=reduction), reduction)
        except OSError as error:
            why = error.strerror or str(error)
            raise DataError(f"cannot read {self.name}", why=why, hint=HINT) from error
        except DataError as error:
            unsupported = self._unsupported_format()
            why = f"OpenCV does not decode {unsupported} images" if unsupported else error.why
            hint = "convert it to JPEG" if unsupported else error.hint or HINT
            raise DataError(f"{self.name}: {error.what}", why=why, hint=hint) from error

    def _unsupported_format(self) -> str:
        try:
            media = None if self.name == STDIN else media_type(Path(self.name))
        except OSError:
            return ""
        return media.name if media is not None and media.kind == "unsupported" else ""

    def _open(self) -> BinaryIO:
        """Return the content as a seekable file.

        Raises:
            OSError: the file cannot be opened, or it is a folder.
            DataError: it is a device.
        """
        if self._content is None and self.name != STDIN:
            path = Path(self.name)
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                list(path.iterdir())  # raises the reason why the folder was not expanded
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                # A camera or a disk: its content has no end.
                hint = f"edgefer live --camera {shlex.quote(self.name)}"
                raise DataError("it is a device", why="expected an image or a video", hint=hint)
            if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                return path.open("rb")
            with path.open("rb") as pipe:
                self._content = pipe.read(MAX_MEMORY_BYTES + 1)
        elif self._content is None:
            if sys.stdin is None:
                raise OSError(errno.EBADF, "standard input is closed")
            self._content = sys.stdin.buffer.read(MAX_MEMORY_BYTES + 1)
        return io.BytesIO(self._content)


def _size_bytes(stream: BinaryIO) -> int:
    return stream.seek(0, io.SEEK_END)


def _choose_reduction(header: ImageHeader | None, size_bytes: int) -> tuple[int, int]:
    """Return the reduction to decode an image at, and an estimate of the memory.

    Raises:
        DataError: the image needs more memory than the limit.
    """
    if header is None:
        if size_bytes > MAX_MEMORY_BYTES:
            raise _too_large(f"{size_bytes:,} bytes")
        return 1, size_bytes
    estimates = [(reduction, size_bytes + header.memory_bytes(reduction)) for reduction in REDUCTIONS]
    reductions = estimates if header.is_scalable else estimates[:1]
    # Coefficients of a progressive JPEG take memory at any reduction.
    largest = memory_limit()
    limit = largest if not header.is_scalable or header.coefficient_bytes else REDUCED_MEMORY_BYTES
    reduced = min(REDUCED_MEMORY_BYTES, largest)
    fitting = [item for item in reductions if item[1] <= reduced] or [
        item for item in reductions[-1:] if item[1] <= min(limit, largest)
    ]
    if not fitting:
        raise _too_large(f"{header.width:,} x {header.height:,} pixels in {size_bytes:,} bytes")
    return fitting[0]


def _too_large(why: str) -> DataError:
    hint = "shrink it, cut the faces out, or save it as a JPEG that is not progressive"
    return DataError("the image is too large to decode", why=why, hint=hint)
