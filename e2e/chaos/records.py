"""Records: what was sent, shown, asked, done and stored in a run. Times are seconds of a monotonic clock."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(eq=False)
class Prompt:
    """What a user sent, with what form; and what they were told."""

    text: str
    token: str
    goes_on: str = ""
    """The conversation that the form named; none where it begins one."""
    conversation: int | None = None
    """The conversation that an acknowledgement named."""
    answers: set[int] = field(default_factory=set)
    """The answers that acknowledgements named; the same form has one."""
    retried: set[int] = field(default_factory=set)
    """The answers that the user wanted another try of, whether or not that was heard."""
    tries: set[int] = field(default_factory=set)
    """The answers that further tries were said to have begun."""
    sendings: int = 0

    @property
    def acknowledged(self) -> bool:
        """Whether the server has ever said that it has it."""
        return bool(self.answers)


@dataclass(frozen=True, slots=True)
class Shown:
    """One event: the position in the answer behind it, and its text."""

    position: int
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class Resumption:
    """A connection that was lost and found again, and how it looked at the first event that came then."""

    lost_at: float
    event_at: float
    process: int

    def between(self, at: float) -> bool:
        """Whether a time is while there was no connection."""
        return self.lost_at < at <= self.event_at


@dataclass(eq=False)
class Reading:
    """One reader's way through an answer, however many connections that took."""

    message_id: int
    began_at: float
    shown: list[Shown] = field(default_factory=list)
    ended: str | None = None
    """How the server said that the answer ended."""
    ended_at: float = 0.0
    after_stop: bool = False
    """Whether it began when a stop had been acknowledged."""
    resumptions: list[Resumption] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that was shown, put together."""
        return "".join(piece.text for piece in self.shown)


@dataclass(eq=False)
class FragmentReading:
    """What a page was sent of an answer: the ids of the events, and the words that were in them."""

    message_id: int
    positions: list[tuple[int, int]] = field(default_factory=list)
    """Characters of the text and of the reasoning."""
    words: set[str] = field(default_factory=set)
    ended: str | None = None


@dataclass(eq=False)
class Asked:
    """One request to the model, and what it was sent back."""

    prompt: str
    process: int
    """Which of the servers asked."""
    number: int
    """The how-manieth request for this prompt, from 0 on."""
    text: str
    reasoning: str
    """All that it would say."""
    began_at: float
    sent_text: str = ""
    sent_reasoning: str = ""
    whole: bool = False
    closed_at: float | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop that was acknowledged."""

    message_id: int
    at: float


@dataclass(frozen=True, slots=True)
class Lost:
    """An answer that was being written by a process when that was killed."""

    prompt: str
    at: float


@dataclass(frozen=True, slots=True)
class Row:
    """A stored message."""

    id: int
    conversation_id: int
    parent_id: int | None
    role: str
    status: str
    text: str
    reasoning: str
    form_token: str | None


@dataclass
class Stored:
    """What the database holds at the end."""

    rows: dict[int, Row] = field(default_factory=dict)
    orphan_chunks: list[int] = field(default_factory=list)
    """Ids of messages that have chunks, and should not."""
    integrity: str = "ok"


@dataclass
class Run:
    """Everything about a run that the checks look at."""

    seed: int = 0
    prompts: list[Prompt] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    fragment_readings: list[FragmentReading] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    deletions: dict[int, float | None] = field(default_factory=dict)
    """When the deletion of a conversation was acknowledged; None if it was only asked for."""
    asked: list[Asked] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    health: dict[int, list[tuple[float, bool]]] = field(default_factory=dict)
    """From when on each process could, or could not, do its work."""
    listening: dict[int, list[float]] = field(default_factory=dict)
    """When each process began to listen."""
    faults: Counter[str] = field(default_factory=Counter)
    refusals: Counter[int] = field(default_factory=Counter)
    """Answers to requests that were not what the client hoped for, by HTTP status."""
    termination_seconds: list[float] = field(default_factory=list)
    """How long processes took to end that were told to."""
    complaints: Counter[str] = field(default_factory=Counter)
    """Words in the servers' logs that somebody would have to look at."""
    mishaps: list[str] = field(default_factory=list)
    """What no fault explains: a process that died by itself, a user whose stream never ended."""
    still_generating: list[int] = field(default_factory=list)
    """Answers that had not ended when the known time was over."""
    stored: Stored = field(default_factory=Stored)

    def healthy_seconds(self, since: float, until: float) -> float:
        """For how long on end, between two times, one process could do its work."""
        longest = 0.0
        for changes in self.health.values():
            for (start, healthy), (end, _) in pairwise([*changes, (until, False)]):
                if healthy:
                    longest = max(longest, min(end, until) - max(start, since))
        return longest
