// The feed: one WebSocket for all sessions. It comes back by itself, with back-off, and
// beats, because a connection that is gone does not always say so.

const BEAT_MS = 5_000;
/**
 * The server hangs up 20 s after the last beat that it got, which may be one beat older
 * than what was heard last here: there has to be time left for some tries.
 */
const SILENT_MS = 10_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
/** While there is a call to lose: the longest wait between tries, and for one. */
const URGENT_WAIT_MS = 3_000;
const URGENT_TRY_MS = 4_000;

/** A WebSocket of JSON messages that is opened again until it is closed for good. */
export class Feed {
  /**
   * @param {string} url `ws:` or `wss:`.
   * @param {{
   *   onMessage: (message: object) => void,
   *   onLink: (link: "connecting" | "open" | "waiting", waitMs: number) => void,
   *   isUrgent: () => boolean,
   * }} handlers `onLink` says "open" once the socket is, "waiting" between two tries;
   *   `isUrgent` whether something is lost if it stays away.
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
      // Only a connection that gives something ends the waiting.
      this.tries = 0;
      const message = JSON.parse(data);
      if (message.type !== "beat") this.onMessage(message);
    };
    socket.onclose = () => this.#lost(socket);
  }

  /** Gives a connection up that says nothing for so long. */
  #expect(socket, ms) {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      // Closing waits for an answer that will not come.
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
