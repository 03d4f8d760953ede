"""Every image that OpenCV decodes has its size read first, and phones' and editors' images decode as in Pillow."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest

from edgefer.contract.image_decoding import read_image
from edgefer.contract.image_header import MAX_MEMORY_BYTES, memory_limit, read_header
from edgefer.errors import DataError

HEIGHT, WIDTH = 40, 72
IMAGE = cv2.resize(
    np.random.default_rng(0).integers(0, 256, (5, 9, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC
)
EXTENSIONS = [".jpg", ".png", ".gif", ".bmp", ".tiff", ".webp", ".avif", ".jp2", ".ppm", ".pgm", ".pfm", ".hdr", ".sr"]


def encode(extension: str, image: np.ndarray = IMAGE, *options: int) -> bytes:
    if not cv2.haveImageWriter(f"image{extension}"):
        pytest.skip(f"this OpenCV cannot write {extension}")
    if extension in (".pfm", ".hdr"):
        image = image.astype(np.float32)
    done, content = cv2.imencode(extension, image, options)
    assert done
    return content.tobytes()


def header(content: bytes):
    return read_header(io.BytesIO(content))


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_the_header_has_the_size_of_the_decoded_image(extension):
    content = encode(extension, IMAGE[..., 0] if extension == ".pgm" else IMAGE)
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape[:2] == (HEIGHT, WIDTH)
    assert (header(content).height, header(content).width) == (HEIGHT, WIDTH)
    assert read_image(content).shape == (HEIGHT, WIDTH, 3)


def png(width, height):
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def jpeg(width, height, *options):
    content = bytearray(encode(".jpg", IMAGE, *options))
    place = next(content.index(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in content)
    content[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def tiff(width, height, *more, order="<"):
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8),
        (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, 1), *more,
    ]  # fmt: skip
    fields = [
        struct.pack(f"{order}HHI", *entry[:3])
        + struct.pack(f"{order}{'HH' if entry[1] == 3 else 'I'}", *entry[3:], *[0] * (entry[1] == 3))
        for entry in sorted(entries)
    ]
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}IH", 8, len(fields)) + b"".join(fields) + bytes(4)


def gif(width, height, frame_width=1, frame_height=1):
    screen = b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    comment = b"!\xfe\x05hello\0"
    return screen + comment + b"," + struct.pack("<HHHH", 0, 0, frame_width, frame_height) + b"\0\x02\x02\x44\x01\0;"


def bmp(width, height):
    info = struct.pack("<IiiHHIIiiII", 40, width, -height, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 3000, 0, 0, 1078) + info + bytes(1024) + b"\0\1"


def webp(width, height):
    def uint24(value):
        return (value - 1).to_bytes(3, "little")

    canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + uint24(width) + uint24(height)
    return b"RIFF" + struct.pack("<I", 4 + len(canvas)) + b"WEBP" + canvas


def lossless_webp(width, height):
    size = (width - 1 | (height - 1) << 14).to_bytes(4, "little")
    frame = b"VP8L" + struct.pack("<I", 6) + b"\x2f" + size + b"\0"
    return b"RIFF" + struct.pack("<I", 4 + len(frame)) + b"WEBP" + frame


def jpeg2000(width, height):
    sizes = struct.pack(">HIIIIIIIIH", 0, width, height, 0, 0, width, height, 0, 0, 1)
    return b"\xff\x4f\xff\x51" + struct.pack(">H", 41) + sizes + b"\x07\x01\x01"


def avif(width, height):
    def box(name, content):
        return struct.pack(">I4s", len(content) + 8, name) + content

    size = box(b"ispe", bytes(4) + struct.pack(">II", width, height))
    properties = box(b"iprp", box(b"ipco", size))
    return box(b"ftyp", b"mif1\0\0\0\0mif1avif") + box(b"meta", bytes(4) + properties)


BOMBS = {
    "png": png(30_000, 30_000),
    "progressive jpeg": jpeg(20_000, 20_000, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "jpeg": jpeg(30_000, 30_000),
    "jpeg with fill bytes": b"\xff\xd8\xff\xff\xff\xe0" + jpeg(30_000, 30_000)[4:],
    "tiff": tiff(30_000, 30_000),
    "big-endian tiff": tiff(30_000, 30_000, order=">"),
    "tiff tile": tiff(64, 64, (322, 4, 1, 60_000), (323, 4, 1, 60_000)),
    "gif canvas": gif(32_000, 32_000),
    "gif frame": gif(1, 1, 32_000, 32_000),
    "bmp": bmp(30_000, 30_000),
    "webp canvas": webp(16_000_000, 100),
    "webp canvas of an animation, which is decoded with two frames": webp(4097, 32_768),
    "webp lossless": lossless_webp(16_384, 16_384),
    "jpeg 2000": jpeg2000(30_000, 30_000),
    "avif": avif(30_000, 30_000),
    "pgm": b"P5 # a comment\n30000 30000 255\n",
    "plain pgm": b"P2\n30000\n30000\n255\n0",
    "pam": b"P7\nWIDTH 30000\nHEIGHT 30000\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n",
    "pfm": b"PF\n30000 30000\n-1.0\n",
    "hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 30000 +X 30000\n",
    "sun": b"\x59\xa6\x6a\x95" + struct.pack(">IIIIIII", 30_000, 30_000, 24, 0, 1, 0, 0),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_with_a_huge_size_is_rejected_before_it_is_decoded(name, monkeypatch):
    assert len(BOMBS[name]) < 3000
    assert header(BOMBS[name]).memory_bytes() > MAX_MEMORY_BYTES
    monkeypatch.setattr(cv2, "imdecode", lambda *arguments: pytest.fail("decoded"))
    with pytest.raises(DataError, match="too large to decode"):
        read_image(BOMBS[name])


@pytest.mark.parametrize("kind", ["avif", "gif"])
def test_a_format_that_this_opencv_does_not_decode_is_not_called_damage(kind):
    content = avif(48, 48) if kind == "avif" else b"GIF89a" + struct.pack("<HHBBB", 48, 48, 0, 0, 0) + b";"
    assert header(content).format == kind
    with pytest.raises(DataError, match="OpenCV cannot read the image") as caught:
        read_image(content)
    has_decoder = cv2.haveImageWriter(f".{kind}")
    assert (f"does not decode {kind.upper()} images" in caught.value.why) != has_decoder
    assert ("damaged" in caught.value.why) == has_decoder


@pytest.mark.parametrize(
    "content",
    [
        b"", b"BM", b"\xff\xd8\xff", b"II*\0", b"GIF89a", b"P5", b"\0\0\0\x0cjP  \r\n\x87\n", b"RIFF\0\0\0\0WEBP",
        b"P7\nENDHDR", b"\x59\xa6\x6a\x95", b"%PDF-1.7", bytes(100), b"P7\nWIDTH 6\nDEPTH 3\nENDHDR\n",
        b"P5\n48 " + b"9" * 400 + b"\n255\n", b"PF\n-48 48\n-1\n",
        b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 48 +X " + b"9" * 400 + b"\n",
        b"\xff\xd8\xff\xc2\0\x11\x08\0\x30\0\x30\x03\1\0\0\2\0\0\3\0\0",  # sampling factors of 0
    ],
)  # fmt: skip
def test_a_damaged_header_gives_none(content):
    assert header(content) is None


def test_every_cut_of_a_header_is_handled():
    for extension in EXTENSIONS:
        if not cv2.haveImageWriter(f"image{extension}"):
            continue
        content = encode(extension, IMAGE[..., 0] if extension == ".pgm" else IMAGE)
        for length in range(0, min(len(content), 400), 3):
            header(content[:length])


@pytest.fixture
def pillow():
    return pytest.importorskip("PIL.Image")


def saved(image, kind, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def reference(content: bytes) -> np.ndarray:
    """Return the first frame as Pillow decodes it: upright, BGR, without alpha."""
    operations = pytest.importorskip("PIL.ImageOps")
    opened = pytest.importorskip("PIL.Image").open(io.BytesIO(content))
    return np.asarray(operations.exif_transpose(opened).convert("RGB"))[..., ::-1]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "MPO"])
def test_every_orientation_of_a_photo_is_applied(pillow, kind, orientation):
    exif = pillow.Exif()
    exif[0x112] = orientation
    quality = {} if kind in ("PNG", "TIFF") else {"quality": 95}
    content = saved(pillow.fromarray(IMAGE[..., ::-1]), kind, exif=exif, **quality)
    if kind == "AVIF" and not cv2.haveImageWriter("image.avif"):
        pytest.skip("this OpenCV has no AVIF")
    expected = reference(content)
    assert expected.shape == ((HEIGHT, WIDTH, 3) if orientation < 5 else (WIDTH, HEIGHT, 3))
    difference = np.abs(read_image(content).astype(int) - expected)
    assert difference.max() < 12


def test_a_reduced_photo_is_upright(pillow):
    exif = pillow.Exif()
    exif[0x112] = 6
    content = saved(pillow.fromarray(IMAGE[..., ::-1]), "JPEG", exif=exif, quality=95)
    reduced = read_image(content, reduction=2)
    assert reduced.shape == (WIDTH // 2, HEIGHT // 2, 3)
    expected = cv2.resize(reference(content), (HEIGHT // 2, WIDTH // 2), interpolation=cv2.INTER_AREA)
    assert np.abs(reduced.astype(int) - expected).mean() < 3


def variants(pillow) -> dict[str, bytes]:
    rgb = pillow.fromarray(IMAGE[..., ::-1])
    alpha = pillow.fromarray(np.dstack([IMAGE[..., ::-1], np.full((HEIGHT, WIDTH), 255, np.uint8)]))
    other = rgb.transpose(pillow.Transpose.FLIP_LEFT_RIGHT)
    palette = rgb.quantize(16)
    return {
        "alpha PNG": saved(alpha, "PNG"),
        "gray and alpha PNG": saved(alpha.convert("LA"), "PNG"),
        "palette PNG": saved(palette, "PNG"),
        "palette PNG with transparency": saved(palette, "PNG", transparency=3),
        "black and white PNG": saved(rgb.convert("1"), "PNG"),
        "animated PNG": saved(rgb, "PNG", save_all=True, append_images=[other]),
        "CMYK JPEG": saved(rgb.convert("CMYK"), "JPEG", quality=95),
        "gray JPEG": saved(rgb.convert("L"), "JPEG"),
        "progressive JPEG": saved(rgb, "JPEG", progressive=True),
        "JPEG with RGB components": saved(rgb, "JPEG", keep_rgb=True),
        "multi-page TIFF": saved(rgb, "TIFF", save_all=True, append_images=[other]),
        "CMYK TIFF": saved(rgb.convert("CMYK"), "TIFF"),
        "LZW TIFF": saved(rgb, "TIFF", compression="tiff_lzw"),
        "animated WebP": saved(rgb, "WEBP", save_all=True, append_images=[other], lossless=True),
        "alpha WebP": saved(alpha, "WEBP", lossless=True),
        "alpha BMP": saved(alpha, "BMP"),
        "JPEG 2000 with alpha": saved(alpha, "JPEG2000"),
        "photo with a video behind it": saved(rgb, "JPEG", quality=95) + b"\0\0\0\x18ftypmp42" + bytes(10_000),
    }


def test_images_of_editors_decode_as_in_pillow(pillow):
    for name, content in variants(pillow).items():
        difference = np.abs(read_image(content).astype(int) - reference(content))
        assert difference.max() < 12, name


def test_the_first_frame_of_an_animated_gif_is_decoded(pillow):
    if not cv2.haveImageWriter("image.gif"):
        pytest.skip("this OpenCV has no GIF")
    frames = [pillow.fromarray(np.full((16, 16, 3), level, np.uint8)).quantize(8) for level in (40, 200)]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.abs(read_image(content).astype(int) - reference(content)).max() < 12


def test_a_jpeg_with_a_plain_lower_half_may_lack_its_end():
    image = np.vstack([IMAGE, np.full((200, WIDTH, 3), 250, np.uint8)])
    content = encode(".jpg", image)
    assert np.array_equal(read_image(content[:-2]), read_image(content))


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("missing", [1, 2, 3, 8])
def test_a_jpeg_that_lacks_its_last_bytes_is_decoded(missing, progressive):
    content = encode(".jpg", IMAGE, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    expected = read_image(content).astype(int)
    difference = np.abs(read_image(content[:-missing]) - expected)
    # The last row of blocks may be gray.
    assert difference[:-20].max() < 40
    if missing <= 2:
        assert difference.max() == 0


def test_a_png_without_its_end_chunk_is_decoded():
    assert np.array_equal(read_image(encode(".png")[:-12]), IMAGE)


@pytest.mark.parametrize(
    ("dtype", "samples"), [(np.float32, "32-bit float"), (np.float64, "64-bit float"), (np.int32, "32-bit integer")]
)
def test_a_tiff_with_samples_that_opencv_does_not_convert_is_not_damaged(dtype, samples):
    with pytest.raises(DataError, match=f"the TIFF image has {samples} samples: expected integers") as refused:
        read_image(encode(".tiff", IMAGE[..., 0].astype(dtype)))
    assert "8 bits" in refused.value.hint


@pytest.mark.parametrize("extension", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_values_of_8_bits_in_samples_of_16_bits_are_not_a_black_image(extension, channels):
    values = np.full((48, 48, channels), 200, np.uint16)
    values[..., 3:] = 65_535
    with pytest.raises(DataError, match=r"its largest value is 200 of 65,535") as refused:
        read_image(encode(extension, values))
    assert "8 bits" in refused.value.hint
    values[0, 0] = 65_535
    assert read_image(encode(extension, values)).max() == 255


@pytest.mark.parametrize("extension", [".png", ".tiff"])
def test_a_black_image_of_16_bits_is_black(extension):
    assert read_image(encode(extension, np.zeros((48, 48), np.uint16))).max() == 0


@pytest.mark.parametrize("share", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_half_a_picture_is_rejected(extension, share):
    image = np.random.default_rng(1).integers(0, 256, (200, 100, 3), np.uint8)
    content = encode(extension, image)
    with pytest.raises(DataError, match="cut short|cannot read"):
        read_image(content[: int(share * len(content))])


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, MAX_MEMORY_BYTES),
        ({"proc/meminfo": "MemTotal: 8000000 kB\nMemAvailable:    7000000 kB\n"}, MAX_MEMORY_BYTES),
        ({"proc/meminfo": "MemTotal: 480000 kB\nMemAvailable:     300000 kB\n"}, 230_400_000),
        ({"sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/memory.stat": "anon 1\nfile 7\n"}, MAX_MEMORY_BYTES),
        ({"sys/fs/cgroup/memory.max": "500\n", "sys/fs/cgroup/memory.stat": "anon 100\nfile 350\n"}, 300),
        ({"sys/fs/cgroup/memory.max": "5\n", "sys/fs/cgroup/memory.stat": "anon 10\n"}, 0),
        (
            {
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "400000000\n",
                "sys/fs/cgroup/memory/memory.stat": "cache 9\ntotal_rss 0\n",
            },
            300_000_000,
        ),
    ],
)
def test_the_memory_limit_shrinks_with_the_available_memory(tmp_path, files, limit):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert memory_limit(root=tmp_path) == limit


@pytest.mark.parametrize("multiplied", [True, False])
def test_the_colors_of_a_tiff_file_with_alpha_are_those_of_the_png_file(multiplied):
    pillow = pytest.importorskip("PIL.Image")
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:, :20], alpha[:4] = 200, 0
    stored = IMAGE * (alpha[..., None] / 255 if multiplied else 1)
    image = np.dstack([stored.round().astype(np.uint8)[..., ::-1], alpha])
    file = io.BytesIO()
    pillow.fromarray(image).save(file, "TIFF")
    content = file.getvalue()
    entry = struct.pack("<HHIHH", 338, 3, 1, 2, 0)  # ExtraSamples: alpha that is not multiplied
    assert content.count(entry) == 1
    content = content.replace(entry, struct.pack("<HHIHH", 338, 3, 1, 1 if multiplied else 2, 0))
    decoded = read_image(content).astype(int)
    visible = alpha > 0
    assert np.abs(decoded - IMAGE)[visible].max() <= 2
    assert (decoded[alpha == 255] == IMAGE[alpha == 255]).all()
    assert (decoded[~visible] == 0).all()


def test_texts_and_color_profiles_of_a_png_are_not_inflated(monkeypatch):
    def chunk(name, value):
        return struct.pack(">I", len(value)) + name + value + struct.pack(">I", zlib.crc32(name + value))

    bomb = zlib.compress(bytes(1_000_000))
    content = encode(".png", IMAGE)
    after_header = 8 + 25
    chunks = [
        chunk(b"tEXt", b"Comment\0text"), chunk(b"zTXt", b"Comment\0\0" + bomb), chunk(b"iCCP", b"name\0\0" + bomb),
        chunk(b"iTXt", b"Comment\0\1\0\0\0" + bomb),
    ]  # fmt: skip
    decoded, imdecode = [], cv2.imdecode

    def record(buffer, *flags):
        decoded.append(bytes(buffer))
        return imdecode(buffer, *flags)

    monkeypatch.setattr(cv2, "imdecode", record)
    image = read_image(content[:after_header] + b"".join(chunks) + content[after_header:] + chunk(b"zTXt", bomb))
    assert (image == IMAGE).all()
    assert len(decoded) == 1
    assert decoded[0].startswith(content)


def test_a_png_chunk_that_ends_after_the_file_is_not_decoded(monkeypatch):
    content = bytearray(encode(".png", IMAGE))
    place = content.index(b"IDAT") - 4
    struct.pack_into(">I", content, place, 0x7F000001)
    monkeypatch.setattr(cv2, "imdecode", lambda *arguments: pytest.fail("decoded"))
    with pytest.raises(DataError, match="cut short"):
        read_image(bytes(content))
