// The client of `duologue web`, for this page and for yours: sessions, their views as
// they change, commands, calls, records. docs/page-client.md is its manual.
//
//   import { connect, openMicrophone } from "/voice/static/duologue.js";
//   const client = connect({ onView: (id, view) => draw(view) });
//   const { id } = await client.create();
//   const call = await client.call(id, { microphone: await openMicrophone() });
//   await client.command(id, { type: "text", text: "Hello" });

import { Direct } from "./direct.js";
import { Feed } from "./feed.js";
import { PatchError, applyPatch } from "./patch.js";
import { Call, CallError } from "./webrtc.js";

export { applyPatch, keysOf, PatchError } from "./patch.js";
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
 * @property {number} first The first record that is kept.
 * @property {number} last The last record.
 * @property {number} dropped Records that are not kept any more.
 */

/** The server said no: `status` is HTTP's, `code` and `param` are its own. */
export class RequestError extends Error {
  constructor(status, { code, message, param } = {}) {
    super(message ?? `the server answered ${status}`);
    Object.assign(this, { status, code: code ?? "failed", param });
  }
}

/**
 * Connects to a server of `duologue web`.
 *
 * @param {object} [options]
 * @param {string | URL} [options.base] where it is mounted, with a slash at the end; if
 *   left out, where this module comes from.
 * @param {string} [options.session] a session to watch from the start.
 * @param {Function} [options.onLink] (link, waitMs): the feed is `connecting`, `open`
 *   or `waiting` for its next try.
 * @param {Function} [options.onSessions] (summaries): all sessions, when one changes.
 * @param {Function} [options.onView] (id, view, { seq, patch }): a watched session
 *   changed; `patch` is null where the view came whole.
 * @param {Function} [options.onGone] (id): a session that the server does not have.
 * @param {Function} [options.onCall] (id, state, call): a call of this page.
 * @param {Function} [options.onBlocked] (id, call): the reply needs a gesture to play.
 * @param {Function} [options.onMicrophoneLost] (id, call): the device is gone.
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
    /** Sessions that are watched: id to `{ seq, view }`, empty until the view comes. */
    this.watched = new Map();
    /** @type {Map<string, Call>} calls of this page */
    this.calls = new Map();
    const url = new URL("api/feed", this.base);
    url.protocol = url.protocol.replace("http", "ws");
    this.feed = new Feed(url.href, {
      // One message, or several in their order.
      onMessage: (messages) => [messages].flat().forEach((it) => this.#take(it)),
      onLink: (link, waitMs) => this.#linked(link, waitMs),
    });
    this.direct = new Direct((report) => this.feed.send(report));
    if (session) this.watch(session);
  }

  /**
   * How the server is set: mode, service, defaults, limits, whether it records. It is
   * asked once; `fresh` asks again.
   */
  config({ fresh = false } = {}) {
    if (fresh || !this.configured) {
      this.configured = this.#request("GET", "api/config");
      // What failed is asked again the next time.
      this.configured.catch(() => (this.configured = null));
    }
    return this.configured;
  }

  /**
   * Makes a session; `call` connects it.
   *
   * @param {{ config?: object, title?: string }} [wanted] `config`: fields of a GA
   *   session that the server lets a page set.
   * @returns {Promise<Summary>}
   */
  create(wanted = {}) {
    return this.#request("POST", "api/sessions", wanted);
  }

  /** Hangs up, closes and forgets a session. */
  async remove(id) {
    this.calls.get(id)?.close();
    await this.#request("DELETE", `api/sessions/${id}`);
  }

  /**
   * Makes a session of a log, to be read; one of several sessions makes several.
   *
   * @param {string | Blob} lines JSON Lines.
   * @param {string} [title]
   * @returns {Promise<Summary>} the first of them.
   */
  importLog(lines, title = "") {
    const search = new URLSearchParams({ title });
    return this.#request("POST", `api/import?${search}`, lines, "application/jsonl");
  }

  /** Where the log of a session is. */
  logUrl(id) {
    return new URL(`api/sessions/${id}/log`, this.base).href;
  }

  /** Begins to follow a session; `onView` is called with its view, and on changes. */
  watch(id) {
    if (this.watched.has(id)) return;
    this.watched.set(id, {});
    this.feed.send({ type: "watch", session: id });
  }

  /** Stops following a session. */
  unwatch(id) {
    if (this.watched.delete(id)) this.feed.send({ type: "unwatch", session: id });
  }

  /** What was last known of a watched session. @returns {?{seq: number, view: object}} */
  known(id) {
    const held = this.watched.get(id);
    return held?.view ? held : null;
  }

  /**
   * Calls the service for a session.
   *
   * @param {string} id
   * @param {{ microphone?: ?MediaStream }} [options] null or nothing: only to be heard.
   *   The call owns the stream from here on and lets it go at its end.
   * @returns {Promise<Call>}
   * @throws {CallError | RequestError}
   */
  async call(id, { microphone = null } = {}) {
    this.watch(id);
    const { mode } = await this.config();
    const state = (name) => {
      if (name === "closed") this.#hungUp(id, call);
      this.handlers.onCall?.(id, name, call);
    };
    let call = null;
    state("connecting");
    try {
      call = await Call.open({
        microphone,
        post: (sdp) =>
          (mode === "direct" ? this.#offerDirect : this.#offer).call(this, id, sdp),
        onState: (name) => name === "closed" && state(name),
        onEvent: (event) => this.#heard(id, event),
        onBlocked: () => this.handlers.onBlocked?.(id, call),
        onMicrophoneLost: () => this.handlers.onMicrophoneLost?.(id, call),
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
   * Asks something of a session: `{ type: "text", text }`, `interrupt`, `{ type:
   * "update", session }`, `{ type: "mute", muted }`, `{ type: "volume", level }`,
   * `clear` or `close`. Resolves once the server took it.
   */
  async command(id, command) {
    const call = this.calls.get(id);
    if (command.type === "mute" && call) call.muted = command.muted;
    if (command.type === "volume" && call) call.volume = command.level;
    await this.#request("POST", `api/sessions/${id}/commands`, command);
    if (command.type === "close") call?.close();
  }

  /**
   * Records that are kept, in their order, without their content. `type` is exact, or
   * a beginning where it ends in `*`; `q` is searched in the line.
   *
   * @param {{from?: number, to?: number, dir?: string, type?: string, q?: string,
   *   limit?: number}} [query]
   */
  records(id, query = {}) {
    const given = Object.entries(query).filter(([, value]) => value ?? value === 0);
    const search = new URLSearchParams(given.filter(([, value]) => value !== ""));
    return this.#request("GET", `api/sessions/${id}/records?${search}`);
  }

  /** One record, as its line of the log. */
  record(id, seq) {
    return this.#request("GET", `api/sessions/${id}/records/${seq}`);
  }

  /** The view as it was after a record, and the patch that this record made. */
  viewAt(id, seq) {
    return this.#request("GET", `api/sessions/${id}/view?seq=${seq}`);
  }

  /** Hangs up all calls and closes the feed. */
  close() {
    for (const call of this.calls.values()) call.close();
    this.feed.close();
  }

  async #request(method, path, body, type = "application/json") {
    const headers = { "X-Duologue": "1" };
    if (body !== undefined) headers["Content-Type"] = type;
    const plain = typeof body === "string" || body instanceof Blob;
    const response = await fetch(new URL(path, this.base), {
      method,
      headers: method === "GET" ? {} : headers,
      body: body === undefined || plain ? body : JSON.stringify(body),
      // The end of a call is told even when the page goes away.
      keepalive: body?.type === "close",
    });
    if (!response.ok) {
      const told = await response.json().catch(() => ({}));
      throw new RequestError(response.status, told.error);
    }
    const text = await response.text();
    const given = response.headers.get("Content-Type") ?? "";
    return given.startsWith("application/json") ? JSON.parse(text) : text;
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
      throw new CallError("refused", `the service said ${response.status}`);
    return response.text();
  }

  #heard(id, event) {
    this.direct.note(id, event);
    this.handlers.onEvent?.(id, event);
  }

  #hungUp(id, call) {
    if (call && this.calls.get(id) === call) this.calls.delete(id);
    this.direct.end(id);
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
      this.direct.flush();
    }
    this.handlers.onLink?.(link, waitMs);
  }

  #take(message) {
    if (message.p) {
      this.#patch(message);
    } else if (message.type === "view") {
      this.#show(message.session, message.seq, message.view, null);
    } else if (message.type === "sessions") {
      this.sessions = message.sessions;
      this.handlers.onSessions?.(this.sessions);
    } else if (message.type === "gone") {
      this.watched.delete(message.session);
      this.calls.get(message.session)?.close();
      this.handlers.onGone?.(message.session);
    } else if (message.type === "send") {
      this.calls.get(message.session)?.send(message.event);
    } else if (message.type === "error") {
      this.handlers.onError?.(message.error, message.session);
    }
  }

  #patch({ s: id, n: seq, p: patch }) {
    const held = this.watched.get(id);
    // What was on its way before `unwatch`, or before the view came.
    if (!held?.view) return;
    try {
      this.#show(id, seq, applyPatch(held.view, patch), patch);
    } catch (error) {
      if (!(error instanceof PatchError)) throw error;
      // The view here is not the server's: begin again.
      this.unwatch(id);
      this.watch(id);
    }
  }

  #show(id, seq, view, patch) {
    if (!this.watched.has(id)) return;
    const before = this.watched.get(id).view;
    this.watched.set(id, { seq, view });
    this.#obey(id, before?.activity, view.activity);
    this.handlers.onView?.(id, view, { seq, patch });
  }

  /** Another page may have muted or changed the volume: what changed counts. */
  #obey(id, before, { muted, volume }) {
    const call = this.calls.get(id);
    if (!call) return;
    if (before?.muted !== muted) call.muted = muted;
    if (before?.volume !== volume) call.volume = volume;
  }
}
