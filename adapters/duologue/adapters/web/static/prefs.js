// What the page remembers in this browser: language, colours and the switches of the
// microphone. Nothing of a conversation.

import { MICROPHONE } from "./duologue.js";

const KEY = "duologue";

const DEFAULTS = {
  language: null,
  theme: "auto",
  input: "",
  output: "",
  oneMicrophone: true,
  asked: { ...MICROPHONE },
};

/** Reads them; a browser that keeps nothing gives the defaults. */
export function loadPrefs() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY)) ?? {};
    return { ...DEFAULTS, ...kept, asked: { ...DEFAULTS.asked, ...kept.asked } };
  } catch {
    return { ...DEFAULTS };
  }
}

export function savePrefs(prefs) {
  try {
    localStorage.setItem(KEY, JSON.stringify(prefs));
  } catch {
    // A private window, or storage that is full: they last as long as the page.
  }
}

/** The constraints of the microphone: what is switched off is not asked for. */
export function wanted({ asked, input }) {
  const { sampleRate, channelCount, ...processing } = asked;
  return {
    ...processing,
    ...(sampleRate ? { sampleRate } : {}),
    ...(channelCount ? { channelCount } : {}),
    ...(input ? { deviceId: input } : {}),
  };
}
