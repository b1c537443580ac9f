// Formats values for display.

import { language, t } from "./i18n.js";

// Bidi embeddings, overrides and isolates reorder the text around them; control
// characters are not text. Letters and marks of right-to-left scripts are kept.
const TRICKS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** Untrusted text, with deceptive characters replaced by their names. */
export function visible(text) {
  return String(text ?? "").replace(TRICKS, (sign) => {
    const code = sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    return `[U+${code}]`;
  });
}

export function number(value, options) {
  return new Intl.NumberFormat(language(), options).format(value);
}

/** Milliseconds as seconds. */
export function seconds(ms) {
  if (ms === null || ms === undefined) return "–";
  return t("seconds", { n: number(ms / 1000, { maximumFractionDigits: 2 }) });
}

export function dollars(usd) {
  const options = { style: "currency", currency: "USD", maximumFractionDigits: 4 };
  return number(usd, options);
}

export function bytes(count) {
  if (count < 1024) return `${number(count)} B`;
  const kib = count / 1024;
  if (kib < 1024) return `${number(kib, { maximumFractionDigits: 1 })} KiB`;
  return `${number(kib / 1024, { maximumFractionDigits: 1 })} MiB`;
}

/** A time of day; with milliseconds if `fine`. */
export function clock(at, fine = false) {
  if (!at) return "–";
  return new Date(at * 1000).toLocaleTimeString(language(), {
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
    ...(fine ? { second: "2-digit", fractionalSecondDigits: 3 } : {}),
  });
}
