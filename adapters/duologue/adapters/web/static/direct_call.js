// The mode `direct`: this page is connected to the service itself. It reports the
// events of its data channel to the server, and sends those that the server requests.

const DELAY_MS = 40;
/** The most records in one report, and in the queue while the feed is lost. */
const MOST = 64;
const WAITING = 5_000;

/** Reports the events of direct calls in batches. */
export class Direct {
  /** @param {(report: object) => boolean} send returns false if it was not sent. */
  constructor(send) {
    this.sendReport = send;
    this.calls = new Map();
  }

  begin(id, nonce) {
    this.calls.set(id, { nonce, records: [] });
  }

  end(id) {
    this.flush();
    this.calls.delete(id);
  }

  /** Queues a received event; ignores calls that are not direct. */
  note(id, event) {
    const call = this.calls.get(id);
    if (!call || call.records.length >= WAITING) return;
    call.records.push({ dir: "in", event });
    this.timer ??= setTimeout(() => this.flush(), DELAY_MS);
  }

  /** Sends the queued records, until one report fails. */
  flush() {
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const [session, call] of this.calls) {
      while (call.records.length) if (!this.#report(session, call)) return;
    }
  }

  /** Reports on a new feed, also without records, so that the server can use it. */
  resume() {
    for (const [session, call] of this.calls) this.#report(session, call);
    this.flush();
  }

  #report(session, { nonce, records: waiting }) {
    const records = waiting.slice(0, MOST);
    const sent = this.sendReport({ type: "report", session, nonce, records });
    if (sent) waiting.splice(0, records.length);
    return sent;
  }
}
