// A foldable tree of JSON, with the changes of a patch marked.

import { keysOf } from "../duologue.js";
import { visible } from "../format.js";
import { html, useState } from "../html.js";
import { t } from "../i18n.js";

/** The number of members of an object or list that are rendered at first. */
const MOST = 200;

/** `marked` are JSON pointers; the branches that lead to one are open. */
export function Json({ value, name = "", pointer = "", marked = new Set() }) {
  const on = marked.has(pointer) ? "changed" : "";
  if (value === null || typeof value !== "object") {
    return html`<div class="json-leaf ${on}"><${Name} name=${name} />
      <span class="json-${value === null ? "null" : typeof value}"
        dir="auto">${visible(JSON.stringify(value))}</span></div>`;
  }
  const leads = [...marked].some((path) => path.startsWith(`${pointer}/`));
  return html`<${Branch}
    key=${`${pointer}-${leads}`} ...${{ value, name, pointer, marked, on }} open=${leads} />`;
}

function Branch({ value, name, pointer, marked, open, on }) {
  const [shown, setShown] = useState(open);
  const [most, setMost] = useState(MOST);
  const entries = Object.entries(value);
  const sign = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
  const child = (key) =>
    `${pointer}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
  return html`<details class="json-branch ${on}" open=${shown}
    onToggle=${(event) => event.target === event.currentTarget && setShown(event.target.open)}>
    <summary><${Name} name=${name} /> <span class="json-sign">${sign}</span></summary>
    ${
      shown &&
      entries
        .slice(0, most)
        .map(
          ([key, member]) =>
            html`<${Json} key=${key} value=${member} name=${key} pointer=${child(key)}
              marked=${marked} />`,
        )
    }
    ${
      shown &&
      entries.length > most &&
      html`<button type="button" class="button plain"
      onClick=${() => setMost(most * 2)}>${t("more", { n: entries.length - most })}</button>`
    }
  </details>`;
}

function Name({ name }) {
  return name === "" ? null : html`<span class="json-name">${visible(name)}:</span> `;
}

/** JSON pointers of the values that a patch changed, in the resulting document. */
export function markedIn(document, patch) {
  const marked = new Set();
  for (const { op, path } of patch ?? []) {
    const parent = path.slice(0, path.lastIndexOf("/"));
    if (op === "remove") marked.add(parent);
    else
      marked.add(path.endsWith("/-") ? `${parent}/${lastOf(document, parent)}` : path);
  }
  return marked;
}

function lastOf(document, pointer) {
  const list = keysOf(pointer).reduce((node, key) => node?.[key], document);
  return Math.max(0, (list?.length ?? 1) - 1);
}
