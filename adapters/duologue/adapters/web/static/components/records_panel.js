// Time travel: the list of records, the player, and the changes of the current record.

import { bytes, clock, number, visible } from "../format.js";
import { html, useMemo } from "../html.js";
import { t } from "../i18n.js";
import { SPEEDS } from "../time_travel.js";
import { Button, Choice } from "./widgets.js";
import { Json, markedIn } from "./json_tree.js";
import { VirtualList } from "./virtual_list.js";

const SIGNS = { in: "←", out: "→", local: "•" };

export function Records({ travel, view, controller }) {
  if (!travel) return html`<p class="empty">${t("no-session")}</p>`;
  const { records, index, shown, bounds, loading } = travel;
  return html`<div class="records">
    <${Filter} travel=${travel} controller=${controller} />
    <${Kept} bounds=${bounds} count=${records.length} loading=${loading} />
    <${VirtualList} id="record" count=${records.length} chosen=${index}
      label=${t("records")}
      draw=${(at) => html`<${Row} record=${records[at]} />`} onGo=${(at) => controller.travel.go(at)} />
    <${Player} travel=${travel} controller=${controller} />
    ${index !== null && shown && html`<${Difference} shown=${shown} />`}
    <${Raw} view=${index === null ? view : shown?.view}
      patch=${index === null ? null : shown?.patch} />
    <p class="transfer"><a class="button plain" href=${controller.client.logUrl(travel.session)}
      download=${`${travel.session}.jsonl`}>${t("export")}</a></p>
  </div>`;
}

function Filter({ travel, controller }) {
  const { dir, type, q } = travel.filter;
  const options = ["", "in", "out", "local"].map((name) => [
    name,
    t(`dir-${name || "all"}`),
  ]);
  const input = (
    name,
    value,
  ) => html`<label class="field"><span class="sr">${t(`filter-${name}`)}</span>
    <input type="search" value=${value}
      placeholder=${t(`filter-${name}`)} spellcheck="false"
      onInput=${(event) => controller.travel.filter({ [name]: event.target.value })} /></label>`;
  return html`<div class="filter" role="search">
    <${Choice} hidden label=${t("direction")} value=${dir} options=${options}
      onChange=${(value) => controller.travel.filter({ dir: value })} />
    ${input("type", type)}${input("q", q)}
  </div>`;
}

/** The number of listed and of dropped records. */
function Kept({ bounds, count, loading }) {
  if (!bounds) return html`<p class="note" role="status">${t("loading")}</p>`;
  const { dropped, dropped_bytes: size } = bounds;
  const [n, first, last] = [count, bounds.first, bounds.last].map((it) => number(it));
  const listed = t("listed", { n, first, last });
  return html`<p class="note" role="status">
    ${loading ? t("loading") : listed}
    ${dropped > 0 && html`<br /><b>${t("dropped", { n: number(dropped), size: bytes(size ?? 0) })}</b>`}
  </p>`;
}

function Row({ record }) {
  const about = [record.seq, clock(record.at, true), bytes(record.size)];
  if (record.src) about.push(visible(record.src));
  return html`<span class="dir ${record.dir}"
    title=${t(`dir-${record.dir}`)}><span aria-hidden="true">${SIGNS[record.dir]}</span>
      <span class="sr">${t(`dir-${record.dir}`)}</span></span>
    <span class="type" dir="auto">${visible(record.type)}</span>
    <span class="about">${about.join(" · ")}</span>`;
}

function Player({ travel, controller }) {
  const { records, index, playing, speed } = travel;
  const go = controller.travel;
  const last = Math.max(0, records.length - 1);
  const here = records[index ?? last];
  const none = !records.length;
  return html`<div class="player">
    <input type="range" min="0" max=${last} value=${index ?? last} disabled=${none}
      aria-label=${t("place")}
      aria-valuetext=${here ? t("place-text", { n: here.seq, type: visible(here.type) }) : ""}
      onInput=${(event) => go.go(Number(event.target.value))} />
    <div class="controls">
      <${Button} bare icon="first" label=${t("first")} disabled=${none}
        onClick=${() => go.go(0)} />
      <${Button} bare icon="back" label=${t("back")} disabled=${none}
        onClick=${() => go.step(-1)} />
      <${Button} bare icon=${playing ? "pause" : "play"}
        label=${t(playing ? "pause" : "replay")} kind="primary"
        disabled=${none} onClick=${() => (playing ? go.pause() : go.play())} />
      <${Button} bare icon="next" label=${t("next")} disabled=${none}
        onClick=${() => go.step(1)} />
      <${Button} bare icon="last" label=${t("last")} disabled=${none}
        onClick=${() => go.go(last)} />
      <${Choice} hidden label=${t("speed")} value=${String(speed)}
        options=${SPEEDS.map((x) => [String(x), `× ${x}`])}
        onChange=${(value) => go.speed(Number(value))} />
      <${Button} label=${t("now-short")} disabled=${index === null}
        onClick=${() => go.leave()} />
    </div>
  </div>`;
}

/** The operations of the record's patch, and the record. */
function Difference({ shown }) {
  return html`<section class="difference"><h3>${t("difference")}</h3>
    ${
      shown.patch.length
        ? html`<ul>${shown.patch.map(
            (step, at) => html`<li key=${at} class="op ${step.op}">
        <span class="tag">${t(`op-${step.op}`)}</span> <code dir="ltr">${visible(step.path)}</code>
        ${"value" in step && html`<span class="op-value" dir="auto">${visible(short(step.value))}</span>`}</li>`,
          )}</ul>`
        : html`<p class="empty">${t("no-difference")}</p>`
    }
    <${Json} value=${shown.record} name=${t("record")} />
  </section>`;
}

function short(value) {
  const text = JSON.stringify(value);
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}

function Raw({ view, patch }) {
  const marked = useMemo(() => markedIn(view, patch), [view, patch]);
  if (!view) return null;
  return html`<section class="raw"><h3>${t("raw")}</h3>
    <${Json} value=${view} name=${t("view")} marked=${marked} />
  </section>`;
}
