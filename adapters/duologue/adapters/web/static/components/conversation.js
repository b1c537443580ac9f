// The lines of the selected conversation, live or after a record.

import { clock, visible } from "../format.js";
import { html, memo, useEffect, useMemo, useRef, useState } from "../html.js";
import { t } from "../i18n.js";
import { at, isFinal, linesOf, textOf, touchedItems } from "../view_selectors.js";
import { Button } from "./widgets.js";
import { Gap, Line, ProblemLine, ReconnectionLine } from "./transcript_line.js";

const MOST = 120;

export const Conversation = memo(({ view, patch, live }) => {
  const [most, setMost] = useState(MOST);
  const { lines, earlier } = useMemo(
    () => linesOf(view, most),
    [view.order, view.items, view.problems, view.reconnections, view.gaps, most],
  );
  const changed = useMemo(() => touchedItems(patch), [patch]);
  const [box, onScroll] = useFollowing(view, live);
  const transcribed = Boolean(at(view, "confirmed.audio.input.transcription"));
  const { speaking_item: speaking, playing } = view.activity;
  return html`<div class="scroll" ref=${box} onScroll=${onScroll} tabindex="0"
    role="region" aria-label=${t("lines")}>
    ${
      earlier > 0 &&
      html`<p class="earlier">
      <${Button} label=${t("earlier", { n: earlier })}
        onClick=${() => setMost(most + MOST)} />
    </p>`
    }
    <ol class="lines">
      ${view.translation && html`<${Translation} translation=${view.translation} />`}
      ${lines.map(({ key, id, item, problem, reconnection }) =>
        problem
          ? html`<${ProblemLine} key=${key} problem=${problem} />`
          : reconnection
          ? html`<${ReconnectionLine} key=${key} reconnection=${reconnection} />`
          : !item
            ? html`<${Gap} key=${key} />`
            : html`<${Line} key=${key} item=${item} speaking=${speaking === id}
              playing=${playing !== null && playing === item.response_id}
              response=${view.responses[item.response_id]} transcribed=${transcribed}
              changed=${changed.has(id)} />`,
      )}
    </ol>
    ${!lines.length && !view.translation && html`<p class="empty">${t("nothing-said")}</p>`}
    ${live && html`<${Announcer} view=${view} />`}
  </div>`;
});

function Translation({ translation }) {
  return ["input", "output"].map(
    (side) => html`<li class="line ${side === "input" ? "user" : "assistant"}">
      <p class="who"><span>${t(`translation-${side}`)}</span></p>
      <p class="text" dir="auto">${visible(translation[side].chunks.join(""))}</p>
    </li>`,
  );
}

/** Scrolls to the end, unless the user scrolled away from it. */
function useFollowing(view, live) {
  const box = useRef(null);
  const following = useRef(true);
  useEffect(() => {
    if (following.current || !live) box.current.scrollTop = box.current.scrollHeight;
  }, [view, live]);
  const onScroll = ({ target }) => {
    const below = target.scrollHeight - target.scrollTop - target.clientHeight;
    following.current = below < 60;
  };
  return [box, onScroll];
}

/** Announces each line to screen readers once its text is final. */
function Announcer({ view }) {
  const told = useRef(null);
  const [text, setText] = useState("");
  useEffect(() => {
    const done = view.order.slice(-6).filter((id) => {
      const { type } = view.items[id];
      return type === "message" && isFinal(view.items[id]);
    });
    const fresh =
      told.current === null ? [] : done.filter((id) => !told.current.has(id));
    told.current ??= new Set();
    for (const id of done) told.current.add(id);
    if (fresh.length) {
      const line = (item) => `${t(`role-${item.role}`)}: ${visible(textOf(item))}`;
      setText(fresh.map((id) => line(view.items[id])).join(" "));
    }
  }, [view.order, view.items]);
  return html`<p class="sr" aria-live="polite">${text}</p>`;
}

/** The banner of time travel, with a button back to the present state. */
export function Past({ travel, controller }) {
  const { records, index } = travel;
  const record = records[index];
  return html`<div class="banner past" role="status">
    <p>${t("past", { n: record?.seq, type: visible(record?.type), time: clock(record?.at, true) })}</p>
    <${Button} label=${t("now")} kind="primary" onClick=${() => controller.travel.leave()} />
  </div>`;
}
