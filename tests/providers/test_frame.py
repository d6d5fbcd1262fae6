"""What is read by its frame alone reads as it does without one."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.providers.answer import AnswerReader
from app.providers.failures import Asked
from app.providers.frame import Frame
from app.providers.provider import Delta, ProviderError

ASKED = Asked("the server at example.org", "gpt-9", with_key=False)

# Each with the place of its text, as some server sends it or none should.
DOCUMENTS = (
    '{"choices":[{"index":0,"delta":{"content":%s},"logprobs":null,"finish_reason":null}]}',
    '{"choices": [{"delta": {"role": "assistant", "content": %s}}], "usage": null}',
    '{"choices":[{"delta":{"content":%s,"refusal":"No."}}]}',
    '{"choices":[{"delta":{"content":%s,"reasoning":"Hm."}}]}',
    '{"choices":[{"delta":{"content":%s,"content":"later"}}]}',
    '{"choices":[{"delta":{"content":"earlier", "content" : %s}}]}',
    '{"choices":[{"delta":{"content":%s}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}',
    '{"choices":[{"delta":{"content":%s},"finish_reason":"stop"}]}',
    '{"choices":[{"delta":{"content": "fixed"}}],"logprobs":[{"content":%s}]}',
    '{"choices":[{"delta":{"refusal":"No."}}],"content":%s}',
    '{"choices":[{"delta":{"text":%s, "content": "x"}}]}',
    '{"choices":[{"delta":{"content" : "…"}}],"note":{"content":%s}}',
    '{"error":{"content":%s}}',
    '{"object":"error","content":%s}',
    '{"choices":[{"delta":{"content":%s}}]} ',
    '{"choices":[{"delta":{"content":%s}}]',
)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=[])).map(json.dumps),
    st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(
        ['"a"', '"a"', '"\\ud83d"', '"\\ude00"', '"\\u12"', '"a\tb"', '""', "null", "3", '"\\/"']
    ),
)


def read(reader: AnswerReader, chunks: list[bytes]) -> tuple[str, str, list[Delta], str]:
    """All that an answer says: its text, its reasoning, what else came, and how it failed."""
    deltas: list[Delta] = []
    failure = ""
    try:
        for chunk in chunks:
            for delta in reader.feed(chunk):
                deltas.append(delta)  # noqa: PERF402 - what came before a failure is kept
        deltas.extend(reader.end())
    except ProviderError as error:
        failure = str(error)
    text, reasoning = "".join(delta.text for delta in deltas), "".join(delta.reasoning for delta in deltas)
    return text, reasoning, [delta for delta in deltas if delta.usage or delta.finish], failure


@given(
    st.lists(st.tuples(st.sampled_from(DOCUMENTS), st.lists(TEXTS, min_size=1, max_size=6)), max_size=5),
    st.sampled_from(["\n\n", "\r\n\r\n", "\n\r\n", "\n: comment\n\n"]),
    st.sampled_from(["data: ", "data:", "data:  "]),
    st.lists(st.integers(0, 3000)),
)
def test_with_a_frame_an_answer_reads_as_without(
    runs: list[tuple[str, list[str]]], end: str, begin: str, cuts: list[int]
) -> None:
    events = [document % text for document, texts in runs for text in texts]
    body = "".join(f"{begin}{event}{end}" for event in [*events, "[DONE]"]).encode()
    places = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    chunks = [body[first:last] for first, last in pairwise(places)]

    assert read(AnswerReader(ASKED), chunks) == read(without_frames(), chunks)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_document_reads_with_a_frame_as_without(document: str) -> None:
    chunks = [f"data: {document % json.dumps(text)}\n\n".encode() for text in "abcdef"]

    assert read(AnswerReader(ASKED), chunks) == read(without_frames(), chunks)


def without_frames() -> AnswerReader:
    """A reader that reads all JSON."""
    reader = AnswerReader(ASKED)
    reader._frame = Frame(lambda _: None)
    return reader


def framed(document: str, *texts: str) -> Frame:
    """A frame that has seen these."""
    frame = Frame(lambda data: json.loads(data)["choices"][0]["delta"].get("content"))
    for text in texts:
        frame.see(document % json.dumps(text))
    return frame


def events(document: str, *texts: str) -> bytes:
    """These texts, as they are sent."""
    return "".join(f"data: {document % json.dumps(text)}\n\n" for text in texts).encode()


def test_after_two_alike_the_next_are_read_without_their_json() -> None:
    chunk = events(DOCUMENTS[0], "c", 'd"\n', "é") + b"data: [DONE]\n\n"

    assert framed(DOCUMENTS[0], "a", "b").texts(chunk) == (["c", 'd"\n', "é"], chunk.index(b"data: [DONE]"))
    assert framed(DOCUMENTS[0], "a").texts(chunk) == ([], 0)


@pytest.mark.parametrize(
    "other",
    [
        events(DOCUMENTS[1], "x"),
        events(DOCUMENTS[0], ""),
        events(DOCUMENTS[0], "x").replace(b'"x"', b'"\xff"'),
        events(DOCUMENTS[0], "x").replace(b'"x"', b'"\\ud8"'),
        events(DOCUMENTS[0], "x").removesuffix(b"\n"),
        b": a comment\n\n",
    ],
    ids=["another frame", "no text", "not UTF-8", "not JSON", "not whole", "a comment"],
)
def test_what_is_not_alike_is_left(other: bytes) -> None:
    frame, alike = framed(DOCUMENTS[0], "a", "b"), events(DOCUMENTS[0], "c")

    assert frame.texts(alike + other + alike) == (["c"], len(alike))


def test_a_text_that_is_not_that_of_the_answer_makes_no_frame() -> None:
    document = DOCUMENTS[8].replace("fixed", "a").replace('"content": ', '"content" : ')

    assert framed(document, "a", "a").texts(events(document, "b")) == ([], 0)


def test_documents_that_each_differ_are_tried_once_only() -> None:
    tried: list[str] = []
    frame = Frame(lambda data: tried.append(data) or "")  # type: ignore[func-returns-value] # says None
    for number in range(9):
        frame.see(f'{{"choices":[{{"delta":{{"content":"a"}}}}],"id":{number}}}')

    assert not tried
