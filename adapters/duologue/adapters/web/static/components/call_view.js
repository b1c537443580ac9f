// The middle column: the welcome, or the selected conversation with its call.

import { html } from "../html.js";
import { t } from "../i18n.js";
import { nameOf } from "../view_selectors.js";
import { visible } from "../format.js";
import { CallBar } from "./call_bar.js";
import { Button, Status } from "./widgets.js";
import { Composer } from "./composer.js";
import { Conversation, Past } from "./conversation.js";

const OVER = ["closed", "failed"];

export function Talk({ state, controller }) {
  const { selected, views, travel, gone } = state;
  const held = views[selected];
  if (!selected) return html`<${Welcome} state=${state} controller=${controller} />`;
  const past = travel?.session === selected && travel.index !== null;
  const shown = past ? travel.shown : held;
  const live = !past && !gone[selected];
  return html`<main class="talk" data-session=${selected} data-seq=${shown?.seq}>
    <${Title} state=${state} view=${held?.view} />
    ${state.config?.recording && html`<p class="banner recording" role="status">${t("recording")}</p>`}
    ${past && html`<${Past} travel=${travel} controller=${controller} />`}
    ${
      state.blocked === selected &&
      html`<p class="banner" role="alert">
      ${t("blocked")} <${Button} kind="primary" icon="play" label=${t("play-sound")}
        onClick=${() => controller.unblock()} /></p>`
    }
    ${
      shown
        ? html`<${Conversation} key=${selected} view=${shown.view} patch=${shown.patch}
          live=${live} />`
        : html`<p class="empty" role="status">${t((past && travel.lacking) || "loading")}</p>`
    }
    ${live && held && html`<${Foot} state=${state} view=${held.view} controller=${controller} />`}
  </main>`;
}

function Title({ state, view }) {
  const { sessions, gone, selected } = state;
  const all = [...(sessions ?? []), ...Object.values(gone)];
  const session = all.find(({ id }) => id === selected);
  if (!session) return null;
  const reason = session.reason ?? view?.reason;
  return html`<div class="title">
    <h2 dir="auto">${visible(nameOf(all, session, t))}</h2>
    ${view && session.kind !== "import" && html`<${Status} status=${gone[selected] ? "closed" : view.status} />`}
    ${reason && html`<span class="note" dir="auto">${visible(reason)}</span>`}
  </div>`;
}

function Foot({ state, view, controller }) {
  const { selected, calls } = state;
  const call = controller.client.calls.get(selected);
  const session = state.sessions?.find(({ id }) => id === selected);
  if (session?.kind === "import") return html`<p class="over">${t("over-import")}</p>`;
  if (OVER.includes(view.status) && !call)
    return html`<p class="over">${t("over")}</p>`;
  return html`<footer class="foot">
    ${calls[selected] === "connecting" && html`<p class="over" role="status">${t("calling")}</p>`}
    ${call && html`<${CallBar} call=${call} view=${view} controller=${controller} />`}
    <${Composer} disabled=${view.status !== "open"} controller=${controller} />
  </footer>`;
}

function Welcome({ state, controller }) {
  const { config, busy } = state;
  return html`<main class="talk welcome">
    <h2>${t("welcome")}</h2>
    <p>${t("welcome-how")}</p>
    ${config && html`<p class="note">
      ${t(config.service.local ? "goes-local" : "goes-to", { service: config.service.name })}
    </p>`}
    ${config?.recording && html`<p class="banner recording" role="status">${t("recording")}</p>`}
    <div class="choices">
      <${Button} kind="primary big" icon="mic" label=${t("start")}
        disabled=${busy || !config}
        onClick=${() => controller.start(true)} />
      <${Button} kind="plain big" icon="talk" label=${t("start-typed")}
        disabled=${busy || !config}
        onClick=${() => controller.start(false)} />
    </div>
    <p class="note">${t(config?.recording ? "kept-recording" : "kept")}</p>
  </main>`;
}
