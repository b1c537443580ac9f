// The client of `duologue web`, for this page and for yours: sessions, live views,
// commands, calls and records. Documented in docs/page-client.md.
//
//   import { connect, openMicrophone } from "/voice/static/duologue.js";
//   const client = connect({ onView: (id, view) => draw(view) });
//   const { id } = await client.create();
//   const call = await client.call(id, { microphone: await openMicrophone() });
//   await client.command(id, { type: "text", text: "Hello" });

import { Direct } from "./direct_call.js";
import { Feed } from "./feed.js";
import { PatchError, applyPatch } from "./patch.js";
import { request } from "./requests.js";
import { Call, CallError } from "./webrtc.js";

export { applyPatch, keysOf, PatchError } from "./patch.js";
export { RequestError } from "./requests.js";
export * from "./webrtc.js";

/**
 * @typedef {object} Summary
 * @property {string} id
 * @property {?string} title
 * @property {"live" | "import"} kind
 * @property {"connecting" | "open" | "reconnecting" | "closed" | "failed"} status
 * @property {?string} reason
 * @property {number} created_at Seconds since the Unix epoch.
 * @property {?("user" | "assistant")} speaking
 * @property {boolean} muted
 * @property {number} first The first kept record.
 * @property {number} last The last record.
 * @property {number} dropped The number of dropped records.
 */

/** The states of a session whose call has ended. */
const OVER = new Set(["closed", "failed"]);

/**
 * Connects to a server of `duologue web`.
 *
 * @param {object} [options]
 * @param {string | URL} [options.base] its URL, with a slash at the end; by default the
 *   one that this module was loaded from.
 * @param {string} [options.session] a session to watch from the start.
 * @param {Function} [options.onLink] (link, waitMs): the feed is `connecting`, `open`
 *   or `waiting` for its next attempt.
 * @param {Function} [options.onSessions] (summaries): all sessions, when one changes.
 * @param {Function} [options.onView] (id, view, { seq, patch }): a watched session
 *   changed; `patch` is null for a whole view.
 * @param {Function} [options.onGone] (id): the session does not exist.
 * @param {Function} [options.onCall] (id, state, call): a call of this page.
 * @param {Function} [options.onBlocked] (id, call): playback needs a gesture.
 * @param {Function} [options.onMicrophoneLost] (id, call): the device was lost.
 * @param {Function} [options.onEvent] (id, event): an event on a call's data channel.
 * @param {Function} [options.onError] (error, id): the server refused a message.
 * @returns {Client}
 */
export function connect(options = {}) {
  return new Client(options);
}

/** One connection to a server. Make it with `connect`. */
export class Client {
  constructor({ base = new URL("../", import.meta.url), session, ...handlers }) {
    this.base = new URL(base, document.baseURI);
    this.handlers = handlers;
    this.link = "connecting";
    /** @type {Summary[]} */
    this.sessions = [];
    /** Watched sessions: id to `{ seq, view }`, empty until the view arrives. */
    this.watched = new Map();
    /** @type {Map<string, Call>} calls of this page */
    this.calls = new Map();
    /** Sessions whose call ended here, until the server lists them as ended. */
    this.ending = new Set();
    const url = new URL("api/feed", this.base);
    url.protocol = url.protocol.replace("http", "ws");
    this.feed = new Feed(url.href, {
      // One message, or several in order.
      onMessage: (messages) => [messages].flat().forEach((it) => this.#take(it)),
      onLink: (link, waitMs) => this.#linked(link, waitMs),
      isUrgent: () => this.calls.size > 0,
    });
    this.direct = new Direct((report) => this.feed.send(report));
    if (session) this.watch(session);
  }

  /**
   * The settings of the server: mode, service, defaults, limits, recording. They are
   * cached; `fresh` loads them again.
   */
  config({ fresh = false } = {}) {
    if (fresh || !this.configured) {
      this.configured = this.#request("GET", "api/config");
      // A failure is not cached.
      this.configured.catch(() => (this.configured = null));
    }
    return this.configured;
  }

  /**
   * Creates a session; `call` connects it.
   *
   * @param {{ config?: object, title?: string }} [wanted] `config`: fields of a GA
   *   session that the server allows a page to set.
   * @returns {Promise<Summary>}
   */
  create(wanted = {}) {
    return this.#request("POST", "api/sessions", wanted);
  }

  /** Hangs up and removes a session. */
  async remove(id) {
    this.#drop(id);
    await this.#request("DELETE", `api/sessions/${id}`);
  }

  /**
   * Imports a log, as one session for each in it.
   *
   * @param {string | Blob} lines JSON Lines.
   * @param {string} [title]
   * @returns {Promise<Summary>} the first session.
   */
  importLog(lines, title = "") {
    const search = new URLSearchParams({ title });
    return this.#request("POST", `api/import?${search}`, lines, "application/jsonl");
  }

  /** The URL of the log of a session. */
  logUrl(id) {
    return new URL(`api/sessions/${id}/log`, this.base).href;
  }

  /** Starts watching a session; `onView` is called with its view and its changes. */
  watch(id) {
    if (this.watched.has(id)) return;
    this.watched.set(id, {});
    this.feed.send({ type: "watch", session: id });
  }

  /** Stops watching a session. */
  unwatch(id) {
    if (this.watched.delete(id)) this.feed.send({ type: "unwatch", session: id });
  }

  /** The last view of a watched session. @returns {?{seq: number, view: object}} */
  known(id) {
    const held = this.watched.get(id);
    return held?.view ? held : null;
  }

  /**
   * Calls the service for a session.
   *
   * @param {string} id
   * @param {{ microphone?: ?MediaStream }} [options] without one the call only plays.
   *   The call owns the stream and stops it at its end.
   * @returns {Promise<Call>}
   * @throws {CallError | RequestError}
   */
  async call(id, { microphone = null } = {}) {
    this.watch(id);
    const { mode } = await this.config();
    const state = (name) => {
      if (name === "closed") this.#hungUp(id, call, answered);
      this.#tell("onCall", id, name, call);
    };
    let call = null;
    let answered = false;
    state("connecting");
    try {
      call = await Call.open({
        microphone,
        post: async (sdp) => {
          const direct = mode === "direct";
          const answer = await (direct
            ? this.#offerDirect(id, sdp)
            : this.#offer(id, sdp));
          answered = true;
          return answer;
        },
        onState: (name) => name === "closed" && state(name),
        onEvent: (event) => this.#heard(id, event),
        onBlocked: () => this.#tell("onBlocked", id, call),
        onMicrophoneLost: () => this.#tell("onMicrophoneLost", id, call),
      });
    } catch (error) {
      this.direct.end(id);
      throw error;
    }
    this.calls.set(id, call);
    state("open");
    return call;
  }

  /**
   * Sends a command to a session: `{ type: "text", text }`, `interrupt`, `{ type:
   * "update", session }`, `{ type: "mute", muted }`, `{ type: "volume", level }`,
   * `clear` or `close`. Resolves when the server has accepted it. Muting and hanging up
   * take effect here first; unmuting only after the server has accepted it.
   */
  async command(id, command) {
    const call = this.calls.get(id);
    if (command.type === "close") this.#drop(id);
    if (command.type === "volume" && call) call.volume = command.level;
    const asked = this.#request("POST", `api/sessions/${id}/commands`, command);
    if (command.type === "mute" && call) await this.#mute(id, call, command, asked);
    else await asked;
  }

  /**
   * Summaries of the kept records, in order. `type` is exact, or a prefix if it ends in
   * `*`; `q` is searched for in the line.
   *
   * @param {{from?: number, to?: number, dir?: string, type?: string, q?: string,
   *   limit?: number}} [query]
   */
  records(id, query = {}) {
    const given = Object.entries(query).filter(([, value]) => value ?? value === 0);
    const search = new URLSearchParams(given.filter(([, value]) => value !== ""));
    return this.#request("GET", `api/sessions/${id}/records?${search}`);
  }

  /** One record, as in its line of the log. */
  record(id, seq) {
    return this.#request("GET", `api/sessions/${id}/records/${seq}`);
  }

  /** The view after a record, and the patch that this record made. */
  viewAt(id, seq) {
    return this.#request("GET", `api/sessions/${id}/view?seq=${seq}`);
  }

  /** Hangs up all calls and closes the feed. */
  close() {
    for (const id of [...this.calls.keys()]) {
      // If this fails, the server hangs up after its timeout for pages.
      this.command(id, { type: "close" }).catch(() => {});
    }
    this.feed.close();
  }

  #request(method, path, body, type) {
    return request(new URL(path, this.base), method, body, type);
  }

  async #offer(id, sdp) {
    return this.#request("POST", `api/sessions/${id}/offer`, sdp, "application/sdp");
  }

  async #offerDirect(id, sdp) {
    const token = await this.#request("POST", "api/token", { session: id });
    this.direct.begin(id, token.nonce);
    const response = await fetch(token.url, {
      method: "POST",
      headers: {
        Authorization: `Bearer ${token.value}`,
        "Content-Type": "application/sdp",
      },
      body: sdp,
    });
    if (!response.ok)
      throw new CallError("refused", `the service answered ${response.status}`);
    return response.text();
  }

  #heard(id, event) {
    this.direct.note(id, event);
    this.#tell("onEvent", id, event);
  }

  /** Calls a handler; its exceptions must not stop the client. */
  #tell(name, ...given) {
    try {
      this.handlers[name]?.(...given);
    } catch (error) {
      console.error(error);
    }
  }

  /** Mutes a call at once, or unmutes it once the server has accepted it. */
  async #mute(id, call, command, asked) {
    // If another command follows before the response, the last one takes effect.
    call.wished = command;
    let { muted } = command;
    if (muted) call.muted = true;
    try {
      await asked;
    } catch (error) {
      // Restore the state of the last view.
      muted = this.known(id)?.view.activity.muted ?? !muted;
      throw error;
    } finally {
      if (call.wished === command) call.muted = muted;
    }
  }

  /** Ends a call of this page; the caller informs the server. */
  #drop(id) {
    const call = this.calls.get(id);
    if (!call) return;
    this.ending.add(id);
    call.close();
  }

  #hungUp(id, call, answered) {
    if (call && this.calls.get(id) === call) this.calls.delete(id);
    this.direct.end(id);
    if (!answered || this.ending.has(id)) return;
    // The call ended without a command. The feed ignores a second close.
    this.ending.add(id);
    this.#end(id);
  }

  #end(session) {
    this.feed.send({ type: "command", session, command: { type: "close" } });
  }

  #linked(link, waitMs) {
    this.link = link;
    if (link === "open") {
      for (const [session, { seq }] of this.watched) {
        this.feed.send({
          type: "watch",
          session,
          ...(seq === undefined ? {} : { since: seq }),
        });
      }
      this.direct.resume();
      for (const id of this.ending) this.#end(id);
    }
    this.#tell("onLink", link, waitMs);
  }

  #take(message) {
    if (message.p) {
      this.#patch(message);
    } else if (message.type === "view") {
      this.#show(message.session, message.seq, message.view, null);
    } else if (message.type === "sessions") {
      this.sessions = message.sessions;
      const live = this.sessions.filter(({ status }) => !OVER.has(status));
      const ids = new Set(live.map(({ id }) => id));
      for (const id of this.ending) if (!ids.has(id)) this.ending.delete(id);
      this.#tell("onSessions", this.sessions);
    } else if (message.type === "gone") {
      this.watched.delete(message.session);
      this.#drop(message.session);
      this.ending.delete(message.session);
      this.#tell("onGone", message.session);
    } else if (message.type === "send") {
      this.calls.get(message.session)?.send(message.event);
    } else if (message.type === "error") {
      this.#tell("onError", message.error, message.session);
    }
  }

  #patch({ s: id, n: seq, p: patch }) {
    const held = this.watched.get(id);
    // The server sent it before `unwatch` arrived, or before the view.
    if (!held?.view) return;
    try {
      this.#show(id, seq, applyPatch(held.view, patch), patch);
    } catch (error) {
      if (!(error instanceof PatchError)) throw error;
      // The view differs from the server's: request it again.
      this.unwatch(id);
      this.watch(id);
    }
  }

  #show(id, seq, view, patch) {
    if (!this.watched.has(id)) return;
    const before = this.watched.get(id).view;
    this.watched.set(id, { seq, view });
    this.#obey(id, before?.activity, view.activity);
    this.#tell("onView", id, view, { seq, patch });
  }

  /** Applies mute and volume to the call if they changed, by this page or another. */
  #obey(id, before, { muted, volume }) {
    const call = this.calls.get(id);
    if (!call) return;
    // Never unmuted while the view says muted.
    if (muted || before?.muted !== muted) call.muted = muted;
    if (before?.volume !== volume) call.volume = volume;
  }
}
