// The language of the page. A language is one file of `strings/`.

import de from "./strings/de.js";
import en from "./strings/en.js";

/** What can be chosen: code to its strings. */
export const LANGUAGES = { en, de };

let current = "en";

/** The language in use. */
export function language() {
  return current;
}

/** The first language of the browser that there is, or English. */
export function detected() {
  const codes = navigator.languages.map((code) => code.split("-")[0].toLowerCase());
  return codes.find((code) => Object.hasOwn(LANGUAGES, code)) ?? "en";
}

/** Sets the language; an unknown one is the detected one. */
export function setLanguage(code) {
  current = Object.hasOwn(LANGUAGES, code) ? code : detected();
  document.documentElement.lang = current;
}

/** The text of a key; `{name}` in it is filled in. A key without text is shown itself. */
export function t(key, values = {}) {
  const text = LANGUAGES[current][key] ?? en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** Whether a key has a text. */
export function has(key) {
  return Object.hasOwn(en, key);
}
