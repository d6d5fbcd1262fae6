"""The specifications: their examples are shown as they ask, but for the differences that are listed."""

import hashlib
import tomllib

import pytest

from app.markdown import render
from tests.specifications import FOLDER, Example, examples
from tests.specifications.differences import DIFFERENCES, SHOWN_BY_HAND
from tests.specifications.shown import outline, shown

EXAMPLES = examples()


def test_the_specifications_are_as_they_came() -> None:
    manifest = tomllib.loads((FOLDER / "vendored.toml").read_text())["file"]

    assert {file["path"] for file in manifest} == {path.name for path in FOLDER.glob("*.txt")}
    for file in manifest:
        assert hashlib.sha256((FOLDER / file["path"]).read_bytes()).hexdigest() == file["sha256"], file
        assert all(file[key] for key in ("name", "package", "member", "version", "licence"))


def test_no_example_is_left_out() -> None:
    heads = sum(path.read_text().count("\n" + "`" * 32 + " example") for path in FOLDER.glob("*.txt"))

    assert len({example.name for example in EXAMPLES}) == len(EXAMPLES) == heads == 1372
    assert {*DIFFERENCES, *SHOWN_BY_HAND} <= {example.name for example in EXAMPLES}


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_an_example_is_shown_as_its_specification_asks(example: Example) -> None:
    asked = SHOWN_BY_HAND.get(example.name) or shown(example.html, example.markdown)

    is_as_asked = outline("".join(render(example.markdown))) == outline(asked)

    if example.html != "<IGNORE>\n":  # asks only that nothing breaks
        assert is_as_asked == (example.name not in DIFFERENCES), (example.markdown, outline(asked))
