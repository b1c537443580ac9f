// The token mode: this page is connected to the service by itself. It reports to our
// server what came on the data channel; what commands mean, the server says it to send.

const DELAY_MS = 40;
/** Records in one report, and those that wait for a feed that is cut. */
const MOST = 64;
const WAITING = 5_000;

/** Reports of the events of direct calls, a few at a time. */
export class Direct {
  /** @param {(report: object) => boolean} send false where it could not be sent. */
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

  /** Notes an event that came; calls that are not direct the server sees by itself. */
  note(id, event) {
    const call = this.calls.get(id);
    if (!call || call.records.length >= WAITING) return;
    call.records.push({ dir: "in", event });
    this.timer ??= setTimeout(() => this.flush(), DELAY_MS);
  }

  /** Sends what waits; what cannot be sent goes on waiting. */
  flush() {
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const [session, call] of this.calls) {
      while (call.records.length) if (!this.#report(session, call)) return;
    }
  }

  /** The feed is another: a report, be it empty, tells the server whose it is. */
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
