// The feed: one WebSocket for all sessions. It comes back by itself, with back-off, and
// beats, because a connection that is gone does not always say so.

const BEAT_MS = 5_000;
const SILENT_MS = 20_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

/** A WebSocket of JSON messages that is opened again until it is closed for good. */
export class Feed {
  /**
   * @param {string} url `ws:` or `wss:`.
   * @param {{
   *   onMessage: (message: object) => void,
   *   onLink: (link: "connecting" | "open" | "waiting", waitMs: number) => void,
   * }} handlers `onLink` says "open" once the socket is, "waiting" between two tries.
   */
  constructor(url, { onMessage, onLink }) {
    this.url = url;
    this.onMessage = onMessage;
    this.onLink = onLink;
    this.tries = 0;
    this.closed = false;
    this.again = () => this.timer && this.#open();
    globalThis.addEventListener?.("online", this.again);
    this.#open();
  }

  /** Whether a message can be sent now. */
  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** Sends a message. Returns false, and sends nothing, while there is no connection. */
  send(message) {
    if (!this.isOpen) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  /** Closes for good. */
  close() {
    this.closed = true;
    globalThis.removeEventListener?.("online", this.again);
    clearTimeout(this.timer);
    clearInterval(this.beat);
    this.socket.close();
  }

  #open() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.onLink("connecting", 0);
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.onopen = () => {
      this.heard = Date.now();
      this.beat = setInterval(() => this.#tick(socket), BEAT_MS);
      this.onLink("open", 0);
    };
    socket.onmessage = ({ data }) => {
      this.heard = Date.now();
      // Only a connection that gives something ends the waiting.
      this.tries = 0;
      const message = JSON.parse(data);
      if (message.type !== "beat") this.onMessage(message);
    };
    socket.onclose = () => this.#lost(socket);
  }

  #tick(socket) {
    if (Date.now() - this.heard > SILENT_MS) {
      // Closing waits for an answer that will not come.
      socket.close();
      this.#lost(socket);
    } else {
      this.send({ type: "beat" });
    }
  }

  #lost(socket) {
    if (this.closed || socket !== this.socket || this.timer) return;
    clearInterval(this.beat);
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.tries);
    this.tries += 1;
    const wait = longest * (0.5 + Math.random() / 2);
    this.timer = setTimeout(() => this.#open(), wait);
    this.onLink("waiting", wait);
  }
}
