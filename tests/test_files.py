"""Files are whole or absent."""

import os
import stat

import pytest

from edgelearn_env.errors import EdgeLearnError, InvalidInputError
from edgelearn_env.files import existing_file, written_atomically


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


def test_a_file_that_exists_is_returned(tmp_path):
    path = tmp_path / "note.txt"
    path.touch()
    assert existing_file(str(path), "note") == path


@pytest.mark.parametrize("name", ["absent.txt", ""])
def test_a_missing_file_or_a_folder_is_named_with_what_it_should_be(tmp_path, name):
    with pytest.raises(InvalidInputError, match=r"note file '.*' does not exist") as caught:
        existing_file(tmp_path / name, "note")
    assert str(tmp_path) in str(caught.value)


def test_an_invalid_input_is_a_value_error_and_an_error_of_this_package():
    assert issubclass(InvalidInputError, ValueError)
    assert issubclass(InvalidInputError, EdgeLearnError)
