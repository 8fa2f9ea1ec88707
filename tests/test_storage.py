"""One table of behaviours over every kind of target: a directory, moto, and a real S3 server."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests import servers
from vidpipe.errors import PublishFailed, UsageError
from vidpipe.storage import Storage, open_storage
from vidpipe.storage.base import Damaged, clean_path, get_if_there
from vidpipe.storage.local import LocalStorage

KINDS = ["local", "moto", "rclone"]


@pytest.fixture(scope="module")
def s3_servers() -> Iterator[dict[str, servers.S3Server | str]]:
    with servers.moto() as moto:
        try:
            with servers.rclone() as rclone:
                yield {"moto": moto, "rclone": rclone}
        except servers.Unavailable as reason:
            yield {"moto": moto, "rclone": str(reason)}


@pytest.fixture(params=KINDS)
def storage(
    request: pytest.FixtureRequest, s3_servers: dict[str, servers.S3Server | str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Storage]:
    if request.param == "local":
        yield open_storage(str(tmp_path / "library"))
        return
    server = s3_servers[request.param]
    if isinstance(server, str):
        pytest.skip(server)
    server.use(monkeypatch, tmp_path)
    # A prefix for each test: the servers live as long as the module.
    with closing(open_storage(f"s3://{server.bucket}/{request.node.name.replace('[', '-').rstrip(']')}/p")) as opened:
        yield opened


def put(storage: Storage, path: str, data: bytes | Path) -> str:
    raw = data.read_bytes() if isinstance(data, Path) else data
    sha256 = hashlib.sha256(raw).hexdigest()
    storage.put(path, data, content_type="video/mp4", cache_control="public, max-age=604800, immutable", sha256=sha256)
    return sha256


def test_an_object_comes_back_as_it_was(storage: Storage, tmp_path: Path) -> None:
    data = bytes(range(256)) * 300
    sha256 = put(storage, "t/v/video/a b/00001.m4s", data)
    assert storage.get("t/v/video/a b/00001.m4s") == data
    stored = storage.head("t/v/video/a b/00001.m4s")
    assert stored is not None
    assert (stored.path, stored.size, stored.sha256) == ("t/v/video/a b/00001.m4s", len(data), sha256)
    expected = (None, None) if isinstance(storage, LocalStorage) else ("video/mp4", "public, max-age=604800, immutable")
    assert (stored.content_type, stored.cache_control) == expected
    storage.download("t/v/video/a b/00001.m4s", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data


def test_bytes_that_are_not_those_that_are_wanted_are_no_answer(storage: Storage) -> None:
    sha256 = put(storage, "t/v/x", b"data")
    assert storage.get("t/v/x", sha256) == b"data"
    with pytest.raises(Damaged) as refused:
        storage.get("t/v/x", "ab" * 32)
    assert (refused.value.size, refused.value.sha256) == (4, sha256)


def test_what_is_not_there_is_another_matter_than_a_target_that_fails(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    put(storage, "t/v/x", b"data")
    assert get_if_there(storage, "t/v/x") == b"data"
    assert get_if_there(storage, "t/v/y") is None

    def fails(*_: object, **__: object) -> bytes:
        raise PublishFailed("cannot read: the server failed")

    monkeypatch.setattr(storage, "get", fails)
    assert get_if_there(storage, "t/v/y") is None
    with pytest.raises(PublishFailed, match="the server failed"):
        get_if_there(storage, "t/v/x")


def test_a_file_is_uploaded_and_replaces_what_was_there(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"new" * 1000)
    put(storage, "t/v/x.jpg", b"old")
    put(storage, "t/v/x.jpg", tmp_path / "source")
    assert storage.get("t/v/x.jpg") == b"new" * 1000


def test_an_object_is_copied_inside_the_target_with_its_headers(storage: Storage) -> None:
    data = bytes(range(256)) * 300
    sha256 = put(storage, "t/v1/video/a b/00001.m4s", data)
    put(storage, "t/v2/other/x.m4s", b"what was there before")
    for path in ("t/v2/video/a b/00001.m4s", "t/v2/other/x.m4s", "t/v2/other/x.m4s"):
        assert storage.copy("t/v1/video/a b/00001.m4s", path, size=len(data))
        assert storage.get(path) == data
        stored, original = storage.head(path), storage.head("t/v1/video/a b/00001.m4s")
        assert stored is not None
        assert original is not None
        assert stored.model_copy(update={"path": "", "tag": ""}) == original.model_copy(update={"path": "", "tag": ""})
        assert stored.sha256 == sha256
    assert [stored.path for stored in storage.list("t/v2")] == ["t/v2/other/x.m4s", "t/v2/video/a b/00001.m4s"]


def test_a_copy_does_not_follow_what_is_written_over_its_original(storage: Storage) -> None:
    put(storage, "t/v1/x.m4s", b"first")
    assert storage.copy("t/v1/x.m4s", "t/v2/x.m4s", size=5)
    put(storage, "t/v1/x.m4s", b"second")
    assert storage.get("t/v2/x.m4s") == b"first"
    put(storage, "t/v2/x.m4s", b"third")
    assert (storage.get("t/v1/x.m4s"), storage.get("t/v2/x.m4s")) == (b"second", b"third")
    storage.delete_prefix("t/v1")
    assert storage.get("t/v2/x.m4s") == b"third"


def test_what_is_not_there_is_not_copied(storage: Storage) -> None:
    assert not storage.copy("t/v1/x.m4s", "t/v2/x.m4s", size=5)
    assert list(storage.list("t")) == []


def test_an_empty_object_is_an_object(storage: Storage) -> None:
    put(storage, "t/v/empty.vtt", b"")
    assert storage.get("t/v/empty.vtt") == b""


def test_list_is_ordered_and_stays_in_its_folder(storage: Storage) -> None:
    for path in ("t/v1/b", "t/v1/a/1", "t/v10/c", "t/v1.m3u8"):
        put(storage, path, path.encode())
    assert [(found.path, found.size) for found in storage.list("t/v1")] == [("t/v1/a/1", 8), ("t/v1/b", 6)]
    assert {found.path for found in storage.list()} == {"t/v1/b", "t/v1/a/1", "t/v10/c", "t/v1.m3u8"}
    assert list(storage.list("nothing/here")) == []


def test_delete_prefix_removes_one_folder_only(storage: Storage) -> None:
    for path in ("t/v1/b", "t/v1/a/1", "t/v10/c"):
        put(storage, path, b"x")
    storage.delete_prefix("t/v1")
    storage.delete_prefix("t/v1")
    assert [found.path for found in storage.list()] == ["t/v10/c"]
    with pytest.raises(ValueError, match="object path"):
        storage.delete_prefix("")


def test_delete_removes_one_object(storage: Storage) -> None:
    for path in ("t/master.m3u8", "t/master.m3u8.bak", "t/v1/master.m3u8"):
        put(storage, path, b"x")
    storage.delete("t/master.m3u8")
    storage.delete("t/master.m3u8")
    assert [found.path for found in storage.list()] == ["t/master.m3u8.bak", "t/v1/master.m3u8"]
    with pytest.raises(ValueError, match="object path"):
        storage.delete("")


def test_what_is_missing_is_named(storage: Storage, tmp_path: Path) -> None:
    assert storage.head("t/none") is None
    for read in (lambda: storage.get("t/none"), lambda: storage.download("t/none", tmp_path / "copy")):
        with pytest.raises(PublishFailed) as failure:
            read()
        assert failure.value.where == storage.location("t/none")
        assert failure.value.fix
    assert list(tmp_path.glob("copy*")) == []


def test_many_threads_upload_at_once(storage: Storage) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: put(storage, f"t/v/{n:03d}", bytes([n]) * 5000), range(40)))
    assert len(list(storage.list("t/v"))) == 40
    assert storage.get("t/v/039") == bytes([39]) * 5000


def test_check_leaves_nothing_behind(storage: Storage) -> None:
    storage.check()
    assert list(storage.list()) == []


BAD_PATHS = ["", "/abs", "../up", "a/../../b", "a//b", "./a", "a/.", "a\\b", "a\nb", "a\x00b"]


@pytest.mark.parametrize("path", BAD_PATHS, ids=repr)
def test_no_path_leaves_the_root(path: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="object path"):
        clean_path(path)
    with pytest.raises(ValueError, match="object path"):
        put(LocalStorage(tmp_path / "root"), path, b"x")


# -- targets -----------------------------------------------------------------------------------------------------------------------------

BAD_TARGETS = {
    "": "empty",
    "  ": "empty",
    "https://host/path": "https://",
    "gs://bucket": "gs://",
    "s3:bucket/prefix": "is not a target",
    "s3:/bucket": "is not a target",
    "://bucket": "is not a target",
    "s3://": "bucket name",
    "s3:///prefix": "bucket name",
    "s3://buck et/x": "bucket name",
    "s3://bucket/../x": "parts",
    "s3://bucket/x?versionId=1": r"\?",
    "file://otherhost/dir": "this machine",
    "file:relative": "is not a target",
    "file://": "this machine",
    "file:///a%00b": "this machine",
    "~no-such-user-here/x": "home",
}


@pytest.mark.parametrize("target", BAD_TARGETS, ids=repr)
def test_other_targets_are_refused_with_advice(target: str) -> None:
    with pytest.raises(UsageError, match=BAD_TARGETS[target]) as failure:
        open_storage(target)
    assert failure.value.fix


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("s3:/media/vod", "s3://media/vod"),
        ("s3:media/vod", "s3://media/vod"),
        ("S3:/media/vod", "s3://media/vod"),
        ("s3//media/vod", "s3://media/vod"),
        ("s3;//media/vod", "s3://media/vod"),
        (" s3://media/vod", "s3://media/vod"),
        ("s3 ://media/vod", "s3://media/vod"),
        ("s3:\\\\media\\vod", "s3://media/vod"),
        ("s3a://media/vod", "s3://media/vod"),
        ("s3:///media/vod", "s3://media/vod"),
        ("file:/srv/vod", "file:///srv/vod"),
        ("FILE:/srv/vod", "file:///srv/vod"),
        ("file//srv/vod", "file:///srv/vod"),
        ("gs://media/vod", "s3://BUCKET/PREFIX"),
        ("gs:media", "s3://BUCKET/PREFIX"),
        ("https:/media.s3.amazonaws.com/vod", "s3://BUCKET/PREFIX"),
        ("foo:/bar", "s3://BUCKET/PREFIX"),
    ],
)
def test_a_misspelt_target_is_refused_with_the_right_spelling(wrong: str, right: str) -> None:
    with pytest.raises(UsageError) as failure:
        open_storage(wrong)
    assert right in str(failure.value.fix)


@pytest.mark.parametrize("name", ["./s3:/media", "/x/s3:/media", "s3", "s3/media", "a:b", "film: the movie", "file", "http/x", "c:x"])
def test_a_directory_may_have_an_odd_name(name: str) -> None:
    assert open_storage(name).location() == str(Path(name).absolute())


def test_credentials_in_a_target_are_refused_and_not_repeated() -> None:
    for target in (
        "s3://AKIAKEY:TOPSECRET@bucket/x", "ftp://user:TOPSECRET@host/x", "s3:/AKIAKEY:TOPSECRET@bucket", "https://host/x?sig=TOPSECRET",
    ):  # fmt: skip
        with pytest.raises(UsageError) as failure:
            open_storage(target)
        assert "TOPSECRET" not in " ".join(failure.value.lines())


@pytest.mark.parametrize(
    ("target", "location"),
    [("{}/a b", "{}/a b/t/x"), ("file://{}/a%20b", "{}/a b/t/x"), ("{}/c/../d/", "{}/d/t/x")],
    ids=["directory", "file-url", "dots"],
)
def test_a_directory_has_absolute_locations(target: str, location: str, tmp_path: Path) -> None:
    assert open_storage(target.format(tmp_path)).location("t/x") == location.format(tmp_path)


def test_s3_locations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    servers.S3Server("http://127.0.0.1:9", "a", "b").use(monkeypatch, tmp_path)
    assert open_storage("s3://bucket").location("t/x") == "s3://bucket/t/x"
    assert open_storage("S3://bucket/a/b/").location("t/x") == "s3://bucket/a/b/t/x"
    assert open_storage("s3://bucket/a").location() == "s3://bucket/a"


# -- the directory -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def local(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "library")


def everything(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize(
    ("number", "says"),
    [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "quota"), (errno.EACCES, "permission"), (errno.EIO, "input/output")],
    ids=["full", "quota", "permission", "broken-disk"],
)
def test_a_failing_write_is_explained_and_leaves_nothing(
    number: int, says: str, local: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(local, "t/v/x", b"before")

    def fail(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(PublishFailed, match=says) as failure:
        put(local, "t/v/x", b"after")
    monkeypatch.undo()
    assert failure.value.fix
    assert failure.value.where == local.location("t/v/x")
    assert everything(local.root) == ["t/v/x"]
    assert local.get("t/v/x") == b"before"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_really_full_device_is_explained(local: LocalStorage) -> None:
    with pytest.raises(PublishFailed, match="disk is full"):
        local_write(Path("/dev/full"))


def local_write(device: Path) -> None:
    from vidpipe.storage.local import _translated

    with _translated("write", str(device)), device.open("wb", buffering=0) as stream:
        stream.write(b"x" * 4096)


def test_files_are_readable_as_the_umask_allows(local: LocalStorage) -> None:
    before = os.umask(0o022)
    try:
        put(local, "t/v/x", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((local.root / "t/v/x").stat().st_mode) == 0o644


def test_unfinished_files_are_not_listed(local: LocalStorage) -> None:
    put(local, "t/v/x", b"x")
    (local.root / "t/v/.vidpipe-0123.tmp").write_bytes(b"half")
    assert [found.path for found in local.list()] == ["t/v/x"]


def test_a_symbolic_link_does_not_lead_out(local: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    put(local, "t/v/x", b"x")
    (local.root / "t/way-out").symlink_to(tmp_path / "outside")
    with pytest.raises(PublishFailed, match="points outside") as refused:
        put(local, "t/way-out/x", b"x")
    assert refused.value.where == str(local.root / "t/way-out/x")
    assert everything(tmp_path / "outside") == []


def test_a_file_in_the_way_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for storage in (LocalStorage(tmp_path / "file"), LocalStorage(tmp_path / "file" / "library")):
        with pytest.raises(PublishFailed, match="a file is where a directory is needed") as failure:
            storage.check()
        assert failure.value.fix


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission_is_explained(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PublishFailed, match="permission"):
            LocalStorage(tmp_path / "library").check()
    finally:
        tmp_path.chmod(0o700)


def test_deleting_the_last_version_removes_the_empty_title(local: LocalStorage) -> None:
    put(local, "t/v/x", b"x")
    put(local, "u/v/x", b"x")
    local.delete_prefix("t/v")
    assert sorted(folder.name for folder in local.root.iterdir()) == ["u"]
