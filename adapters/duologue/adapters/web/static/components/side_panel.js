// The right column of the page: one of four panels.

import { html, useRef } from "../html.js";
import { t } from "../i18n.js";
import { Numbers } from "./usage_panel.js";
import { Records } from "./records_panel.js";
import { Settings } from "./settings.js";
import { Sound } from "./audio_settings.js";

const PANELS = ["settings", "sound", "numbers", "records"];

export function Details({ state, controller }) {
  const { panel, selected, views, travel, gone, sessions, config } = state;
  const past = travel?.session === selected && travel.index !== null;
  const now = views[selected]?.view;
  const view = past ? travel.shown?.view : now;
  const summary = sessions?.find(({ id }) => id === selected);
  const editable =
    !past && !gone[selected] && summary?.kind === "live" && now?.status === "open";
  const body = {
    settings: () =>
      html`<${Settings} key=${selected} ...${{ view, config, editable, controller }} />`,
    sound: () =>
      html`<${Sound} prefs=${state.prefs} granted=${state.granted[selected]}
        controller=${controller} />`,
    numbers: () =>
      html`<${Numbers} view=${view} summary=${summary} local=${config?.service.local} />`,
    records: () => html`<${Records} travel=${travel} view=${now} controller=${controller} />`,
  }[panel];
  return html`<aside class="details" aria-label=${t("details")}>
    <${Tabs} panel=${panel} controller=${controller} />
    <div class="panel" role="tabpanel"
      id=${`panel-${panel}`} aria-labelledby=${`tab-${panel}`} tabindex="-1">
      ${body()}
    </div>
  </aside>`;
}

function Tabs({ panel, controller }) {
  const list = useRef(null);
  const move = (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const to = PANELS.at((PANELS.indexOf(panel) + by) % PANELS.length);
    controller.show(to);
    list.current.querySelector(`#tab-${to}`).focus();
  };
  return html`<div class="tabs" role="tablist" ref=${list} onKeyDown=${move}>
    ${PANELS.map(
      (name) => html`<button key=${name} type="button" role="tab" id=${`tab-${name}`}
      aria-selected=${name === panel ? "true" : "false"}
      aria-controls=${name === panel ? `panel-${name}` : undefined}
      tabindex=${name === panel ? 0 : -1}
      onClick=${() => controller.show(name)}>${t(`panel-${name}`)}</button>`,
    )}
  </div>`;
}
