// Preferences in the browser's local storage: language, colours, microphone. Nothing of
// a conversation is stored.

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

/** Loads the preferences, or the defaults if storage is not available. */
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
    // A private window, or full storage: they last until the page is closed.
  }
}

/** The constraints of the microphone, without those that are switched off. */
export function wanted({ asked, input }) {
  const { sampleRate, channelCount, ...processing } = asked;
  return {
    ...processing,
    ...(sampleRate ? { sampleRate } : {}),
    ...(channelCount ? { channelCount } : {}),
    ...(input ? { deviceId: input } : {}),
  };
}
