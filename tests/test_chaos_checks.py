"""The checks of a chaos run: kept by an innocent run, and each broken by the very thing that it is for."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from e2e.chaos.checks import check
from e2e.chaos.records import (
    Asked,
    FragmentReading,
    Lost,
    Prompt,
    Reading,
    Resumption,
    Row,
    Run,
    Shown,
    Stop,
    Stored,
)
from e2e.chaos.report import report, resume_seconds
from e2e.chaos.schedule import schedule

ONE, TWO = "‹1.0.0› ", "‹1.0.1› é "
TEXT = ONE + TWO
PROMPT = "Prompt 1"


def innocent() -> Run:
    """One prompt and its answer, read in two connections and by a page; another conversation is deleted."""
    return Run(
        prompts=[Prompt(PROMPT, "form-1", conversation=1, answers={2}, sendings=1)],
        readings=[
            Reading(
                2,
                began_at=1,
                shown=[Shown(len(ONE), ONE, 1.1), Shown(len(TEXT), TWO, 3.0)],
                ended="complete",
                ended_at=3.1,
                resumptions=[Resumption(1.2, 3.0, 0)],
            )
        ],
        fragment_readings=[FragmentReading(2, [(len(TEXT), 0)], {"‹1.0.0›", "‹1.0.1›"}, "complete")],
        deletions={9: 50.0},
        asked=[Asked(PROMPT, 0, 0, TEXT, "", 1.0, sent_text=TEXT, whole=True, closed_at=3.0)],
        health={0: [(0.0, True), (100.0, False)]},
        listening={0: [0.0, 2.5]},
        stored=Stored(
            {
                1: Row(1, 1, None, "user", "complete", PROMPT, "", "form-1"),
                2: Row(2, 1, 1, "assistant", "complete", TEXT, "", None),
            }
        ),
    )


def interrupted() -> Run:
    """The same, but its process was killed, and the reader was told a second later."""
    run = innocent()
    store(run, 2, status="interrupted", text=ONE)
    run.lost = [Lost(PROMPT, at=2.1)]
    run.readings[0].shown.pop()
    run.readings[0].ended = "interrupted"
    run.fragment_readings.clear()
    return run


def stopped() -> Run:
    """The same, but stopped behind its first word, and looked at once more."""
    run = innocent()
    store(run, 2, status="stopped", text=ONE)
    run.fragment_readings.clear()
    run.readings[0].shown.pop()
    run.readings[0].ended = "stopped"
    run.stops = [Stop(2, at=2.0)]
    run.readings.append(
        Reading(2, 2.1, shown=[Shown(len(ONE), ONE, 2.2)], ended="stopped", ended_at=2.2, after_stop=True)
    )
    return run


def store(run: Run, id: int, **changed: object) -> None:  # noqa: A002 - the column's name
    """Change a stored message, or add one that is like the answer."""
    row = run.stored.rows.get(id) or run.stored.rows[2]
    run.stored.rows[id] = replace(row, id=id, **changed)  # type: ignore[arg-type] # columns by name


def broken(run: Run) -> set[str]:
    return {result.promise[:2] for result in check(run) if result.violations}


@pytest.mark.parametrize("make", [innocent, interrupted, stopped])
def test_a_run_that_kept_every_promise_passes(make: Callable[[], Run]) -> None:
    results = check(make())

    assert [result.violations for result in results if result.violations] == []
    assert sum(result.looked_at > 0 for result in results) >= 9


def test_every_promise_is_looked_at() -> None:
    runs = (innocent(), interrupted(), stopped())
    looked_at = {result.promise for run in runs for result in check(run) if result.looked_at}

    assert looked_at == {result.promise for result in check(innocent())}


class TestP1:
    def test_an_acknowledged_prompt_that_is_gone(self) -> None:
        run = innocent()
        run.stored.rows.clear()

        assert "P1" in broken(run)

    def test_a_prompt_that_is_stored_twice(self) -> None:
        run = innocent()
        store(run, 3, role="user", text=PROMPT, parent_id=None)

        assert "P1" in broken(run)

    def test_a_prompt_that_is_stored_twice_and_was_never_acknowledged(self) -> None:
        run = innocent()
        run.prompts.append(Prompt("Prompt 2", "form-2"))
        for id in (3, 4):  # noqa: A001 - as above
            store(run, id, role="user", text="Prompt 2", parent_id=None)

        assert broken(run) == {"P1"}

    def test_an_answer_that_was_named_and_is_under_another_prompt(self) -> None:
        run = innocent()
        store(run, 3, role="user", text="Prompt 2", parent_id=None)
        store(run, 2, parent_id=3)

        assert "P1" in broken(run)


class TestP2:
    def test_a_word_that_was_shown_and_is_not_stored(self) -> None:
        run = interrupted()
        run.readings[0].shown.append(Shown(len(TEXT), TWO, 2.0))

        assert "P2" in broken(run)

    def test_a_word_that_was_shown_by_a_reader_who_never_came_to_the_end(self) -> None:
        run = interrupted()
        run.readings.append(Reading(2, 1.0, shown=[Shown(len(TEXT), TEXT, 1.0)], ended="interrupted"))

        assert "P2" in broken(run)

    def test_a_word_that_is_stored_as_another(self) -> None:
        run = innocent()
        store(run, 2, text=ONE + "‹1.0.1› e ")

        assert "P2" in broken(run)

    def test_a_word_that_only_a_page_was_shown(self) -> None:
        run = innocent()
        run.fragment_readings[0].words.add("‹1.0.2›")

        assert broken(run) == {"P2"}

    def test_a_position_that_only_a_page_was_told(self) -> None:
        run = innocent()
        run.fragment_readings[0].positions.append((len(TEXT) + 1, 0))

        assert broken(run) == {"P2"}


class TestP3:
    def test_a_gap(self) -> None:
        run = innocent()
        run.readings[0].shown.pop(0)

        assert broken(run) == {"P3"}

    def test_a_word_twice(self) -> None:
        run = innocent()
        run.readings[0].shown.insert(0, run.readings[0].shown[0])

        assert broken(run) == {"P3"}

    def test_words_in_another_order(self) -> None:
        run = innocent()
        run.readings[0].shown.reverse()

        assert broken(run) == {"P3"}

    def test_the_end_before_the_last_word(self) -> None:
        run = innocent()
        run.readings[0].shown.pop()

        assert broken(run) == {"P3"}

    def test_another_end_than_the_stored_one(self) -> None:
        run = innocent()
        run.readings[0].ended = "interrupted"

        assert broken(run) == {"P3"}

    def test_a_page_that_lacks_a_word(self) -> None:
        run = innocent()
        run.fragment_readings[0].words.pop()

        assert broken(run) == {"P3"}


class TestP4:
    def test_a_second_request_to_the_model(self) -> None:
        run = innocent()
        run.asked.append(replace_asked(run.asked[0], number=1))

        assert broken(run) == {"P4"}

    def test_a_second_answer_that_nobody_asked_for(self) -> None:
        run = innocent()
        run.asked.append(replace_asked(run.asked[0], number=1))
        store(run, 3, text=TEXT.replace("‹1.0.", "‹1.1."))

        assert "P4" in broken(run)

    def test_a_further_try_that_was_asked_for_is_none(self) -> None:
        run = innocent()
        text = TEXT.replace("‹1.0.", "‹1.1.")
        run.asked.append(replace_asked(run.asked[0], number=1, text=text, sent_text=text))
        run.prompts[0].retried.add(2)
        store(run, 3, text=text)

        assert broken(run) == set()

    def test_one_form_with_two_answers(self) -> None:
        run = innocent()
        run.prompts[0].answers.add(3)

        assert "P4" in broken(run)

    def test_a_form_with_two_prompts(self) -> None:
        run = innocent()
        store(run, 3, role="user", text="Prompt 2", parent_id=None, form_token="form-1")

        assert broken(run) == {"P4"}

    @pytest.mark.parametrize(
        ("status", "text"),
        [
            ("complete", ONE),
            ("complete", ""),
            ("interrupted", ONE + "‹1.0.2› "),
            ("interrupted", TEXT + TEXT),
            ("interrupted", TWO),
            ("interrupted", "‹1.7.0› "),
            ("interrupted", "What nobody said"),
        ],
    )
    def test_an_answer_that_is_not_what_the_model_sent(self, status: str, text: str) -> None:
        run = innocent()
        run.readings.clear()
        run.fragment_readings.clear()
        store(run, 2, status=status, text=text)

        assert broken(run) == {"P4"}

    def test_reasoning_that_is_not_what_the_model_sent(self) -> None:
        run = innocent()
        run.fragment_readings.clear()
        store(run, 2, status="complete", reasoning="Hm")

        assert broken(run) == {"P4"}

    def test_two_answers_with_the_text_of_one_request(self) -> None:
        run = innocent()
        run.prompts[0].retried.add(2)
        store(run, 3)

        assert broken(run) == {"P4"}


class TestP5:
    def test_an_answer_that_is_still_running(self) -> None:
        run = innocent()
        run.readings.clear()
        run.fragment_readings.clear()
        store(run, 2, status="generating")

        assert "P5" in broken(run)

    def test_an_answer_that_was_still_running_when_the_known_time_was_over(self) -> None:
        run = innocent()
        run.still_generating.append(2)

        assert broken(run) == {"P5"}

    @pytest.mark.parametrize("ended", [None, "gone"])
    def test_a_reader_who_is_not_told_the_end(self, ended: str | None) -> None:
        run = innocent()
        run.readings[0].ended = ended

        assert "P5" in broken(run)

    def test_a_lost_answer_that_is_interrupted_too_late(self) -> None:
        run = interrupted()
        run.readings[0].ended_at = 2.1 + 5.1

        assert broken(run) == {"P5"}

    def test_time_in_which_no_server_could_say_so_does_not_count(self) -> None:
        run = interrupted()
        run.readings[0].ended_at = 2.1 + 5.1
        run.health = {0: [(0.0, True), (2.1, False), (3.0, True)]}

        assert broken(run) == set()


class TestP6:
    def test_text_that_comes_behind_an_acknowledged_stop(self) -> None:
        run = stopped()
        store(run, 2, text=TEXT)
        for reading in run.readings:
            reading.shown.append(Shown(len(TEXT), TWO, 2.3))

        assert broken(run) == {"P6"}

    def test_a_model_that_goes_on_after_the_stop(self) -> None:
        run = stopped()
        run.asked[0].closed_at = 2.0 + 5.1

        assert broken(run) == {"P6"}

    def test_a_model_that_is_never_let_go(self) -> None:
        run = stopped()
        run.asked[0].closed_at = None

        assert broken(run) == {"P6"}


def test_what_is_left_of_a_deleted_conversation_is_seen() -> None:
    run = innocent()
    store(run, 3, role="user", text="Deleted", conversation_id=9, parent_id=None)

    assert broken(run) == {"--"}


def test_a_damaged_database_is_seen() -> None:
    run = innocent()
    run.stored.integrity = "row 7 missing from index"

    assert broken(run) == {"--"}


def test_chunks_that_outlive_their_answer_are_seen() -> None:
    run = innocent()
    run.stored.orphan_chunks = [2]

    assert broken(run) == {"--"}


def test_a_mishap_is_seen() -> None:
    run = innocent()
    run.mishaps.append("process 0 ended by itself")

    assert broken(run) == {"--"}


def test_the_report_names_the_run_and_the_message() -> None:
    run = innocent()
    run.readings[0].shown.pop()

    said = report(run, check(run), "chaos --seed 7")

    assert "BROKEN, chaos --seed 7\n  answer 2: a reader was told 'complete'" in said


def test_to_resume_takes_from_listening_to_the_first_event() -> None:
    assert resume_seconds(innocent()) == [0.5]


@pytest.mark.parametrize(("store", "processes"), [("sqlite", 1), ("postgres", 2)])
def test_the_same_seed_gives_the_same_faults(store: str, processes: int) -> None:
    first, second = (list(schedule(7, kills=50, processes=processes, store=store)) for _ in range(2))

    assert first == second
    assert sum(fault.kills(processes) for fault in first) in (50, 51)
    assert first != list(schedule(8, kills=50, processes=processes, store=store))


def replace_asked(asked: Asked, **changed: object) -> Asked:
    return replace(asked, **changed)  # type: ignore[arg-type] # fields by name
