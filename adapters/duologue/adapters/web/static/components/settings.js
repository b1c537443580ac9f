// The settings of a session: requested, confirmed, and the draft of changes.

import { visible } from "../format.js";
import { html, useRef, useState } from "../html.js";
import { t } from "../i18n.js";
import { at } from "../view_selectors.js";
import { Button } from "./widgets.js";
import { GROUPS, changesOf, shownValue } from "./settings_fields.js";

export function Settings({ view, config, editable, controller }) {
  // In a ref too, because several changes can happen before the next render.
  const latest = useRef({});
  const [draft, setState] = useState(latest.current);
  const setDraft = (next) => setState((latest.current = next));
  if (!view) return html`<p class="empty">${t("no-session")}</p>`;
  const current = { ...at(view, "confirmed") };
  const dirty = Object.keys(draft).length > 0;
  const value = (path) => (path in draft ? draft[path] : at(current, path));
  const change = (path, next) => setDraft({ ...latest.current, [path]: next });
  const apply = (event) => {
    event.preventDefault();
    controller.command({ type: "update", session: changesOf(latest.current, current) });
    setDraft({});
  };
  return html`<form class="settings" onSubmit=${apply}>
    ${GROUPS.map(
      (group) => html`<fieldset key=${group.name} disabled=${!editable}>
      <legend>${t(group.name)}</legend>
      ${group.fields
        .filter((field) => !field.when || field.when(value))
        .map(
          (
            field,
          ) => html`<${Field} key=${field.path} field=${field} value=${value(field.path)}
          dirty=${field.path in draft} view=${view} config=${config} onChange=${change} />`,
        )}
    </fieldset>`,
    )}
    <div class="apply">
      <${Button} label=${t("undo")} disabled=${!dirty} onClick=${() => setDraft({})} />
      <button type="submit" class="button primary"
        disabled=${!dirty || !editable}>${t("apply")}</button>
    </div>
  </form>`;
}

function Field({ field, value, dirty, view, config, onChange }) {
  const set = (next) => onChange(field.path, next);
  const id = `set-${field.path.replaceAll(".", "-")}`;
  const Input = INPUTS[field.kind];
  return html`<div class="setting ${dirty ? "dirty" : ""}">
    <label for=${id}>${t(field.label)}</label>
    <${Input} id=${id} field=${field} value=${value} config=${config} set=${set} />
    <${Agreed} path=${field.path} view=${view} dirty=${dirty} />
  </div>`;
}

/** The requested value next to the confirmed one. */
function Agreed({ path, view, dirty }) {
  const asked = at(view.requested, path);
  const confirmed = at(view.confirmed, path);
  const same =
    asked === undefined || JSON.stringify(asked) === JSON.stringify(confirmed);
  const state = dirty ? "not-applied" : same ? "confirmed" : "asked-for";
  return html`<p class="agreed ${state}" data-path=${path} data-state=${state}>
    <span class="tag">${t(state)}</span>
    ${!same && html`<span>${t("asked")}: <b dir="auto">${visible(shownValue(asked, t))}</b></span>`}
    <span>${t("in-force")}: <b dir="auto">${visible(shownValue(confirmed, t))}</b></span>
  </p>`;
}

const INPUTS = { area: Area, text: Text, number: Numeric, choice: Chosen, flag: Flag };

function Area({ id, value, set }) {
  return html`<textarea id=${id} rows="3" dir="auto" value=${value ?? ""}
    onInput=${(event) => set(event.target.value)}></textarea>`;
}

function Text({ id, field, value, config, set }) {
  const known = field.known?.(config) ?? [];
  return html`<input id=${id} type="text" value=${value ?? ""}
    list=${known.length ? `${id}-known` : undefined}
      placeholder=${field.empty ? t(field.empty) : ""} autocomplete="off"
      onInput=${(event) => set(event.target.value)} />
    ${
      known.length > 0 &&
      html`<datalist id=${`${id}-known`}>
      ${known.map((name) => html`<option key=${name} value=${name}></option>`)}
    </datalist>`
    }`;
}

function Numeric({ id, field, value, set }) {
  const { min, max, step } = field;
  return html`<input id=${id} type="number" min=${min} max=${max} step=${step}
    value=${value ?? ""}
    onInput=${(event) => set(event.target.value === "" ? null : Number(event.target.value))} />`;
}

function Chosen({ id, field, value, config, set }) {
  const options = field.options(config);
  const key = field.keyOf ? field.keyOf(value) : value;
  const all = options.some(([name]) => name === key)
    ? options
    : [[key, visible(shownValue(key, t))], ...options];
  return html`<select id=${id} value=${key ?? ""}
    onChange=${(event) => set(field.valueOf ? field.valueOf(event.target.value) : event.target.value)}>
    ${all.map(
      ([
        name,
        label,
      ]) => html`<option key=${name} value=${name ?? ""} selected=${name === key}>
      ${field.named ? t(label) : label}</option>`,
    )}
  </select>`;
}

function Flag({ id, value, set }) {
  return html`<input id=${id} type="checkbox" role="switch" checked=${Boolean(value)}
    onChange=${(event) => set(event.target.checked)} />`;
}
