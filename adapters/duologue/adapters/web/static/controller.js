// The actions of the user, and the reactions to events of the client.

import { connect, obstacle, openMicrophone, stopTracks } from "./duologue.js";
import { wanted } from "./preferences.js";
import { Travel } from "./time_travel.js";

/** Error codes with a translated text; other errors show their own message. */
const TOLD = new Set([
  ...["insecure", "no-webrtc", "no-microphone", "denied", "busy", "microphone"],
  ...["unreachable"],
]);

/** Connects the client with the state of the page. */
export class Controller {
  constructor(store) {
    this.store = store;
    this.client = connect({
      onLink: (link) => this.#linked(link),
      onSessions: (sessions) => this.#listed(sessions),
      onView: (id, view, { seq }) => this.#viewed(id, view, seq),
      onGone: (id) => this.#lost(id),
      onCall: (id, state, call) => this.#called(id, state, call),
      onBlocked: (id) => store.set({ blocked: id }),
      onMicrophoneLost: () => this.tell("warning", "microphone-lost"),
      onError: (error) => this.tell("error", null, error.message),
    });
    this.travel = new Travel(this.client, store);
  }

  /** Checks the browser's abilities, and loads the settings of the server. */
  async open() {
    const why = obstacle();
    if (why) this.tell("error", why);
    await this.#configure();
  }

  /** Shows a message until the user dismisses it. */
  tell(kind, key, text = null) {
    const { notices } = this.store.state;
    const same = ({ key: k, text: x }) => k === key && x === text;
    const others = notices.filter((notice) => !same(notice));
    this.store.set({
      notices: [...others, { kind, key, text, id: Symbol("notice") }].slice(-4),
    });
  }

  dismiss(id) {
    const notices = this.store.state.notices.filter((notice) => notice.id !== id);
    this.store.set({ notices });
  }

  /** Shows an error. */
  fail(error) {
    if (TOLD.has(error.code)) this.tell("error", error.code);
    else if (error instanceof TypeError) this.tell("error", "server-away");
    else this.tell("error", null, error.message);
  }

  /** Starts a conversation: with the microphone if `voice`, else typed. */
  async start(voice = true) {
    // The configuration says whether the server records.
    if (!this.store.state.config) await this.#configure();
    const { config, agreed, busy } = this.store.state;
    if (busy || !config) return;
    if (config.recording && !agreed) {
      this.store.set({ asking: { voice } });
      return;
    }
    this.store.set({ busy: true, asking: null });
    await this.#attempt(async () => {
      const microphone = voice ? await this.#microphone() : null;
      let id = null;
      try {
        ({ id } = await this.client.create());
        this.select(id);
        await this.#connect(id, microphone);
      } catch (error) {
        stopTracks(microphone);
        // A session without a call is of no use.
        if (id) await this.forget(id);
        throw error;
      }
    });
    this.store.set({ busy: false });
  }

  /** The user consented to recording, until the page is closed. */
  agree() {
    const { voice } = this.store.state.asking;
    this.store.set({ agreed: true });
    return this.start(voice);
  }

  /** Selects a session, and gives it the microphone if only one may have it. */
  select(id) {
    const { selected, prefs } = this.store.state;
    if (selected !== id) {
      if (selected && !this.client.calls.has(selected)) this.#unwatch(selected);
      this.store.set({ selected: id, travel: null });
    }
    this.store.set({ place: "talk" });
    if (!id) return;
    if (!this.store.state.gone[id]) this.client.watch(id);
    if (prefs.oneMicrophone) this.#focus(id);
    if (this.store.state.panel === "records") this.travel.open(id);
  }

  /** Sends a command to the selected session. */
  async command(command) {
    await this.#attempt(() => this.client.command(this.store.state.selected, command));
  }

  mute(muted) {
    const { selected } = this.store.state;
    this.store.put("held", selected, undefined);
    return this.command({ type: "mute", muted });
  }

  /** Ends the call; the session stays readable. */
  hangUp() {
    return this.command({ type: "close" });
  }

  async forget(id) {
    await this.#attempt(async () => {
      if (this.store.state.gone[id]) this.store.put("gone", id, undefined);
      else await this.client.remove(id);
      this.store.put("views", id, undefined);
      if (this.store.state.selected === id) this.select(null);
    });
  }

  async importLog(file) {
    const title = file.name.replace(/\.jsonl?$/, "");
    await this.#attempt(async () => {
      this.select((await this.client.importLog(file, title)).id);
    });
  }

  /** Changes the constraints or the device of the microphone, also in open calls. */
  async ask(changes) {
    this.store.prefer(changes);
    await this.#attempt(async () => {
      for (const [id, call] of this.client.calls) {
        if (!call.microphone) continue;
        await call.replaceMicrophone(await this.#microphone());
        this.store.put("granted", id, call.granted());
      }
    });
  }

  async output(deviceId) {
    this.store.prefer({ output: deviceId });
    await this.#attempt(async () => {
      for (const call of this.client.calls.values()) await call.setOutput(deviceId);
    });
  }

  /** Starts playback after a gesture of the user. */
  unblock() {
    this.store.set({ blocked: null });
    for (const call of this.client.calls.values()) call.play();
  }

  show(panel) {
    this.store.set({ panel, place: "details" });
    const { selected } = this.store.state;
    if (panel === "records" && selected) this.travel.open(selected);
  }

  /** Hangs up all calls when the page unloads. */
  leave() {
    for (const id of [...this.client.calls.keys()]) {
      this.client.command(id, { type: "close" }).catch(() => {});
    }
  }

  async #configure() {
    await this.#attempt(async () => {
      this.store.set({ config: await this.client.config({ fresh: true }) });
    });
  }

  async #attempt(work) {
    try {
      await work();
    } catch (error) {
      this.fail(error);
    }
  }

  #microphone() {
    return openMicrophone(wanted(this.store.state.prefs));
  }

  async #connect(id, microphone) {
    const call = await this.client.call(id, { microphone });
    this.store.put("granted", id, call.granted());
    const { output } = this.store.state.prefs;
    if (output) await call.setOutput(output);
  }

  #unwatch(id) {
    this.client.unwatch(id);
    this.store.put("views", id, undefined);
  }

  /** Unmutes the selected session and mutes the other calls. */
  #focus(front) {
    for (const [id] of this.client.calls) {
      const { held, views } = this.store.state;
      const muted = views[id]?.view.activity.muted;
      if (id !== front && !muted) {
        this.store.put("held", id, true);
        this.#attempt(() => this.client.command(id, { type: "mute", muted: true }));
      } else if (id === front && held[id]) {
        this.store.put("held", id, undefined);
        this.#attempt(() => this.client.command(id, { type: "mute", muted: false }));
      }
    }
  }

  #linked(link) {
    const { link: before, wasOpen } = this.store.state;
    // The server may have restarted with other settings.
    if (link === "open" && before !== "open" && wasOpen) this.#configure();
    this.store.set({ link, wasOpen: wasOpen || link === "open" });
  }

  #listed(sessions) {
    this.store.set({ sessions });
    const there = new Set(sessions.map(({ id }) => id));
    for (const id of Object.keys(this.store.state.views)) {
      if (!there.has(id)) this.#lost(id);
    }
    const { selected } = this.store.state;
    if (!selected && sessions.length) this.select(sessions.at(-1).id);
  }

  #viewed(id, view, seq) {
    this.store.put("views", id, { seq, view });
  }

  /** The server has lost the session: its transcript stays on the page. */
  #lost(id) {
    const { sessions, views, gone, selected } = this.store.state;
    this.client.calls.get(id)?.close();
    this.client.unwatch(id);
    if (id === selected && !views[id]) this.select(null);
    if (id !== selected || gone[id] || !views[id]) return;
    const summary = (sessions ?? []).find((session) => session.id === id);
    this.store.put("gone", id, {
      ...summary,
      id,
      created_at: summary?.created_at ?? 0,
    });
    this.tell("warning", "session-gone");
  }

  #called(id, state, call) {
    this.store.put("calls", id, state === "closed" ? undefined : state);
    const { prefs, selected } = this.store.state;
    if (state === "open" && prefs.oneMicrophone) this.#focus(selected);
    if (state === "closed" && this.store.state.blocked === id) {
      this.store.set({ blocked: null });
    }
    if (state === "closed" && !call) this.store.put("granted", id, undefined);
  }
}
