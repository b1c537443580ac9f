// Figures of a session: latency of each turn, tokens, cost, limits.

import { dollars, number, seconds } from "../format.js";
import { html, memo } from "../html.js";
import { t } from "../i18n.js";
import { turnsOf } from "../view_selectors.js";

const MOST = 24;
const [WIDTH, HEIGHT, LEFT, BOTTOM] = [320, 140, 34, 16];

export const Numbers = memo(({ view, summary, local }) => {
  if (!view) return html`<p class="empty">${t("no-session")}</p>`;
  const turns = turnsOf(view, MOST);
  return html`<div class="numbers">
    <section><h3>${t("latency")}</h3>
      ${
        turns.length
          ? html`<${Chart} turns=${turns} /><${Turns} turns=${turns} />`
          : html`<p class="empty">${t("no-turns")}</p>`
      }
    </section>
    <section><h3>${t("usage")}</h3><${Usage} usage=${view.usage} />
      <p class="cost"><b>${t("cost")}:</b> ${" "}
        ${costOf(summary?.cost)}</p>
      ${summary?.cost && html`<p class="note">
        ${t(local ? "cost-local" : "cost-note", { model: summary.cost.model })}</p>`}
    </section>
    ${
      view.rate_limits.length > 0 &&
      html`<section><h3>${t("limits")}</h3>
      <${Limits} limits=${view.rate_limits} /></section>`
    }
  </div>`;
});

function costOf(cost) {
  if (!cost) return t("cost-unknown");
  const usd = dollars(cost.usd);
  return cost.partial ? t("cost-partial", { usd }) : usd;
}

/** Bars of the time to the first audio, with points for the first text. */
function Chart({ turns }) {
  const most = Math.max(
    1000,
    ...turns.flatMap((turn) => [turn.first_audio_ms ?? 0, turn.first_text_ms ?? 0]),
  );
  const top = Math.ceil(most / 500) * 500;
  const y = (ms) => HEIGHT - BOTTOM - (ms / top) * (HEIGHT - BOTTOM - 6);
  const slot = (WIDTH - LEFT) / Math.max(8, turns.length);
  return html`<svg class="chart" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img"
    aria-label=${t("chart", { n: turns.length })}>
    ${[0, top / 2, top].map(
      (ms) => html`<g key=${ms} class="grid">
      <line x1=${LEFT} x2=${WIDTH} y1=${y(ms)} y2=${y(ms)} />
      <text x=${LEFT - 4} y=${y(ms) + 3} text-anchor="end">${seconds(ms)}</text></g>`,
    )}
    ${turns.map(
      (turn, at) => html`<g key=${turn.id} class="turn ${turn.status}">
      ${
        turn.first_audio_ms !== null &&
        html`<rect x=${LEFT + at * slot + slot * 0.2} width=${slot * 0.6}
        y=${y(turn.first_audio_ms)} height=${Math.max(0, y(0) - y(turn.first_audio_ms))}
        rx="2" />`
      }
      ${turn.first_text_ms !== null && html`<circle cx=${LEFT + (at + 0.5) * slot}
        cy=${y(turn.first_text_ms)} r="2.5" />`}
      <title>${`${at + 1}: ${seconds(turn.first_audio_ms)}`}</title></g>`,
    )}
  </svg>
  <p class="legend"><span class="key audio">${t("first-audio")}</span><span
    class="key words">${t("first-text")}</span></p>`;
}

function Turns({ turns }) {
  return html`<details><summary>${t("as-table")}</summary><table>
    <thead><tr><th scope="col">${t("turn")}</th><th scope="col">${t("first-text")}</th>
      <th scope="col">${t("first-audio")}</th><th
        scope="col">${t("barge-in")}</th></tr></thead>
    <tbody>${turns.map(
      (turn, at) => html`<tr key=${turn.id}><th scope="row">${at + 1}</th>
      <td>${seconds(turn.first_text_ms)}</td><td>${seconds(turn.first_audio_ms)}</td>
      <td>${seconds(turn.barge_in_ms)}</td></tr>`,
    )}</tbody>
  </table></details>`;
}

function Usage({ usage }) {
  const row = (name, text, audio) => html`<tr><th scope="row">${t(name)}</th>
    <td>${number(text)}</td><td>${number(audio)}</td></tr>`;
  return html`<table class="usage">
    <thead><tr><th scope="col">${t("tokens")}</th><th scope="col">${t("text")}</th><th
      scope="col">${t("audio")}</th></tr></thead>
    <tbody>
      ${row("tokens-in", usage.input_text, usage.input_audio)}
      ${row("tokens-cached", usage.cached_text, usage.cached_audio)}
      ${row("tokens-out", usage.output_text, usage.output_audio)}
    </tbody>
    <tfoot><tr><th scope="row">${t("total")}</th><td
      colspan="2">${number(usage.total)}</td></tr></tfoot>
  </table>`;
}

function Limits({ limits }) {
  return html`<ul class="limits">${limits.map(
    (limit) => html`<li key=${limit.name}>
    ${t(`limit-${limit.name}`)}: ${limit.remaining === null ? "–" : number(limit.remaining)}
    ${limit.limit !== null && ` / ${number(limit.limit)}`}</li>`,
  )}</ul>`;
}
