"""Files and folders that are whole or not there: links, permissions, long names, exchanges."""

import contextlib
import os
import pathlib

import pytest

from keras_vae import writing


def write(path, content):
    with writing.atomic(path) as temporary:
        pathlib.Path(temporary).write_text(content)


@pytest.mark.parametrize("chain", [1, 2])
def test_a_link_stays_a_link_and_its_target_is_written(tmp_path, chain):
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "target", tmp_path / "link.txt"
    target.write_text("old")
    if chain == 2:
        (tmp_path / "between").symlink_to(target)
    link.symlink_to(tmp_path / "between" if chain == 2 else target)
    write(link, "new")
    assert link.is_symlink()
    assert (target.read_text(), target.is_symlink()) == ("new", False)
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["target"]


def test_the_target_of_a_link_need_not_exist(tmp_path):
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "target")
    write(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "target").read_text() == "new"


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664])
def test_an_existing_file_keeps_its_permissions(tmp_path, mode):
    path = tmp_path / "file.txt"
    path.touch()
    path.chmod(mode)
    write(path, "new")
    assert path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("end", [".txt", ".weights.h5", ".keras", "", "." + 100 * "x", ".ä.ü"])
@pytest.mark.parametrize("letter", ["a", "ä"])
def test_names_may_be_as_long_as_the_system_allows(tmp_path, letter, end):
    room = 255 - len(os.fsencode(end))
    name = letter * (room // len(os.fsencode(letter))) + end
    write(tmp_path / name, "new")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with pytest.raises(OSError, match="too long"):
        write(tmp_path / (name + letter), "new")


def test_leftovers_of_long_names_are_removed(tmp_path):
    with writing.atomic(tmp_path / ("a" * 255)) as temporary:
        hidden = tmp_path / (pathlib.Path(temporary).name + "_killed")
        hidden.touch()
    writing.remove_leftovers(tmp_path)
    assert not hidden.exists()


# Folders.


def export(path, content, during=lambda: None):
    with writing.atomic_folder(path) as folder:
        (folder / "saved_model.pb").write_text(content)
        during()


def content(path):
    return (path / "saved_model.pb").read_text()


@pytest.fixture(params=["exchange", "two steps"])
def way(request, monkeypatch):
    """Systems that can exchange names, and those that cannot."""
    if request.param == "two steps":
        monkeypatch.setattr(writing, "exchange", lambda *_: False)
    return request.param


def test_an_export_is_replaced_and_nothing_else_is_left(tmp_path, way):
    for text in ("first", "second", "third"):
        export(tmp_path / "e", text)
        assert content(tmp_path / "e") == text
        assert [path.name for path in tmp_path.iterdir()] == ["e"]


def test_an_export_through_a_link_replaces_its_target(tmp_path, way):
    (tmp_path / "disk").mkdir()
    export(tmp_path / "disk" / "e", "old")
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "e")
    export(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert content(tmp_path / "disk" / "e") == "new"


def test_an_export_keeps_the_permissions_of_the_folder(tmp_path, way):
    export(tmp_path / "e", "old")
    (tmp_path / "e").chmod(0o750)
    export(tmp_path / "e", "new")
    assert (tmp_path / "e").stat().st_mode & 0o777 == 0o750


def test_an_export_that_fails_leaves_the_earlier_one(tmp_path, way):
    export(tmp_path / "e", "old")
    with pytest.raises(ZeroDivisionError):
        export(tmp_path / "e", "new", lambda: 1 / 0)
    assert content(tmp_path / "e") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


@pytest.mark.parametrize("fatal", [1, 2, 3])
def test_an_export_that_is_stopped_at_a_renaming_leaves_a_whole_one(
    tmp_path, way, monkeypatch, fatal
):
    export(tmp_path / "e", "old")
    calls, real = [], os.replace

    def stopping(*names):
        calls.append(names)
        if len(calls) == fatal:
            raise KeyboardInterrupt
        real(*names)

    monkeypatch.setattr(os, "replace", stopping)
    with contextlib.suppress(KeyboardInterrupt):
        export(tmp_path / "e", "new")
    monkeypatch.setattr(os, "replace", real)
    assert content(tmp_path / "e") in ("old", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


KILLED = [({".e.earlier": "old"}, "old"), ({".e.earlier": "old", "e": "new"}, "new")]


@pytest.mark.parametrize(("left", "kept"), KILLED)
def test_the_next_export_puts_right_what_a_kill_left(tmp_path, left, kept):
    for name, text in left.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").write_text(text)
    with pytest.raises(ZeroDivisionError):
        export(tmp_path / "e", "third", lambda: 1 / 0)
    assert content(tmp_path / "e") == kept
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


def test_linux_exchanges_names(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.write_text("file")
    if not writing.exchange(first, second):
        pytest.skip("this file system cannot exchange names")
    assert (first.read_text(), second.is_dir()) == ("file", True)
    assert not writing.exchange(first, tmp_path / "none")


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    (tmp_path / "e").write_text("mine")
    with pytest.raises(ValueError, match=r"`filepath` must be.*which is a file"):
        export(tmp_path / "e", "new")


# Folders in use.


def test_a_folder_is_held_as_long_as_the_object_lives(tmp_path):
    import fcntl

    held = writing.hold(tmp_path, "directory")
    assert writing.hold(tmp_path / ".." / tmp_path.name) is held
    with open(tmp_path / ".in_use", "a") as other:
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        del held
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(ValueError, match=r"`directory` must be.*Received: directory="):
            writing.hold(tmp_path, "directory")


def test_sole_use_ends_with_an_error_too(tmp_path):
    with pytest.raises(ZeroDivisionError), writing.sole_use(tmp_path):
        raise ZeroDivisionError
    assert not writing._HELD


def test_a_sealed_folder_is_whole_until_a_file_changes(tmp_path):
    assert not writing.is_whole(tmp_path)
    (tmp_path / "a").write_bytes(b"content")
    writing.seal(tmp_path)
    assert writing.is_whole(tmp_path)
    for damage in (b"Content", b"conten", b""):
        (tmp_path / "a").write_bytes(damage)
        assert not writing.is_whole(tmp_path)
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "more").touch()
    assert not writing.is_whole(tmp_path)
