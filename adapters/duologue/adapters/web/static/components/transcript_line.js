// One line of a conversation: a message, a tool call, a problem or a reconnection.

import { visible, clock, seconds } from "../format.js";
import { html, memo } from "../html.js";
import { has, t } from "../i18n.js";
import { heardOf, isFinal, textOf } from "../view_selectors.js";
import { Icon } from "./icons.js";

export const Line = memo(
  ({ item, speaking, playing, response, transcribed, changed }) => {
    const mark = changed ? "changed" : "";
    if (item.type !== "message") return html`<${Tool} item=${item} mark=${mark} />`;
    const user = item.role === "user";
    return html`<li class="line ${item.role ?? ""} ${mark}" data-role=${item.role}>
    <p class="who">
      <span>${t(`role-${item.role ?? "unknown"}`)}</span>
      <time>${clock(item.started_at)}</time>
      ${playing && html`<span class="playing">${t("playing")}</span>`}
      ${
        !user &&
        response?.first_audio_ms != null &&
        html`<span class="took">${seconds(response.first_audio_ms)}</span>`
      }
    </p>
    <${Words} item=${item} speaking=${speaking} transcribed=${transcribed} />
    ${item.interrupted !== null && html`<${Cut} item=${item} />`}
    ${item.parts.map(({ failure }) =>
      failure
        ? html`<p class="failure"
          dir="auto">${t("not-transcribed")}: ${visible(failure)}</p>`
        : null,
    )}
    ${
      item.status === "incomplete" &&
      item.interrupted === null &&
      html`<p class="aside">${t("incomplete")}</p>`
    }
  </li>`;
  },
);

function Words({ item, speaking, transcribed }) {
  const { heard, rest } = heardOf(item);
  const final = isFinal(item);
  if (!heard && !rest)
    return html`<p class="text waiting">${t(waiting(item, speaking, final, transcribed))}</p>`;
  return html`<p class="text ${final ? "" : "live"}" dir="auto">
    ${visible(heard)}
    ${
      rest &&
      html`<span class="sr"> ${t("not-heard")} </span>
      <s class="unheard">${visible(rest)}</s>`
    }
  </p>`;
}

/** The placeholder for a missing text. */
function waiting(item, speaking, final, transcribed) {
  if (speaking) return "listening";
  if (item.role === "user" && !final) return transcribed ? "writing" : "spoken";
  if (item.role === "user") return transcribed ? "no-words" : "spoken";
  return final ? "no-words" : "thinking";
}

function Cut({ item }) {
  const key = item.heard === null ? "interrupted-unknown" : "interrupted";
  return html`<p class="aside cut">
    ${t(key, { time: seconds(item.interrupted) })}
    ${item.confirmed === false && html` ${t("by-our-clock")}`}
  </p>`;
}

function Tool({ item, mark }) {
  const { call } = item;
  const title = `item-${item.type}`;
  return html`<li class="line tool ${mark}" data-type=${item.type}>
    <p class="who"><${Icon} name="tool" />
      <span>${has(title) ? t(title) : visible(item.type)}</span>
      <time>${clock(item.started_at)}</time></p>
    ${
      call
        ? html`<${CallOf} call=${call} />`
        : html`<p class="text" dir="auto">${visible(textOf(item))}</p>`
    }
  </li>`;
}

function CallOf({ call }) {
  const args = call.arguments.join("");
  return html`
    ${
      call.name &&
      html`<p class="tool-name" dir="auto"><code>${visible(call.name)}</code>
      <span class="tag">${t(progress(call))}</span></p>`
    }
    ${args && html`<pre dir="auto">${visible(args)}</pre>`}
    ${
      call.output !== null &&
      html`<p class="aside">${t("output")}</p>
      <pre dir="auto">${visible(call.output)}</pre>`
    }
    ${call.error !== null && html`<p class="failure" dir="auto">${visible(call.error)}</p>`}
    ${
      call.mcp &&
      html`<p class="aside" dir="auto">${visible(call.mcp.server_label)}
      ${call.mcp.tools.length > 0 && html` · ${visible(call.mcp.tools.join(", "))}`}</p>`
    }`;
}

function progress(call) {
  if (call.error !== null) return "call-failed";
  if (call.running) return "call-running";
  if (call.output !== null || call.answered) return "call-answered";
  if (call.final && !call.complete) return "call-cut";
  return call.complete ? "call-pending" : "call-coming";
}

/** A gap in the records. */
export function Gap() {
  return html`<li class="gap aside">${t("gap")}</li>`;
}

/** A new connection of the session, and why it was made. */
export function ReconnectionLine({ reconnection }) {
  const { hand_over: planned, attempt, reason } = reconnection;
  const text = t(planned ? "handed-over" : "reconnected", { n: attempt });
  return html`<li class="gap aside">${visible(reason === null ? text : `${text}: ${reason}`)}</li>`;
}

export const ProblemLine = memo(
  ({ problem }) => html`<li class="line problem">
  <p class="who"><${Icon} name="warning" /><span>${t("problem")}</span>
    <time>${clock(problem.at)}</time></p>
  <p class="text" dir="auto">${visible(problem.message)}</p>
  <p class="aside">${visible([problem.kind, problem.code, problem.origin].filter(Boolean).join(" · "))}</p>
</li>`,
);
