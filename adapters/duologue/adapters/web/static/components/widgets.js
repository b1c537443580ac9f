// Components that several others use.

import { visible } from "../format.js";
import { html, useId } from "../html.js";
import { t } from "../i18n.js";
import { Icon } from "./icons.js";

/** A button with an icon; `label` is visible unless `bare`. */
export function Button({ icon, label, bare, kind = "plain", keys, ...rest }) {
  const title = keys ? `${label} (${keys})` : label;
  return html`<button type="button" class="button ${kind} ${bare ? "bare" : ""}"
    title=${title} aria-label=${bare ? label : undefined}
    aria-keyshortcuts=${keys} ...${rest}>
    ${icon && html`<${Icon} name=${icon} />`}${!bare && html`<span>${label}</span>`}
  </button>`;
}

/** A labelled select. `options` are `[value, text]`; `hidden` hides the label. */
export function Choice({ label, value, options, onChange, hidden }) {
  const id = useId();
  return html`<div class="field">
    <label for=${id} class=${hidden ? "sr" : ""}>${label}</label>
    <select id=${id} value=${value} onChange=${(event) => onChange(event.target.value)}>
      ${options.map(
        ([key, text]) =>
          html`<option key=${key} value=${key} selected=${key === value}>${text}</option>`,
      )}
    </select>
  </div>`;
}

/** A labelled switch, with an optional note. */
export function Switch({ label, checked, onChange, note }) {
  return html`<label class="switch">
    <input type="checkbox" role="switch" checked=${checked}
      onChange=${(event) => onChange(event.target.checked)} />
    <span class="switch-name">${label}</span>
    ${note && html`<span class="note">${note}</span>`}
  </label>`;
}

/** The status of a session, as a coloured label. */
export function Status({ status }) {
  return html`<span class="status ${status}">${t(`status-${status}`)}</span>`;
}

/** Messages until they are dismissed; screen readers announce errors at once. */
export function Notices({ notices, controller }) {
  return html`<div class="notices">
    ${notices.map(
      (notice) => html`<div key=${notice.id} class="notice ${notice.kind}"
        role=${notice.kind === "error" ? "alert" : "status"}>
        <${Icon} name="warning" />
        <p dir="auto">${notice.key ? t(`told-${notice.key}`) : visible(notice.text)}</p>
        <${Button} icon="close" bare label=${t("dismiss")}
          onClick=${() => controller.dismiss(notice.id)} />
      </div>`,
    )}
  </div>`;
}
