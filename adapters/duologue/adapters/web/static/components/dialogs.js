// Dialogs: consent to recording, and help.

import { html, useEffect, useRef } from "../html.js";
import { t } from "../i18n.js";
import { Button } from "./widgets.js";

const KEYS = ["N", "M", "T", "1", "S"];

/** A modal dialog. */
function Dialog({ title, onClose, children }) {
  const box = useRef(null);
  useEffect(() => box.current.showModal(), []);
  return html`<dialog ref=${box} aria-labelledby="dialog-title" onClose=${onClose}>
    <h2 id="dialog-title">${title}</h2>${children}
  </dialog>`;
}

/** Asks for consent before the first recorded call. */
export function Consent({ store, controller }) {
  return html`<${Dialog} title=${t("consent-title")}
    onClose=${() => store.set({ asking: null })}>
    <p>${t("recording")}</p><p>${t("consent-what")}</p>
    <div class="choices">
      <${Button} kind="primary" icon="mic" label=${t("consent-yes")}
        onClick=${() => controller.agree()} />
      <${Button} label=${t("consent-no")} onClick=${() => store.set({ asking: null })} />
    </div>
  <//>`;
}

export function Help({ store }) {
  return html`<${Dialog} title=${t("help")} onClose=${() => store.set({ help: false })}>
    <dl class="keys">
      ${KEYS.map((key) => html`<dt key=${key}><kbd>Alt+${key}</kbd></dt><dd>${t(`key-${key}`)}</dd>`)}
      <dt><kbd>Esc</kbd></dt><dd>${t("interrupt")}</dd>
      <dt><kbd>← → ↑ ↓</kbd></dt><dd>${t("key-arrows")}</dd>
    </dl>
    <p class="note">${t("stored")}</p>
    <${Button} kind="primary" label=${t("close")}
      onClick=${() => store.set({ help: false })} />
  <//>`;
}
