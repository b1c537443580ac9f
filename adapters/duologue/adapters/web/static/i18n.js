// The language of the page. Each language is one file in `strings/`.

import de from "./strings/de.js";
import en from "./strings/en.js";

/** The available languages: code to strings. */
export const LANGUAGES = { en, de };

let current = "en";

/** The language in use. */
export function language() {
  return current;
}

/** The browser's first language that is available, or English. */
function detected() {
  const codes = navigator.languages.map((code) => code.split("-")[0].toLowerCase());
  return codes.find((code) => Object.hasOwn(LANGUAGES, code)) ?? "en";
}

/** Sets the language; for an unknown code, the detected one. */
export function setLanguage(code) {
  current = Object.hasOwn(LANGUAGES, code) ? code : detected();
  document.documentElement.lang = current;
}

/** The text of a key, with each `{name}` replaced. A key without a text is returned. */
export function t(key, values = {}) {
  const text = LANGUAGES[current][key] ?? en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** Whether a key has a text. */
export function has(key) {
  return Object.hasOwn(en, key);
}
