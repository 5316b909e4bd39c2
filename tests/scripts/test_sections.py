import pytest

from edgelearn_env.errors import InvalidInputError
from edgelearn_env.scripts.sections import rewrite_section, with_section

BEGIN, END = "<!-- begin -->", "<!-- end -->"


def test_only_what_stands_between_the_comments_changes(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"# Title\n\n{BEGIN}\n\nold\n\n{END}\n\nrest é\n", encoding="utf-8")
    rewrite_section(path, BEGIN, END, "new")
    assert path.read_text(encoding="utf-8") == f"# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nrest é\n"
    rewrite_section(path, BEGIN, END, "new")
    assert [file.name for file in tmp_path.iterdir()] == ["README.md"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_a_byte_order_mark_stay(tmp_path, newline, mark):
    path = tmp_path / "README.md"
    lines = [f"{mark}# Title", "", BEGIN, "", "old", "", END, "", "rest"]
    path.write_bytes(newline.join(lines).encode("utf-8"))
    rewrite_section(path, BEGIN, END, "new\nlines")
    lines[4:5] = ["new", "lines"]
    assert path.read_bytes() == newline.join(lines).encode("utf-8")


def test_a_file_in_another_encoding_is_refused_by_name(tmp_path):
    path = tmp_path / "notes.md"
    path.write_bytes(f"{BEGIN}\n\xe9\n{END}".encode("latin-1"))
    with pytest.raises(InvalidInputError, match=r"notes\.md': 'utf-8' codec"):
        rewrite_section(path, BEGIN, END, "new")


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}", f"{BEGIN}{END}{END}"])
def test_a_text_without_one_place_for_it_is_refused(text, tmp_path):
    with pytest.raises(InvalidInputError, match="there must be one line '<!-- begin -->'"):
        with_section(text, BEGIN, END, "new")
    path = tmp_path / "notes.md"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=r"notes\.md': there must be one line"):
        rewrite_section(path, BEGIN, END, "new")
    assert path.read_text() == text


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(InvalidInputError, match=r"Markdown file .*none\.md' does not exist"):
        rewrite_section(tmp_path / "none.md", BEGIN, END, "new")
