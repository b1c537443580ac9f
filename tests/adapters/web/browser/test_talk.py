"""Spoken conversations on the page."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from duologue.local.components import find_synthesiser

from .... import closed_set
from .visit import LOOPBACK, Served, Visit, lacking, microphone, visiting

pytestmark = [pytest.mark.realtime, pytest.mark.deep]

Meant = Callable[[str], str]

REPLY = "Yes, I can hear you well."
NUMBERS = (
    "one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, "
    "thirteen, fourteen, fifteen, sixteen, seventeen, eighteen, nineteen, twenty"
)
CANDIDATES = (
    REPLY,
    NUMBERS,
    "Hello there. It is good to hear you.",
    "You are welcome.",
    "Goodbye, and thank you for the conversation.",
    "I am a voice that reads from a list.",
    "I did not hear any words. This is a scripted reply.",
    "No, I can not hear you at all.",
    "One, two, three, four, five, six, seven.",
    "Yes, you can see me there.",
    "Please say that again.",
    "The train leaves at seven in the morning.",
)


async def spoken(text: str) -> bytes:
    """The same sentence directly from the synthesiser, for its duration."""
    return b"".join([pcm async for pcm in find_synthesiser().speak(text)])


async def assert_says(pcm: bytes, text: str) -> None:
    """The audio contains this sentence, and no similar one, at its normal speed."""
    assert closed_set.decode(pcm, CANDIDATES) == text
    assert closed_set.lasts(pcm, await spoken(text))
    # Control: the reversed audio does not match.
    backwards = memoryview(pcm).cast("h")[::-1].tobytes()
    assert closed_set.decode(backwards, CANDIDATES) != text


async def assert_answered(visit: Visit, meant: Meant) -> None:
    await visit.until_lines(2)
    (_, asked), (_, answer) = await visit.lines()
    assert (meant(asked), answer) == ("can you hear me", REPLY)
    await assert_says(await visit.heard(), REPLY)


@pytest.mark.usefixtures("flite")
@pytest.mark.parametrize("served", [(), ("--direct",)], indirect=True)
async def test_from_the_first_visit_to_a_heard_reply(
    served: Served, question: Path, meant: Meant, tmp_path: Path
) -> None:
    """Open, click, ask: the reply is played, and the page has the server's view."""
    sound = microphone(tmp_path / "mic.wav", 2.5, question, 3.0)
    async with visiting(served, sound=sound) as visit:
        await visit.start()
        for side in ("Microphone", "Reply"):  # question and reply move the meters
            await visit.page.wait_for_function(
                """name => document.querySelector(`[role=meter][aria-label=${name}]`)
                  ?.getAttribute("aria-valuenow") > 40""",
                arg=side,
            )
        await assert_answered(visit, meant)
        # The patches led to the server's view.
        same = await visit.page.evaluate(
            """async () => {
              const { connect } = await import("/static/duologue.js");
              const id = document.querySelector("main").dataset.session;
              const first = await (await fetch(`api/sessions/${id}/view?seq=3`)).json();
              const whole = await (await fetch(`api/sessions/${id}/view`)).json();
              const client = connect();
              client.watch(id);
              while (!client.known(id)) await new Promise((r) => setTimeout(r, 20));
              const { view, seq } = client.known(id);
              client.close();
              return [first.seq, JSON.stringify(view) === JSON.stringify(whole.view)];
            }"""
        )
        assert same == [3, True]
        await visit.page.get_by_role("button", name="Hang up").click()
        await visit.page.wait_for_selector(".title .status.closed")


def _has_an_address() -> bool:
    """Whether this machine has an address beyond loopback."""
    routes = Path("/proc/net/route").read_text().splitlines()[1:]
    return any(not line.startswith("lo") for line in routes)


@pytest.mark.usefixtures("flite")
async def test_a_browser_without_the_flag_for_loopback(
    served: Served, question: Path, meant: Meant, tmp_path: Path
) -> None:
    """A browser with default settings offers the host's addresses, and connects."""
    if not _has_an_address():
        lacking("there is no network but loopback")
    sound = microphone(tmp_path / "mic.wav", 2.5, question, 3.0)
    async with visiting(served, sound=sound, without=[LOOPBACK]) as visit:
        await visit.start()
        await assert_answered(visit, meant)


#: The second call's microphone plays audio of the test.
_SECOND_VOICE = """
navigator.mediaDevices.getUserMedia = new Proxy(navigator.mediaDevices.getUserMedia, {
  calls: 0,
  async apply(real, self, args) {
    if (!window.secondVoice || !this.calls++) return Reflect.apply(real, self, args);
    const context = new AudioContext();
    const bytes = Uint8Array.from(atob(window.secondVoice), (c) => c.charCodeAt(0));
    const source = context.createBufferSource();
    source.buffer = await context.decodeAudioData(bytes.buffer);
    const out = context.createMediaStreamDestination();
    source.connect(out);
    source.start();
    return out.stream;
  },
});
"""


@pytest.mark.usefixtures("flite")
async def test_two_sessions_at_once_have_their_own_words(
    served: Served, question: Path, count: Path, meant: Meant, tmp_path: Path
) -> None:
    """Two microphones speak at the same time; each call gets only one."""
    sound = microphone(tmp_path / "mic.wav", 5.0, question, 3.0)
    second = microphone(tmp_path / "second.wav", 2.5, count, 3.0)
    async with visiting(served, sound=sound, script=_SECOND_VOICE) as visit:
        page = visit.page
        await page.evaluate(
            "text => void (window.secondVoice = text)",
            base64.b64encode(second.read_bytes()).decode(),
        )
        await page.get_by_role("tab", name="Sound").click()
        await page.get_by_text("Only the conversation in front hears me").click()
        await visit.start()
        await visit.start("New conversation")
        await page.locator(".session .status.open").nth(1).wait_for()
        await page.locator(".session .tag").wait_for(state="detached")
        await visit.until_lines(2)
        counted = await visit.lines()
        await visit.choose("Conversation 1")
        await visit.until_lines(2)
        asked = await visit.lines()
        assert [meant(counted[0][1]), len(counted)] == [
            "tell me the numbers from one to twenty",
            2,
        ]
        assert counted[1][1].lower().rstrip(".") == NUMBERS
        assert [meant(asked[0][1]), *asked[1:]] == [
            "can you hear me",
            ("assistant", REPLY),
        ]
        await assert_says(await visit.heard(0), REPLY)
        await assert_says(await visit.heard(1), NUMBERS)


@pytest.mark.usefixtures("flite")
async def test_barge_in(
    served: Served, question: Path, count: Path, meant: Meant, tmp_path: Path
) -> None:
    """Barge-in stops the reply; the unplayed text is struck through."""
    sound = microphone(tmp_path / "mic.wav", 2.5, count, 3.5, question, 3.0)
    async with visiting(served, sound=sound) as visit:
        await visit.start()
        await visit.until_lines(4, timeout=40)
        lines = await visit.lines()
        assert [role for role, _ in lines] == ["user", "assistant"] * 2
        assert meant(lines[0][1]) == "tell me the numbers from one to twenty"
        assert lines[3][1] == REPLY
        cut = visit.page.locator(".line.assistant").first
        assert "Interrupted after" in await cut.locator(".cut").inner_text()
        unheard = await cut.locator(".unheard").inner_text()
        whole = await cut.locator(".text").inner_text()
        assert "twenty" not in whole.removesuffix(unheard)
        assert whole.lower().startswith("one")
        await visit.page.get_by_role("tab", name="Figures").click()
        await visit.page.get_by_text("As a table").click()
        rows = await visit.page.locator(".numbers details tbody tr").all_inner_texts()
        assert len(rows) == 2
        assert rows[0].split("\t")[-1].endswith("s")


@pytest.mark.usefixtures("flite")
async def test_a_typed_message_is_answered_aloud(served: Served) -> None:
    """Without a microphone, a typed turn gets a spoken reply."""
    async with visiting(served) as visit:
        await visit.start("Type, do not speak")
        await visit.page.get_by_label("Type a message").fill("Can you hear me?")
        await visit.page.keyboard.press("Enter")
        await visit.until_lines(2)
        assert await visit.lines() == [
            ("user", "Can you hear me?"),
            ("assistant", REPLY),
        ]
        await assert_says(await visit.heard(), REPLY)


async def test_the_reply_is_interrupted_by_hand(served: Served) -> None:
    """Escape stops the reply, which is then marked."""
    async with visiting(served) as visit:
        await visit.start("Type, do not speak")
        await visit.page.get_by_label("Type a message").fill("count from one to thirty")
        await visit.page.keyboard.press("Enter")
        await visit.page.wait_for_selector(".line.assistant .playing")
        await visit.page.get_by_label("Volume of the reply").fill("0.5")
        await visit.page.wait_for_timeout(1500)
        (volume,) = await visit.records(type="duologue.volume")
        assert volume["dir"] == "local"
        await visit.page.keyboard.press("Escape")
        await visit.page.wait_for_selector(".line.assistant .cut")
        await visit.page.wait_for_selector(".playing", state="detached")


async def test_mute(
    served: Served, question: Path, meant: Meant, tmp_path: Path
) -> None:
    """Muting stops the microphone, unmuting restores it."""
    sound = microphone(tmp_path / "mic.wav", 3.0, question, 2.0)
    async with visiting(served, sound=sound, loop=True) as visit:
        await visit.start()
        await visit.page.keyboard.press("Alt+m")
        await visit.page.wait_for_selector(".session .tag >> text=muted")
        await visit.page.wait_for_timeout(9_000)  # the question is spoken meanwhile
        assert await visit.lines() == []
        await visit.page.get_by_role("button", name="Unmute").click()
        await visit.until_lines(2)
        lines = await visit.lines()
        assert (meant(lines[0][1]), lines[1][1]) == ("can you hear me", REPLY)
        muted = await visit.records(type="duologue.muted")
        assert [record["dir"] for record in muted] == ["local", "local"]


async def test_one_microphone_is_for_the_conversation_in_front(
    served: Served, tmp_path: Path
) -> None:
    """Only the selected session is unmuted; the other one is when it is selected."""
    sound = microphone(tmp_path / "mic.wav", 30.0)
    async with visiting(served, sound=sound) as visit:
        await visit.start()
        await visit.start("New conversation")
        muted = visit.page.locator(".session").filter(has_text="muted")
        await muted.filter(has_text="Conversation 1").wait_for()
        await visit.choose("Conversation 1")
        await muted.filter(has_text="Conversation 2").wait_for()
        await muted.filter(has_text="Conversation 1").wait_for(state="detached")
        # A manual mute is kept.
        await visit.page.get_by_role("button", name="Mute", exact=True).click()
        await muted.nth(1).wait_for()
        await visit.choose("Conversation 2")
        await visit.page.get_by_role("button", name="Mute", exact=True).wait_for()
        await muted.filter(has_text="Conversation 2").wait_for(state="detached")
        assert "Conversation 1" in await muted.inner_text()


async def test_settings_in_flight(served: Served) -> None:
    """Changes are requested, confirmed, and apply to the next turn."""
    async with visiting(served) as visit:
        page = visit.page
        await visit.start("Type, do not speak")
        await page.get_by_label("Silence that ends a turn").fill("250")
        await page.get_by_label("Threshold").fill("0.6")
        await page.get_by_label("Instructions").fill("Be brief.")
        await page.get_by_label("Answers", exact=True).select_option("text")
        await page.get_by_label("Language (ISO").fill("en")
        await page.wait_for_function(
            "() => document.querySelectorAll('[data-state=not-applied]').length === 5"
        )
        await page.get_by_role("button", name="Apply").click()
        await page.wait_for_function(
            "() => document.querySelector('[data-path=instructions]').textContent"
            ".includes('Be brief.')"
        )
        shown = await page.eval_on_selector_all(
            ".agreed",
            "all => all.map(it => [it.dataset.path, it.dataset.state, "
            "it.querySelector('b').textContent])",
        )
        told = {path: value for path, state, value in shown if state == "confirmed"}
        turns = "audio.input.turn_detection"
        assert told["instructions"] == "Be brief."
        assert told["output_modalities"] == '["text"]'
        assert told[f"{turns}.silence_duration_ms"] == "250"
        assert told[f"{turns}.threshold"] == "0.6"
        assert told[f"{turns}.prefix_padding_ms"] == "300"
        assert told["audio.input.transcription.language"] == "en"
        assert [it["dir"] for it in await visit.records(type="session.update")] != []
        await page.get_by_label("Type a message").fill("Can you hear me?")
        await page.keyboard.press("Enter")
        await visit.until_lines(2)
        # The reply is text now.
        assert await visit.records(type="output_audio_buffer.started") == []


async def test_the_microphone_is_asked_and_grants(
    served: Served, question: Path, tmp_path: Path
) -> None:
    """The switches show the requested and the granted values."""
    sound = microphone(tmp_path / "mic.wav", 1.0, question, 3.0)
    async with visiting(served, sound=sound) as visit:
        page = visit.page
        await page.get_by_role("tab", name="Sound").click()
        await visit.start()
        echo = page.locator("[data-granted=echoCancellation]")
        await echo.get_by_text("granted: on").wait_for()
        await page.get_by_role("switch", name="Echo cancellation").uncheck()
        await echo.get_by_text("granted: off").wait_for()
        devices = page.get_by_role("combobox", name="Microphone").locator("option")
        assert await devices.count() > 1
        # The call continues with the other microphone.
        assert await page.locator(".title .status.open").count() == 1
