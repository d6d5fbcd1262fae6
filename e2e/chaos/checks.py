"""The checks: what was promised, against what was sent, shown, asked and stored."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from e2e.chaos.records import Asked, FragmentReading, Reading, Row, Run
from e2e.chaos.upstream import WORD

INTERRUPTED_SECONDS = 5.0
"""How long an answer may seem to run whose process was killed, while there is a server that could say so."""

STOPPED_SECONDS = 5.0
"""How long the model may go on once a stop was acknowledged, while there is a server that could tell it."""

Findings = Iterator[str | None]
"""What was looked at: None where it was as promised, else what was wrong."""


@dataclass(frozen=True, slots=True)
class Result:
    """One promise: how many times it was looked at, and where it was broken."""

    promise: str
    looked_at: int
    violations: list[str]


def check(run: Run) -> list[Result]:
    """Every promise."""
    results = []
    for promise, look in PROMISES.items():
        findings = list(look(run))
        results.append(Result(promise, len(findings), [found for found in findings if found]))
    return results


def prompts_are_stored_once(run: Run) -> Findings:
    """P1: what was acknowledged is there, once, with its answer; what was not is there once at the most."""
    stored = Counter(row.text for row in run.stored.rows.values() if row.role == "user")
    for prompt in run.prompts:
        if prompt.conversation in run.deletions:
            continue
        if stored[prompt.text] > 1 or (prompt.acknowledged and not stored[prompt.text]):
            told = (
                f"acknowledged with {sorted(prompt.answers)}" if prompt.acknowledged else "not acknowledged"
            )
            yield f"{prompt.text!r}, {told}, is stored {stored[prompt.text]} times"
            continue
        yield None
        for answer in sorted(prompt.answers):
            row = run.stored.rows.get(answer)
            asked = run.stored.rows.get(row.parent_id or 0) if row else None
            if asked is None or asked.text != prompt.text:
                yield f"answer {answer} to {prompt.text!r} was acknowledged and is not stored under it"


def what_was_shown_is_stored(run: Run) -> Findings:
    """P2: every text that was ever shown is the beginning of the stored one."""
    for reading in run.readings:
        if (row := _row(run, reading.message_id)) is None:
            continue
        for piece in reading.shown:
            start = piece.position - len(piece.text)
            if start < 0 or row.text[start : piece.position] != piece.text:
                yield f"answer {row.id}: {piece.text!r} was shown up to {piece.position}; {_stored(row)}"
                break
        else:
            yield None
    for page in run.fragment_readings:
        if row := _row(run, page.message_id):
            unknown = page.words - set(WORD.findall(row.text + row.reasoning))
            beyond = [p for p in page.positions if p[0] > len(row.text) or p[1] > len(row.reasoning)]
            if unknown or beyond:
                yield f"answer {row.id}: a page was sent {sorted(unknown)}, up to {beyond}; {_stored(row)}"
            else:
                yield None


def what_was_put_together_is_the_answer(run: Run) -> Findings:
    """P3: each event goes on where the last one ended; the whole, and how it ended, is what is stored."""
    for reading in run.readings:
        position = 0
        for piece in reading.shown:
            if piece.position != position + len(piece.text):
                yield (
                    f"answer {reading.message_id}: behind {position} came {len(piece.text)} characters "
                    f"up to {piece.position}: {piece.text!r}"
                )
                break
            position = piece.position
        else:
            if (row := _row(run, reading.message_id)) and reading.ended:
                if (reading.text, reading.ended) != (row.text, row.status):
                    yield (
                        f"answer {row.id}: a reader was told {reading.ended!r} and had {reading.text!r}; "
                        f"{_stored(row)}"
                    )
                else:
                    yield None
    for page in run.fragment_readings:
        if (row := _row(run, page.message_id)) and page.ended:
            missing = set(WORD.findall(row.text + row.reasoning)) - page.words
            if missing or page.ended != row.status:
                lacks = f"a page ended {page.ended!r} without {sorted(missing)}"
                yield f"answer {row.id}: {lacks}; {_stored(row)}"
            else:
                yield None


def the_model_is_asked_once(run: Run) -> Findings:
    """P4: one request for each prompt and each further try that its user asked for; one prompt a form."""
    requests = Counter(asked.prompt for asked in run.asked)
    forms = Counter(row.form_token for row in run.stored.rows.values() if row.form_token)
    tries: Counter[int | None] = Counter()
    prompts = {row.text: row for row in run.stored.rows.values() if row.role == "user"}
    for row in run.stored.rows.values():
        tries[row.parent_id] += row.role == "assistant"
    for prompt in run.prompts:
        if prompt.conversation in run.deletions:
            continue
        most = 1 + len(prompt.retried)
        answers = tries[prompts[prompt.text].id] if prompt.text in prompts else 0
        if requests[prompt.text] > min(most, answers):
            yield (
                f"{prompt.text!r}: {requests[prompt.text]} requests to the model for {answers} answers, "
                f"sent {prompt.sendings} times, tried again {len(prompt.retried)} times"
            )
        elif answers > most:
            yield f"{prompt.text!r} has {answers} answers, tried again {len(prompt.retried)} times"
        elif len(prompt.answers) > 1:
            yield f"{prompt.text!r}: one form was given the answers {sorted(prompt.answers)}"
        elif forms[prompt.token] > 1:
            yield f"form {prompt.token} has {forms[prompt.token]} prompts"
        else:
            yield None


def answers_are_what_the_model_sent(run: Run) -> Findings:
    """P4 and P2: a stored answer is the beginning of one request's text, all of it where it is complete."""
    sources: dict[tuple[str, int], Asked] = {(asked.prompt, asked.number): asked for asked in run.asked}
    used: dict[tuple[str, int], int] = {}
    for row in _answers(run):
        prompt = run.stored.rows[row.parent_id].text if row.parent_id in run.stored.rows else ""
        word = WORD.search(row.text + row.reasoning)
        if word is None:
            empty = row.status != "complete" and not (row.text or row.reasoning)
            yield None if empty else f"answer {row.id} has no word of the model's; {_stored(row)}"
            continue
        source = (prompt, int(re.findall(r"\d+", word[0])[1]))
        asked = sources.get(source)
        if asked is None:
            yield f"answer {row.id} to {prompt!r} has what nobody said; {_stored(row)}"
        elif used.setdefault(source, row.id) != row.id:
            yield f"answers {used[source]} and {row.id} have the text of one request"
        elif not (asked.sent_text.startswith(row.text) and asked.sent_reasoning.startswith(row.reasoning)):
            yield f"answer {row.id} is not what the model sent ({asked.sent_text!r}); {_stored(row)}"
        elif row.status == "complete" and (row.text, row.reasoning) != (asked.text, asked.reasoning):
            yield f"answer {row.id} is called complete; the model said {asked.text!r}; {_stored(row)}"
        else:
            yield None


def answers_end(run: Run) -> Findings:
    """P5: nothing is `generating` after the known time, and each reader was told the end."""
    for row in _answers(run):
        running = row.status == "generating" or row.id in run.still_generating
        yield f"answer {row.id} to message {row.parent_id} has not ended" if running else None
    readings: list[Reading | FragmentReading] = [*run.readings, *run.fragment_readings]
    for reading in readings:
        gone = reading.ended == "gone" and reading.message_id in run.stored.rows
        if not reading.ended or gone:
            yield f"a reader of answer {reading.message_id} was told {reading.ended!r} at last"


def lost_answers_are_interrupted_in_time(run: Run) -> Findings:
    """P5: an answer whose process was killed is `interrupted` within 5 s in which a server could say so."""
    for since, reading in lost_answers(run):
        seconds = run.healthy_seconds(since, reading.ended_at)
        late = seconds > INTERRUPTED_SECONDS
        yield (
            f"answer {reading.message_id} seemed to run for {reading.ended_at - since:.1f} s after the kill "
            f"of its process, {seconds:.1f} s of which a server could have said so"
            if late
            else None
        )


def stopped_stays_stopped(run: Run) -> Findings:
    """P6: no text comes behind an acknowledged stop, the answer has ended, and the model is let go."""
    stopped = {stop.message_id: stop.at for stop in reversed(run.stops)}
    for message_id, at in stopped.items():
        row = _row(run, message_id)
        if row is None:
            continue
        late = [
            piece
            for reading in run.readings
            if reading.message_id == message_id and reading.after_stop
            for piece in reading.shown[1:]
        ]
        prompt = run.stored.rows[row.parent_id].text if row.parent_id in run.stored.rows else ""
        billed = [
            run.healthy_seconds(at, asked.closed_at or float("inf"))
            for asked in run.asked
            if asked.prompt == prompt and asked.began_at < at < (asked.closed_at or float("inf"))
        ]
        if row.status == "generating" or late:
            yield f"answer {row.id} went on after its stop was acknowledged: {late[:1]}; {_stored(row)}"
        elif any(seconds > STOPPED_SECONDS for seconds in billed):
            yield f"answer {row.id}: the model went on for {max(billed):.1f} s after the stop"
        else:
            yield None


def deleted_stays_deleted(run: Run) -> Findings:
    """Nothing is left of a conversation whose deletion was acknowledged."""
    left = Counter(row.conversation_id for row in run.stored.rows.values())
    for conversation, at in run.deletions.items():
        if at is not None:
            yield (
                f"conversation {conversation} is deleted and has {left[conversation]} messages"
                if left[conversation]
                else None
            )


def the_database_is_whole(run: Run) -> Findings:
    """The database finds no fault with itself, and no chunk outlives its answer's end."""
    yield None if run.stored.integrity == "ok" else f"integrity check: {run.stored.integrity}"
    orphans = run.stored.orphan_chunks
    yield f"chunks are left of the ended messages {orphans}" if orphans else None


def nothing_else_happened(run: Run) -> Findings:
    """No process ended by itself, none took too long to end, nobody waited in vain."""
    yield None
    yield from run.mishaps


PROMISES: dict[str, Callable[[Run], Findings]] = {
    "P1 an acknowledged prompt is stored, once": prompts_are_stored_once,
    "P2 what was shown is stored": what_was_shown_is_stored,
    "P3 what a reader put together is the answer": what_was_put_together_is_the_answer,
    "P4 one prompt a form, one request a try": the_model_is_asked_once,
    "P4 an answer is what the model sent": answers_are_what_the_model_sent,
    "P5 every answer ends, for every reader": answers_end,
    "P5 a lost answer is interrupted within 5 s": lost_answers_are_interrupted_in_time,
    "P6 stopped stays stopped": stopped_stays_stopped,
    "-- deleted stays deleted": deleted_stays_deleted,
    "-- the database is whole": the_database_is_whole,
    "-- nothing else happened": nothing_else_happened,
}


def lost_answers(run: Run) -> list[tuple[float, Reading]]:
    """When the process of an answer was killed, and the first reading that was told of it."""
    first: dict[int, Reading] = {}
    for reading in run.readings:
        if reading.ended:
            known = first.setdefault(reading.message_id, reading)
            if reading.ended_at < known.ended_at:
                first[reading.message_id] = reading
    tries: defaultdict[str, list[Reading]] = defaultdict(list)
    for row in _answers(run):
        if row.id in first and row.parent_id in run.stored.rows:
            tries[run.stored.rows[row.parent_id].text].append(first[row.id])
    found = []
    for lost in run.lost:
        # Tries follow one another: the first that ended later is the one that ran.
        ended_later = [reading for reading in tries[lost.prompt] if reading.ended_at >= lost.at]
        if ended_later and ended_later[0].ended == "interrupted":
            found.append((lost.at, ended_later[0]))
    return found


def _answers(run: Run) -> list[Row]:
    return [row for row in run.stored.rows.values() if row.role == "assistant"]


def _row(run: Run, message_id: int) -> Row | None:
    """What is stored of an answer; None if its conversation may have been deleted."""
    row = run.stored.rows.get(message_id)
    if row:
        return row
    deleted = any(
        message_id in prompt.answers | prompt.tries and prompt.conversation in run.deletions
        for prompt in run.prompts
    )
    return None if deleted else Row(message_id, 0, None, "assistant", "lost", "", "", None)


def _stored(row: Row) -> str:
    return f"stored is {row.status} {row.text!r}"
