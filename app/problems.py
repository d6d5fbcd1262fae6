"""A problem: what went wrong, in words for the person who asked, with an HTTP status."""


class Problem(Exception):
    """Ends a request with a status from 400 up and a sentence that says what to do."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
