"""Pictures, clips and recordings on their way in."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server import catalog
from mcp_server.domain.file_format import ENOUGH, sniff
from mcp_server.domain.request import VideoRequest
from mcp_server.errors import RequestError
from mcp_server.providers import media_inputs

PROVIDERS = catalog.load().providers
RUNAPI, RUNCOMFY, OCTOPUSX = (PROVIDERS[name] for name in ("runapi", "runcomfy", "octopusx"))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
JPEG = b"\xff\xd8\xff\xe0" + bytes(40)
MP4 = b"\x00\x00\x00\x20ftypisom" + bytes(40)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(40)


def data(content: bytes, said: str = "image/png") -> str:
    return f"data:{said};base64,{base64.b64encode(content).decode()}"


def refusal(request: VideoRequest, **more: bool) -> RequestError:
    with pytest.raises(RequestError) as caught:
        media_inputs.inspect(request, **more)
    return caught.value


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (JPEG, "JPEG"),
        (PNG, "PNG"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "WebP"),
        (b"BM\x36\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00", "BMP"),
        (MP4, "MP4"),
        (b"\x00\x00\x00\x18ftypmp42", "MP4"),
        (b"\x00\x00\x00\x14ftypqt  ", "QuickTime"),
        (b"\x00\x00\x10\x00moov", "QuickTime"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x00", "MP3"),
        (b"\xff\xfb\x90\x00", "MP3"),
        (b"\xff\xf3\x40\xc0", "MP3"),
        (WAV, "WAV"),
        (b"\x00\x00\x00\x20ftypM4A ", "M4A"),
        (b"\xff\xf1\x50\x80", "AAC"),
        (b"\xff\xf9\x50\x80", "AAC"),
    ],
)
def test_what_vendors_take_is_known_by_its_bytes(head: bytes, name: str) -> None:
    found = sniff(head)

    assert found is not None
    assert (found.name, found.fit) == (name, True)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"GIF89a", "GIF"),
        (b"II*\x00", "TIFF"),
        (b"MM\x00*", "TIFF"),
        (b"\x00\x00\x00\x18ftypheic", "HEIC"),
        (b"\x00\x00\x00\x18ftyphevc", "HEIC"),
        (b"\x00\x00\x00\x18ftypmif1", "HEIC"),
        (b"\x00\x00\x00\x18ftypavif", "AVIF"),
        (b"\x1aE\xdf\xa3", "WebM or Matroska"),
        (b"RIFF\x24\x00\x00\x00AVI ", "AVI"),
        (b"OggS", "Ogg"),
        (b"fLaC", "FLAC"),
    ],
)
def test_what_vendors_do_not_take_is_known_by_name(head: bytes, name: str) -> None:
    found = sniff(head)

    assert found is not None
    assert (found.name, found.fit) == (name, False)


@pytest.mark.parametrize(
    "head",
    [b"", b"\xff", b"BM is a text", b"<!doctype html>", b"%PDF-1.7", b"RIFF\x24\x00\x00\x00ACON", b"\xff\xff\xff\xff"],
)
def test_anything_else_is_not_known(head: bytes) -> None:
    assert sniff(head) is None


def test_every_medium_of_a_request_is_found_by_its_place() -> None:
    request = VideoRequest(
        image="https://example.com/a.png",
        end_image="~/b.png",
        references=("./c.png", data(PNG)),
        video="file:///d.mp4",
        audio_file=r"C:\sounds\e.mp3",
    )

    assert media_inputs.inspect(request) == {
        "image": "https",
        "end_image": "file",
        "references[0]": "file",
        "references[1]": "data",
        "video": "file",
        "audio_file": "file",
    }
    assert media_inputs.inspect(VideoRequest(prompt="x", image="")) == {}


def test_every_unusable_address_is_named_at_once_and_no_signature_is_repeated() -> None:
    error = refusal(
        VideoRequest(
            image="http://example.com/a.png?token=s3cret",
            end_image="https://me:pa55@example.com/b.png",
            references=("https://example.com/ok.png", "https://10.0.0.1/c.png"),
            video="ftp://example.com/d.mp4",
            audio_file="data:audio/mpeg;base64,@@@",
        )
    )

    assert len(error.problems) == 5
    for problem, words in zip(
        error.problems,
        (
            "`image` cannot be sent to a vendor, it is not https: http://example.com/a.png",
            "`end_image` cannot be sent to a vendor, it carries a user name or a password",
            "`references[1]` cannot be sent to a vendor, its host is a private or reserved address",
            "`video` is no address, data: URI or path: ftp://example.com/d.mp4",
            "`audio_file` is a data: URI that cannot be read",
        ),
        strict=True,
    ):
        assert problem.startswith(words)
    assert "s3cret" not in str(error.as_dict())
    assert "pa55" not in str(error.as_dict())
    assert error.money == "not_spent"


def test_the_sandboxs_own_address_passes_in_a_rehearsal_only() -> None:
    request = VideoRequest(image="http://127.0.0.1:9/a.png")

    assert media_inputs.inspect(request, simulated=True) == {"image": "https"}
    assert "not https" in refusal(request).what


def test_who_cannot_take_it_says_who_can() -> None:
    given_ = {"image": "https", "references[0]": "file", "video": "data"}

    assert media_inputs.refused_by(RUNAPI, given_) == ()
    assert media_inputs.refused_by(RUNCOMFY, given_) == ()
    assert media_inputs.refused_by(OCTOPUSX, given_) == (
        "octopusx does not take a local file (`references[0]`)",
        "octopusx does not take a data: URI (`video`)",
    )
    assert media_inputs.refused_by(OCTOPUSX, {"image": "file"}, PROVIDERS.values()) == (
        "octopusx does not take a local file (`image`); runapi and runcomfy and klingai and fal and replicate can",
    )


def test_a_local_file_is_read_by_its_bytes_and_named_after_them(tmp_path: Path) -> None:
    path = tmp_path / "cat.jpeg"
    path.write_bytes(PNG)

    found = media_inputs.load("image", str(path), RUNAPI)

    assert (found.format.media_type, found.name, found.content) == ("image/png", "cat.png", PNG)
    assert found.data_uri == data(PNG)
    assert repr(PNG) not in repr(found)


def test_a_path_may_start_at_home_or_be_a_file_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "my clip.mp4").write_bytes(MP4)

    for text in ("~/my clip.mp4", f"file://{tmp_path}/my%20clip.mp4", f" {tmp_path}/my clip.mp4 "):
        assert media_inputs.load("video", text, RUNAPI).content == MP4


def test_a_data_uri_is_believed_by_its_bytes(tmp_path: Path) -> None:
    assert media_inputs.load("references[2]", data(JPEG, "image/png"), RUNAPI).name == "references-2.jpg"
    assert media_inputs.load("audio_file", "data:," + "".join(f"%{byte:02x}" for byte in WAV), RUNAPI).content == WAV
    unpadded = data(PNG).rstrip("=")
    assert media_inputs.load("image", unpadded, RUNAPI).content == PNG


@pytest.mark.parametrize(
    ("place", "content", "words"),
    [
        ("image", b"", "`image` is empty"),
        ("image", b"root:x:0:0:", "no file this program knows; a picture is wanted here (JPEG, PNG, WebP or BMP)"),
        ("image", MP4, "`image` is a clip (MP4); a picture is wanted here"),
        ("references[0]", WAV, "`references[0]` is a recording (WAV)"),
        ("video", PNG, "`video` is a picture (PNG); a clip is wanted here (MP4 or QuickTime)"),
        ("audio_file", MP4, "`audio_file` is a clip (MP4); a recording is wanted here"),
        ("image", b"GIF89a" + bytes(9), "`image` is GIF, which no vendor takes"),
    ],
)
def test_the_wrong_sort_of_file_is_refused_by_name(place: str, content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "file.png"
    path.write_bytes(content)

    for text in (str(path), data(content)):
        with pytest.raises(RequestError) as caught:
            media_inputs.load(place, text, RUNAPI)
        assert words in caught.value.what


def test_a_file_is_read_up_to_the_limit_and_not_beyond(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_inputs, "LIMITS", {"image": len(PNG), "video": len(PNG), "audio": len(PNG)})
    asked: list[int] = []

    def read(path: Path, limit: int) -> bytes:
        asked.append(limit)
        return PNG + b"!"

    (tmp_path / "a.png").write_bytes(PNG)
    assert media_inputs.load("image", str(tmp_path / "a.png"), RUNAPI).content == PNG
    with pytest.raises(RequestError, match="too large"):
        media_inputs.load("image", "a.png", RUNAPI, read=read)
    assert asked == [len(PNG)]
    (tmp_path / "big.png").write_bytes(PNG * 3)
    assert len(media_inputs.read_file(tmp_path / "big.png", 10)) == 11


def test_a_vendors_own_limit_is_kept() -> None:
    limit = RUNCOMFY.upload_max_bytes
    assert limit is not None
    clip = MP4 + bytes(limit - len(MP4))

    assert media_inputs.load("video", "a.mp4", RUNCOMFY, read=lambda _path, _limit: clip).content == clip
    with pytest.raises(RequestError, match=r"at most 32\.0 MiB for RunComfy"):
        media_inputs.load("video", "a.mp4", RUNCOMFY, read=lambda _path, _limit: clip + b"!")
    assert media_inputs.load("video", "a.mp4", RUNAPI, read=lambda _path, _limit: clip + b"!")


def test_what_is_no_readable_file_says_so(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)

    for text, words in (
        (str(tmp_path / "nothing.png"), "There is no file"),
        ("example.com/a.png", "There is no file"),
        (str(tmp_path), "no ordinary file"),
        (str(pipe), "no ordinary file"),
        ("/dev/zero", "no ordinary file"),
        ("a\0b", "cannot be read"),
        ("x" * 5000, "cannot be read"),
    ):
        with pytest.raises(RequestError) as caught:
            media_inputs.load("image", text, RUNAPI)
        assert words in caught.value.what


def test_what_was_uploaded_takes_its_place() -> None:
    request = VideoRequest(prompt="x", image="a.png", references=("b.png", "https://example.com/c.png", "d.png"))

    placed = media_inputs.placed(request, {"image": "https://f/1", "references[2]": "https://f/2"})

    assert placed.image == "https://f/1"
    assert placed.references == ("b.png", "https://example.com/c.png", "https://f/2")
    assert placed.prompt == "x"


@settings(max_examples=300)
@given(text=st.text() | st.text().map("data:".__add__) | st.text().map("https://".__add__))
def test_no_text_breaks_it(text: str) -> None:
    try:
        given_ = media_inputs.inspect(VideoRequest(image=text, references=(text,)))
        if given_.get("image") == "data":
            media_inputs.load("image", text, RUNAPI)
    except RequestError as error:
        assert str(error)


@given(st.binary(max_size=ENOUGH))
def test_no_bytes_break_it(head: bytes) -> None:
    found = sniff(head)

    assert found is None or found.suffix.startswith(".")


def test_a_path_in_a_folder_that_is_gone_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> str:
        raise FileNotFoundError

    monkeypatch.setattr("os.getcwd", gone)
    with pytest.raises(RequestError, match="is gone"):
        media_inputs.load("image", "a.png", RUNAPI)
