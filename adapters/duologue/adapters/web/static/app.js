// The root component of the page.

import { Controller } from "./controller.js";
import { html, render, useEffect, useState } from "./html.js";
import { setLanguage, t } from "./i18n.js";
import { listenForKeys } from "./shortcuts.js";
import { Store } from "./store.js";
import { Notices } from "./components/widgets.js";
import { Details } from "./components/side_panel.js";
import { Consent, Help } from "./components/dialogs.js";
import { Header } from "./components/header.js";
import { Icon } from "./components/icons.js";
import { Sessions } from "./components/session_list.js";
import { Talk } from "./components/call_view.js";

const PLACES = { sessions: "list", talk: "talk", details: "sliders" };

function App({ store, controller }) {
  const [state, setState] = useState(store.state);
  useEffect(() => {
    store.listeners.add(setState);
    return () => store.listeners.delete(setState);
  }, [store]);
  const { prefs, place, config, link } = state;
  // Before the first render, so that the whole page has one language.
  setLanguage(prefs.language);
  useEffect(() => {
    document.documentElement.dataset.theme = prefs.theme;
  }, [prefs.theme]);
  const { sessions, gone, selected, calls, busy } = state;
  // `lang` is a prop, so that memoised components render again in another language.
  const lang = document.documentElement.lang;
  return html`<div class="page" data-place=${place} lang=${lang} key=${lang}>
    <${Header} ...${{ config, link, prefs, store }} />
    ${link !== "open" && state.wasOpen && html`<p class="banner outage" role="alert">${t("outage")}</p>`}
    <${Notices} notices=${state.notices} controller=${controller} />
    <${Sessions} ...${{ sessions, gone, selected, calls, busy, controller }} />
    <${Talk} state=${state} controller=${controller} />
    <${Details} state=${state} controller=${controller} />
    <${Places} place=${place} store=${store} />
    ${state.asking && html`<${Consent} store=${store} controller=${controller} />`}
    ${state.help && html`<${Help} store=${store} />`}
  </div>`;
}

/** On a narrow screen: the tabs of the three columns. */
function Places({ place, store }) {
  return html`<nav class="places" aria-label=${t("places")}>
    ${Object.entries(PLACES).map(
      ([name, icon]) => html`<button key=${name} type="button"
      aria-current=${name === place ? "page" : undefined}
      onClick=${() => store.set({ place: name })}>
      <${Icon} name=${icon} /><span>${t(`place-${name}`)}</span></button>`,
    )}
  </nav>`;
}

const store = new Store();
const controller = new Controller(store);
listenForKeys(controller, store);
addEventListener("pagehide", () => controller.leave());
render(html`<${App} store=${store} controller=${controller} />`, document.getElementById("app"));
controller.open();
