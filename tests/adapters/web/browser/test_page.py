"""The page without a call: language, colours, messages and untrusted text."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from duologue.core import PatchError, apply

from .visit import ROOT, Served, visiting

pytestmark = pytest.mark.realtime

STATIC = ROOT / "adapters" / "duologue" / "adapters" / "web" / "static"


async def test_smoke(served: Served) -> None:
    """It opens without an error; language and colours can be changed."""
    async with visiting(served) as visit:
        page = visit.page
        await page.get_by_role("heading", name="Talk to it").wait_for()
        assert await page.get_attribute("html", "lang") == "en"
        await page.get_by_label("Language").select_option("de")
        await page.get_by_role("heading", name="Sprechen Sie").wait_for()
        await page.get_by_label("Farben").select_option("dark")
        ground = "() => getComputedStyle(document.body).backgroundColor === 'rgb({})'"
        await page.wait_for_function(ground.format("18, 22, 21"))
        await page.get_by_label("Farben").select_option("light")
        await page.wait_for_function(ground.format("244, 245, 244"))
        # Both are stored, and nothing else.
        await page.reload()
        await page.get_by_role("heading", name="Sprechen Sie").wait_for()
        kept = json.loads(await page.evaluate("localStorage.duologue"))
        assert (kept["language"], kept["theme"]) == ("de", "light")
        assert await page.evaluate("Object.keys(localStorage)") == ["duologue"]
        # Each language has every string, with the same placeholders.
        keys = """async () => {
          const [de, en] = await Promise.all(["de", "en"].map(
            async (code) => (await import(`/static/strings/${code}.js`)).default));
          const places = (all) => Object.entries(all).map(([key, text]) =>
            [key, ...(text.match(/\\{\\w+\\}/g) ?? []).sort()].join(" "));
          return [places(de), places(en)];
        }"""
        german, english = await page.evaluate(keys)
        assert german == english


async def test_the_browsers_language_is_taken(served: Served) -> None:
    async with visiting(served, locale="de-AT") as visit:
        await visit.page.get_by_role("heading", name="Sprechen Sie").wait_for()


def test_no_source_makes_markup_of_text() -> None:
    """No module writes HTML or evaluates text, and each string key exists."""
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|Function\("
    own = [path for path in STATIC.rglob("*.js") if "vendor" not in path.parts]
    assert len(own) > 20
    found = [path.name for path in own if re.search(ways, path.read_text())]
    assert found == []
    # Control: the check finds it in a library.
    assert re.search(ways, (STATIC / "vendor" / "preact.js").read_text())
    texts = (STATIC / "strings" / "en.js").read_text()
    for path in own:
        for key in re.findall(r'\bt\("([\w-]+)"', path.read_text()):
            assert re.search(rf'^  "?{key}"?:', texts, re.MULTILINE), (path.name, key)


def _document(rng: random.Random, depth: int = 0) -> Any:
    """JSON values with keys that need escapes in a pointer."""
    kind = rng.randrange(4 if depth < 3 else 2)
    if kind == 0:
        return rng.choice([None, True, 0, 1.5, "", "text", "~/"])
    if kind == 1:
        return rng.randrange(10)
    members = [_document(rng, depth + 1) for _ in range(rng.randrange(4))]
    names = rng.sample(["a", "b", "c/d", "e~f", "", "__proto__x", "0"], len(members))
    return members if kind == 2 else dict(zip(names, members, strict=True))


def _operation(rng: random.Random, document: Any) -> dict[str, Any]:
    """An operation at an existing path, or at one close to it."""
    path, node = "", document
    while isinstance(node, list | dict) and rng.random() < 0.8:
        keys = [
            str(key) for key in (node if isinstance(node, dict) else range(len(node)))
        ]
        keys += rng.choice([["-"], ["new"], ["01"], [str(len(node))]])
        key = rng.choice(keys)
        path += "/" + key.replace("~", "~0").replace("/", "~1")
        at: Any = key if isinstance(node, dict) else int(key) if key.isdigit() else 99
        try:
            node = node[at]
        except LookupError:
            break
    if not path:
        return {"op": "replace", "path": path, "value": _document(rng)}
    name = rng.choice(["add", "replace", "remove"])
    value = {} if name == "remove" else {"value": _document(rng)}
    return {"op": name, "path": path, **value}


async def test_patches_are_applied_as_the_core_applies_them(served: Served) -> None:
    """Python and JavaScript give the same document, or refuse the same patch."""
    rng = random.Random(6902)
    cases: list[tuple[Any, list[dict[str, Any]]]] = []
    for _ in range(1_000):
        document = [_document(rng), {"x": _document(rng)}]
        cases.append((document, [_operation(rng, document) for _ in range(3)]))
    cases.append(({}, [{"op": "move", "path": "/a", "from": "/b"}]))
    expected: list[Any] = []
    for document, operations in cases:
        try:
            expected.append({"is": apply(document, operations)})
        except PatchError:
            expected.append("refused")
    assert 300 < expected.count("refused") < 900
    async with visiting(served) as visit:
        found = await visit.page.evaluate(
            """async (cases) => {
              const { applyPatch, PatchError } = await import("/static/duologue.js");
              return cases.map(([document, operations]) => {
                const before = JSON.stringify(document);
                let outcome;
                try {
                  outcome = { is: applyPatch(document, operations) };
                } catch (error) {
                  if (!(error instanceof PatchError)) throw error;
                  outcome = "refused";
                }
                return JSON.stringify(document) === before ? outcome : "changed";
              });
            }""",
            cases,
        )
    differing = [
        (case, here, there)
        for case, here, there in zip(cases, expected, found, strict=True)
        if here != there
    ]
    assert differing == []


def _refusing(name: str) -> str:
    return f"""navigator.mediaDevices.getUserMedia = async () => {{
      throw new DOMException("no", "{name}");
    }};"""


@pytest.mark.deep
@pytest.mark.parametrize(
    ("script", "text", "clicks"),
    [
        (
            "Object.defineProperty(window, 'isSecureContext', {value: false});"
            "Object.defineProperty(navigator, 'mediaDevices', {value: undefined});",
            "not loaded safely",
            False,
        ),
        ("delete window.RTCPeerConnection;", "no WebRTC", False),
        (_refusing("NotFoundError"), "No microphone was found", True),
        (_refusing("NotAllowedError"), "The microphone is not allowed", True),
        (_refusing("NotReadableError"), "in use by another program", True),
        (_refusing("TypeError"), "could not be opened", True),
    ],
    ids=["insecure", "no-webrtc", "no-microphone", "denied", "busy", "other"],
)
async def test_what_is_in_the_way_is_said(
    served: Served, script: str, text: str, clicks: bool
) -> None:
    """A plain message, and no unusable session."""
    async with visiting(served, script=script) as visit:
        if clicks:
            await visit.page.get_by_role("button", name="Start talking").click()
        notice = visit.page.get_by_role("alert")
        await notice.wait_for()
        assert text in await notice.inner_text()
        assert (await visit.api("sessions"))["sessions"] == []
        if clicks:
            # The proposed alternative works.
            await visit.start("Type, do not speak")


@pytest.mark.deep
async def test_nothing_is_recorded_before_it_is_agreed_to(served: Served) -> None:
    """If the server records, the page says so, and asks for consent first."""
    script = """const real = window.fetch;
    window.fetch = async (url, options) => {
      const answer = await real(url, options);
      if (!String(url).endsWith("api/config")) return answer;
      return Response.json({ ...(await answer.json()), recording: true });
    };"""
    async with visiting(served, script=script) as visit:
        page = visit.page
        await page.get_by_text("This server records conversations.").wait_for()
        await page.get_by_role("button", name="Start talking").click()
        await page.get_by_role("dialog").wait_for()
        await page.get_by_role("button", name="Do not start").click()
        assert (await visit.api("sessions"))["sessions"] == []
        await page.get_by_role("button", name="Start talking").click()
        await page.get_by_role("button", name="Agree and start").click()
        await page.wait_for_selector(".title .status.open")
        await page.locator(".banner.recording").wait_for()


@pytest.mark.deep
async def test_a_reply_that_may_not_play_asks_for_a_click(served: Served) -> None:
    """If the browser plays audio only after a gesture, the page offers a button."""
    script = """const real = HTMLMediaElement.prototype.play;
    HTMLMediaElement.prototype.play = function () {
      return window.gesture ? real.call(this)
        : Promise.reject(new DOMException("no", "NotAllowedError"));
    };"""
    async with visiting(served, script=script) as visit:
        await visit.start("Type, do not speak")
        button = visit.page.get_by_role("button", name="Play the sound")
        await button.wait_for()
        await visit.page.evaluate("() => void (window.gesture = true)")
        await button.click()
        await button.wait_for(state="detached")


HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'"
    "</script> & &lt;b&gt; \u202eevil\u202c \u2066iso\u2069 "
)


def hostile_log(path: Path) -> Path:
    """A log in which every untrusted text is hostile."""
    item = {"id": "<b>item</b>", "type": "message", "role": "user"}
    call = {"id": "call", "type": "function_call", "status": "completed"}
    events = [
        {"type": "session.created", "session": {"type": "realtime", "model": HOSTILE,
            "instructions": HOSTILE}},
        {"type": "conversation.item.added", "item": {**item, "status": "completed",
            "content": [{"type": "input_text", "text": HOSTILE}]}},
        {"type": "conversation.item.added", "item": {**call, "name": HOSTILE,
            "call_id": "c", "arguments": HOSTILE}},
        {"type": "error", "error": {"type": HOSTILE, "code": HOSTILE,
            "message": HOSTILE}},
        {"type": f"odd.{HOSTILE}"},
    ]  # fmt: skip
    lines = [json.dumps({"dir": "in", "event": event}) for event in events]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.deep
async def test_text_of_others_is_text(served: Served, tmp_path: Path) -> None:
    """HTML is shown as text; bidi characters are named, and isolated."""
    log = hostile_log(tmp_path / "<i>title<i>.jsonl")
    async with visiting(served) as visit:
        page = visit.page
        await page.set_input_files("input[type=file]", log)
        await page.wait_for_selector(".line.problem")
        shown = "[U+202E]evil[U+202C] [U+2066]iso[U+2069]"
        for selector in (".line.user .text", ".line.tool .tool-name code",
                         ".line.tool pre", ".line.problem .text"):  # fmt: skip
            text = await page.locator(selector).first.text_content()
            assert "<img src=x onerror=" in text
            assert "& &lt;b&gt;" in text
            assert shown in text
        await page.get_by_role("tab", name="Records").click()
        await page.wait_for_selector(".virtual .row >> nth=4")
        await page.locator(".virtual .row").nth(1).click()
        await page.wait_for_selector(".difference .op")
        assert "<b>item</b>" in await page.locator(".difference").inner_text()
        await page.locator(".virtual .row").nth(4).click()
        await page.get_by_text("after record 5 (odd.<img").wait_for()
        # No text of the page is reordered by untrusted text or names.
        whole = await page.evaluate("() => document.documentElement.outerHTML")
        assert "[U+202E]" in whole
        assert not re.search("[\u202a-\u202e\u2066-\u2069]", whole)
        assert await page.title() == "duologue"
        assert await page.locator("#app :is(img, script, b:not([dir]), i)").count() == 0
