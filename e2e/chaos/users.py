"""Users: they send, read, stop, delete and try again, insist where they hear nothing, and remember it all."""

import asyncio
import re
from collections.abc import Coroutine
from itertools import count
from random import Random
from time import monotonic
from typing import Any

import httpx2

from e2e.chaos.reading import AGAIN_SECONDS, SILENCE_SECONDS, Reader, Ways
from e2e.chaos.records import FragmentReading, Prompt, Reading, Run, Stop
from e2e.chaos.upstream import PROMPT

MOST_TURNS = 6
"""In one conversation: what the model is sent grows with it."""

_numbers = count(1)


class User:
    """One person at one device, who does one thing after the other, until told to come to an end."""

    def __init__(self, ways: Ways, run: Run, random: Random, closing: asyncio.Event) -> None:
        self._ways = ways
        self._run = run
        self._random = random
        self._closing = closing
        self._reader = Reader(ways, run, random)
        self._conversation: int | None = None
        self._turns = 0
        self.doing = "nothing"

    async def live(self) -> None:
        """Have turn after turn."""
        while not self._closing.is_set():
            if self._turns >= MOST_TURNS or self._chance(0.3):
                self._conversation, self._turns = None, 0
            await self._turn()
            await asyncio.sleep(self._random.uniform(0, 0.3))
        self.doing = "nothing"

    async def _turn(self) -> None:
        number = next(_numbers)
        text = PROMPT.format(
            number=number,
            pieces=self._random.choice((1, 5, 20, 40, 80)),
            pause=self._random.choice((1, 10, 20, 40)),
            thoughts=self._random.choice((0, 0, 0, 10)),
        )
        token = f"form-{self._run.seed}-{number}"
        prompt = Prompt(text, token, str(self._conversation or ""), self._conversation)
        self._run.prompts.append(prompt)
        self.doing = f"sending {text!r}"
        acknowledged: asyncio.Future[Reading] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_and_read(prompt, acknowledged))
            reading = await acknowledged
            self.doing = f"reading answer {reading.message_id} to {text!r}"
            self._conversation = prompt.conversation
            self._turns += 1
            for deed in self._deeds(prompt, reading.message_id):
                group.create_task(deed)
        if self._conversation in self._run.deletions:
            self._conversation = None
        elif not self._closing.is_set() and self._chance(0.7 if reading.ended == "interrupted" else 0.05):
            self.doing = f"trying again answer {reading.message_id} to {text!r}"
            await self._try_again(prompt, reading.message_id)

    def _deeds(self, prompt: Prompt, message_id: int) -> list[Coroutine[Any, Any, None]]:
        """What is done while the answer is being written."""
        if self._chance(0.03):
            return [self._delete(prompt)]
        deeds = [
            (0.12, self._stop(message_id)),
            (0.15, self._send_twice(prompt)),
            (0.25, self._watch(message_id)),
            (0.3, self._watch_fragments(message_id)),
        ]
        chosen = []
        for chance, deed in deeds:
            if self._chance(chance):
                chosen.append(deed)
            else:
                deed.close()
        return chosen

    async def _send_and_read(self, prompt: Prompt, acknowledged: asyncio.Future[Reading]) -> None:
        """Send a prompt, with the same form until it is acknowledged; then read the answer."""
        while not acknowledged.done():
            # Some go away before they can have been answered.
            patience = self._random.uniform(0, 0.05) if self._chance(0.15) else SILENCE_SECONDS
            reading: Reading | None = None
            try:
                async with self._post(prompt, patience) as (response, process):
                    if answer := self._acknowledgement(prompt, response):
                        reading = Reading(answer, monotonic())
                        self._run.readings.append(reading)
                        acknowledged.set_result(reading)
                        await self._reader.read(reading, response, process)
            except (httpx2.HTTPError, TimeoutError):
                pass  # this is what the run is about
            if reading:
                await self._reader.follow(reading, lost_at=monotonic())
            else:
                await asyncio.sleep(AGAIN_SECONDS)

    def _post(self, prompt: Prompt, patience: float = SILENCE_SECONDS) -> Any:
        prompt.sendings += 1
        data = {"prompt": prompt.text, "form_token": prompt.token, "conversation": prompt.goes_on}
        return self._ways.open("POST", "/completion", data=data, patience=patience)

    def _acknowledgement(self, prompt: Prompt, response: httpx2.Response) -> int | None:
        """Note what the server says; the answer's id if it has the prompt."""
        if response.status_code != 200:
            self._refused(response.status_code, f"the conversation {prompt.conversation} of {prompt.text!r}")
            return None
        answer = int(response.headers["Content-Location"].rpartition("/")[2])
        prompt.conversation = int(response.headers["X-Conversation-Id"])
        prompt.answers.add(answer)
        return answer

    async def _send_twice(self, prompt: Prompt) -> None:
        """Send the same form once more, as a double click or the back button does."""
        if self._chance(0.5):
            await self._wait()
        try:
            async with self._post(prompt) as (response, _):
                self._acknowledgement(prompt, response)
        except (httpx2.HTTPError, TimeoutError):
            pass  # once is enough

    async def _watch(self, message_id: int) -> None:
        """Open the answer on another device."""
        await self._wait()
        reading = Reading(message_id, monotonic())
        self._run.readings.append(reading)
        await self._reader.follow(reading)

    async def _watch_fragments(self, message_id: int) -> None:
        reading = FragmentReading(message_id)
        self._run.fragment_readings.append(reading)
        await self._reader.follow_fragments(reading)

    async def _stop(self, message_id: int) -> None:
        """Stop the answer, until that is acknowledged; and look what is there then."""
        await self._wait()
        status, _ = await self._insist(f"/completion/{message_id}/stop")
        if status == 303:
            self._run.stops.append(Stop(message_id, monotonic()))
            reading = Reading(message_id, monotonic(), after_stop=True)
            self._run.readings.append(reading)
            await self._reader.follow(reading)

    async def _delete(self, prompt: Prompt) -> None:
        """Delete the conversation, until that is acknowledged."""
        await self._wait()
        if conversation := prompt.conversation:
            self._run.deletions[conversation] = None
            await self._insist(f"/conversations/{conversation}/delete")
            self._run.deletions[conversation] = monotonic()

    async def _try_again(self, prompt: Prompt, message_id: int) -> None:
        """Have the prompt answered once more; asked again where nothing is heard, it is not done twice."""
        prompt.retried.add(message_id)
        status, body = await self._insist(f"/messages/{message_id}/retry", {"HX-Request": "true"})
        if status == 200 and (found := re.search(r"/completion/(\d+)/fragments", body)):
            prompt.tries.add(int(found[1]))
            reading = Reading(int(found[1]), monotonic())
            self._run.readings.append(reading)
            await self._reader.follow(reading)

    async def _insist(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
        """Post until there is an answer that is no fault of the moment; its status and body."""
        while True:
            try:
                async with self._ways.open("POST", path, headers=headers) as (response, _):
                    if response.status_code < 500:
                        if response.status_code >= 400:
                            self._refused(response.status_code, path)
                        return response.status_code, (await response.aread()).decode()
                    self._run.refusals[response.status_code] += 1
            except (httpx2.HTTPError, TimeoutError):
                pass  # as above
            await asyncio.sleep(AGAIN_SECONDS)

    def _refused(self, status: int, what: str) -> None:
        self._run.refusals[status] += 1
        if status == 404 and self._conversation not in self._run.deletions:
            self._run.mishaps.append(f"{what}: 404, though nobody deleted it")

    async def _wait(self) -> None:
        await asyncio.sleep(self._random.uniform(0, 1.2))

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability
