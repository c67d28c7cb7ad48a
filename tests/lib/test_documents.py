"""Documents: dicts whose entries are attributes."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from skitai.lib.documents import Document, Envelope, FoundDocument


def test_an_entry_is_an_attribute_and_an_item() -> None:
    document = Document(city="Seoul", where=Document(x=1))
    assert (document.city, document["city"], document.where.x) == ("Seoul", "Seoul", 1)
    document.city = "Busan"
    assert document == {"city": "Busan", "where": {"x": 1}}
    with pytest.raises(AttributeError, match="'town'"):
        _ = document.town


@pytest.mark.parametrize("kind", [Document, FoundDocument, Envelope])
def test_it_prints_pickles_copies_and_becomes_json_as_a_dict(kind: type[Document]) -> None:
    document = kind(a=1, b=[kind(c=2)])
    for again in (pickle.loads(pickle.dumps(document)), copy.deepcopy(document), document.copy()):
        assert again == document == {"a": 1, "b": [{"c": 2}]}
        assert type(again) is kind
        assert type(again.b[0]) is kind
    assert repr(document) == "{'a': 1, 'b': [{'c': 2}]}"
    assert json.loads(json.dumps(document)) == document


def test_what_a_document_says_is_no_hook_of_copy_or_pickle() -> None:
    document = Document({"__deepcopy__": 1, "__reduce_ex__": 2, "__setstate__": 3})
    assert copy.deepcopy(document) == document
    assert pickle.loads(pickle.dumps(document)) == document


def test_a_found_document_answers_as_an_envelope_too() -> None:
    document = FoundDocument(name="Kim")
    assert document.data == document["data"] == [document]
    assert (document.number_returned, document.cursor_id, document["starting_from"]) == (1, 0, 0)
    assert list(document) == ["name"]
    assert "data" not in document
    with pytest.raises(KeyError, match="'town'"):
        _ = document["town"]


def test_what_the_document_itself_says_goes_first() -> None:
    document = FoundDocument(data="mine", cursor_id=7)
    assert (document.data, document["cursor_id"], document.number_returned) == ("mine", 7, 1)
