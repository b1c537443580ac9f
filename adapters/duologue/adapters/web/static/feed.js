// The feed: one WebSocket for all sessions. It reconnects with back-off, and sends
// heartbeats, because a lost connection is not always reported.

const BEAT_MS = 5_000;
/**
 * The server hangs up 20 s after the last heartbeat that it received, which can be 5 s
 * before the loss. This timeout leaves time for several attempts.
 */
const SILENT_MS = 10_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
/** During a call: the longest wait between attempts, and the timeout of one. */
const URGENT_WAIT_MS = 3_000;
const URGENT_TRY_MS = 4_000;

/** A WebSocket of JSON messages that reconnects until `close`. */
export class Feed {
  /**
   * @param {string} url `ws:` or `wss:`.
   * @param {{
   *   onMessage: (message: object) => void,
   *   onLink: (link: "connecting" | "open" | "waiting", waitMs: number) => void,
   *   isUrgent: () => boolean,
   * }} handlers `onLink` gets "open" when the socket is open, "waiting" between two
   *   attempts; `isUrgent` returns whether a call depends on the feed.
   */
  constructor(url, { onMessage, onLink, isUrgent }) {
    this.url = url;
    this.onMessage = onMessage;
    this.onLink = onLink;
    this.isUrgent = isUrgent;
    this.tries = 0;
    this.closed = false;
    this.again = () => this.timer && this.#open();
    globalThis.addEventListener?.("online", this.again);
    this.#open();
  }

  /** Sends a message. Returns false, and sends nothing, without a connection. */
  send(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  /** Closes the connection and does not reconnect. */
  close() {
    this.closed = true;
    globalThis.removeEventListener?.("online", this.again);
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    clearInterval(this.beat);
    this.socket.close();
  }

  #open() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.onLink("connecting", 0);
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.#expect(socket, this.isUrgent() ? URGENT_TRY_MS : SILENT_MS);
    socket.onopen = () => {
      this.#expect(socket, SILENT_MS);
      this.beat = setInterval(() => this.send({ type: "beat" }), BEAT_MS);
      this.onLink("open", 0);
    };
    socket.onmessage = ({ data }) => {
      this.#expect(socket, SILENT_MS);
      // Only a received message resets the back-off.
      this.tries = 0;
      const message = JSON.parse(data);
      if (message.type !== "beat") this.onMessage(message);
    };
    socket.onclose = () => this.#lost(socket);
  }

  /** Abandons a connection that receives nothing for so long. */
  #expect(socket, ms) {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      // The closing handshake would never complete.
      socket.close();
      this.#lost(socket);
    }, ms);
  }

  #lost(socket) {
    if (this.closed || socket !== this.socket || this.timer) return;
    clearTimeout(this.silence);
    clearInterval(this.beat);
    const most = this.isUrgent() ? URGENT_WAIT_MS : LONGEST_WAIT_MS;
    const longest = Math.min(most, FIRST_WAIT_MS * 2 ** this.tries);
    this.tries += 1;
    const wait = longest * (0.5 + Math.random() / 2);
    this.timer = setTimeout(() => this.#open(), wait);
    this.onLink("waiting", wait);
  }
}
