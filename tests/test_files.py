"""Files are whole or absent."""

import os
import stat
from pathlib import Path

import pytest

from edgelearn_env.errors import EdgeLearnError, InvalidInputError
from edgelearn_env.files import existing_file, name_in_a_path, writable_folder, written_atomically


class PowerCutError(Exception):
    """Stands for anything that goes wrong midway."""


def write_half(path):
    with written_atomically(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise PowerCutError


def test_what_was_written_is_what_the_path_holds(tmp_path):
    path = tmp_path / "note.txt"
    with written_atomically(path) as temporary:
        temporary.write_text("whole", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "note.txt"
    with written_atomically(str(path)) as temporary:
        temporary.write_text("whole", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "whole"


def test_nothing_appears_under_the_path_before_the_end(tmp_path):
    path = tmp_path / "note.txt"
    with written_atomically(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        assert not path.exists()
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".txt"


def test_a_failure_midway_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(PowerCutError):
        write_half(path)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_midway_leaves_nothing_where_nothing_was(tmp_path):
    with pytest.raises(PowerCutError):
        write_half(tmp_path / "note.txt")
    assert list(tmp_path.iterdir()) == []


def test_success_replaces_the_old_file(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("old", encoding="utf-8")
    with written_atomically(path) as temporary:
        temporary.write_text("new", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "new"


@pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX matter")
def test_the_file_gets_the_mode_that_the_umask_gives_new_files(tmp_path):
    before = os.umask(0o027)
    try:
        with written_atomically(tmp_path / "note.txt") as temporary:
            temporary.write_text("whole", encoding="utf-8")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "note.txt").stat().st_mode) == 0o640


@pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX matter")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "note.txt"
    path.write_text("old", encoding="utf-8")
    path.chmod(mode)
    with written_atomically(path) as temporary:
        temporary.write_text("new", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "new"
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
@pytest.mark.parametrize("exists", [True, False])
def test_what_a_symbolic_link_points_to_is_replaced_and_the_link_stays(tmp_path, exists):
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "target.txt"
    link = tmp_path / "note.txt"
    link.symlink_to(Path("elsewhere") / "target.txt")
    if exists:
        target.write_text("old", encoding="utf-8")
    with written_atomically(link) as temporary:
        temporary.write_text("new", encoding="utf-8")
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "new"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["elsewhere", "note.txt", "target.txt"]


def test_a_folder_that_can_be_written_to_is_returned_and_not_made(tmp_path):
    assert writable_folder(tmp_path) == tmp_path
    assert writable_folder(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["taken", "taken/below", "taken/far/below", "lost", "lost/below"])
def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path, name):
    (tmp_path / "taken").touch()
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InvalidInputError, match="--tables must name a folder") as caught:
        writable_folder(tmp_path / name, "--tables")
    assert repr(str(tmp_path / name)) in str(caught.value)


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="who may do everything is refused nothing")
def test_a_folder_without_the_right_to_write_is_refused(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InvalidInputError, match="Permission denied"):
        writable_folder(tmp_path / "locked" / "below")


@pytest.mark.parametrize(
    ("text", "name"),
    [("lr=0.001, [2] Φ", "lr=0.001, [2] Φ"), ("../a/b", ".._a_b"), ("c:\\d", "c__d"), ("a\nb|c", "a_b_c")],
)
def test_a_name_in_a_path_leads_to_no_other_folder(text, name):
    assert name_in_a_path(text) == name


def test_a_file_that_exists_is_returned(tmp_path):
    path = tmp_path / "note.txt"
    path.touch()
    assert existing_file(str(path), "note") == path


@pytest.mark.parametrize(("name", "fault"), [("absent.txt", "does not exist"), ("", "is a folder: name a file")])
def test_a_missing_file_or_a_folder_is_named_with_what_it_should_be(tmp_path, name, fault):
    with pytest.raises(InvalidInputError, match=f"note file '.*' {fault}$") as caught:
        existing_file(tmp_path / name, "note")
    assert str(tmp_path) in str(caught.value)


def test_an_invalid_input_is_a_value_error_and_an_error_of_this_package():
    assert issubclass(InvalidInputError, ValueError)
    assert issubclass(InvalidInputError, EdgeLearnError)
