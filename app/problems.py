"""A problem: what went wrong, in words for the person who asked, with an HTTP status."""


class Problem(Exception):
    """Ends a request with a status from 400 up and a sentence that says what to do.

    `form_token` is a new one for the form that sent it, where the old one can send nothing more;
    `retry_after` says in how many seconds it may work.
    """

    def __init__(
        self, status: int, sentence: str, *, form_token: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.form_token = form_token
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """What it says in the head of an answer."""
        return {"Retry-After": str(self.retry_after)} if self.retry_after else {}
