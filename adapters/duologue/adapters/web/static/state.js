// The state of the page: one object, replaced where it changes.

import { loadPrefs, savePrefs } from "./prefs.js";

const FIRST = {
  config: null,
  link: "connecting",
  /** Whether the feed was open before: a first connection is no outage. */
  wasOpen: false,
  sessions: null,
  selected: null,
  /** Views of watched sessions by id: `{ seq, view }`. */
  views: {},
  /** Calls of this page by id: `connecting`, `open` or `closed`. */
  calls: {},
  /** Sessions that the server lost, as they were. */
  gone: {},
  /** What the browser granted of the microphone, by session. */
  granted: {},
  /** Sessions muted because another one is in front. */
  held: {},
  blocked: null,
  busy: false,
  /** A start that waits until the person agrees to be recorded. */
  asking: null,
  agreed: false,
  notices: [],
  /** On a narrow screen one of: sessions, talk, details. */
  place: "talk",
  panel: "settings",
  help: false,
  /** The records of the selected session and the place in them: see `travel.js`. */
  travel: null,
};

/** Holds the state and tells who listens. */
export class Store {
  constructor() {
    this.state = { ...FIRST, prefs: loadPrefs() };
    this.listeners = new Set();
  }

  /** Replaces some keys. */
  set(changes) {
    this.state = { ...this.state, ...changes };
    for (const listener of this.listeners) listener(this.state);
  }

  /** Replaces one entry of a map in the state; undefined takes it out. */
  put(name, key, value) {
    const { [key]: _, ...rest } = this.state[name];
    this.set({ [name]: value === undefined ? rest : { ...rest, [key]: value } });
  }

  /** Changes what this browser remembers. */
  prefer(changes) {
    const prefs = { ...this.state.prefs, ...changes };
    savePrefs(prefs);
    this.set({ prefs });
  }
}
