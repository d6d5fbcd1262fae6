"""A problem: what went wrong, in words for the person who asked, with an HTTP status."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unsent:
    """What somebody wrote and could not send, as their form had it."""

    prompt: str
    conversation: str
    form_token: str


class Problem(Exception):
    """Ends a request with a status from 400 up and a sentence that says what to do.

    `form_token` is a new one for the form that sent it, where the old one can send nothing more;
    `retry_after` says in how many seconds it may work. `unsent` is for a page that can show nothing else.
    """

    unsent: Unsent | None = None

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
        """What a program is told, as headers."""
        return {"Retry-After": str(self.retry_after)} if self.retry_after else {}
