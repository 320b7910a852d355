"""A keyword argument that does not exist is refused with names that are similar."""

from __future__ import annotations

import pytest

from syncro_async.errors import UnknownArgumentError
from syncro_async.resources.keywords import check_names


def test_a_similar_name_is_named() -> None:
    with pytest.raises(UnknownArgumentError, match=r"list has no argument 'tag'; .*: tags$") as one:
        check_names("list", ["q", "tag"], ["q", "tags"])
    assert one.value.argument == "tag"
    assert isinstance(one.value, TypeError)


def test_without_a_similar_name_there_is_no_hint() -> None:
    with pytest.raises(UnknownArgumentError, match=r"list has no argument 'xyz'$"):
        check_names("list", ["xyz"], ["q", "tags"])


def test_known_names_pass() -> None:
    check_names("list", ["q"], ["q", "tags"])
