// The state of the page: one immutable object.

import { loadPrefs, savePrefs } from "./preferences.js";

const FIRST = {
  config: null,
  link: "connecting",
  /** Whether the feed has been open: a failed first connection is no outage. */
  wasOpen: false,
  sessions: null,
  selected: null,
  /** Views of watched sessions by id: `{ seq, view }`. */
  views: {},
  /** Calls of this page by id: `connecting`, `open` or `closed`. */
  calls: {},
  /** The last summaries of sessions that the server lost. */
  gone: {},
  /** The granted settings of the microphone, by session. */
  granted: {},
  /** Sessions that are muted because another one is selected. */
  held: {},
  blocked: null,
  busy: false,
  /** The call to start after the user consents to recording. */
  asking: null,
  agreed: false,
  notices: [],
  /** On a narrow screen one of: sessions, talk, details. */
  place: "talk",
  panel: "settings",
  help: false,
  /** The records of the selected session and the current one: see `time_travel.js`. */
  travel: null,
};

/** Holds the state and notifies listeners. */
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

  /** Replaces one entry of a map in the state; undefined removes it. */
  put(name, key, value) {
    const { [key]: _, ...rest } = this.state[name];
    this.set({ [name]: value === undefined ? rest : { ...rest, [key]: value } });
  }

  /** Changes preferences. */
  prefer(changes) {
    const prefs = { ...this.state.prefs, ...changes };
    savePrefs(prefs);
    this.set({ prefs });
  }
}
